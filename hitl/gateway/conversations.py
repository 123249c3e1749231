"""Which conversation a request belongs to.

A request may say so: the header X-HITL-Conversation, or `metadata.conversation_id`. One that does not is the
continuation of exactly one conversation of the same key and the same `user`, active within 24 hours, that it matches
in full: all its messages, word for word, come first, and what follows is new. That is a guess, and marked as one.
Otherwise the conversation is new.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.core.canonical import content_hash
from hitl.core.database import insert_into
from hitl.core.ids import new_id
from hitl.gateway.errors import ConversationIdInvalid
from hitl.gateway.models import Thread

HEADER = "X-HITL-Conversation"
ACTIVE = timedelta(hours=24)
MAX_CHARACTERS = 255
OF_A_MESSAGE = ("role", "content", "name", "tool_calls", "tool_call_id", "refusal")


@dataclass(frozen=True)
class Place:
    """Where an exchange belongs."""

    conversation: str  # the client's id of it
    is_guessed: bool  # nobody said so


@dataclass(frozen=True)
class Asker:
    """Who asked, and when."""

    api_key_id: UUID
    end_user: str | None  # pseudonym
    at: datetime


def named_conversation(header: str | None, request: Mapping[str, Any]) -> str | None:
    """Return the conversation that a request names; None if it names none. Raises ConversationIdInvalid."""
    metadata = request.get("metadata")
    named = header or (metadata.get("conversation_id") if isinstance(metadata, dict) else None)
    if named is None:
        return None
    if not isinstance(named, str) or not 0 < len(named) <= MAX_CHARACTERS or "\0" in named or not _is_text(named):
        raise ConversationIdInvalid(param=None if header else "/metadata/conversation_id")
    return named


def transcript(messages: Sequence[Any]) -> str:
    """Return the hash of messages, however a client library fills in what they do not say."""
    return content_hash([_plain(message) for message in messages])


def before_the_new(messages: Sequence[Any]) -> list[Any]:
    """Return the messages up to the newest answer; nothing if there is none yet."""
    for place in range(len(messages) - 1, -1, -1):
        if isinstance(messages[place], dict) and messages[place].get("role") == "assistant":
            return list(messages[: place + 1])
    return []


class Placing:
    """Places exchanges of one project, in the order in which they happened, and remembers where each thread stands."""

    def __init__(self, db: Session, project: Project) -> None:
        self._db, self._project = db, project
        self._moved: dict[str, dict[str, Any]] = {}  # rows of threads, by conversation, until `store`

    def place(self, named: str | None, messages: Sequence[Any], asker: Asker, exchange_id: UUID) -> Place:
        """Return the conversation of a request."""
        if named is not None:
            return Place(named, is_guessed=False)
        earlier = before_the_new(messages)
        if earlier:
            alike = self._alike(transcript(earlier), asker)
            if len(alike) == 1:
                return Place(alike[0], is_guessed=True)
        return Place(f"gw-{exchange_id}", is_guessed=True)

    def remember(self, place: Place, messages: Sequence[Any], output: Mapping[str, Any], asker: Asker) -> None:
        """Note how far a conversation has come."""
        before = self._moved.get(place.conversation, {})
        self._moved[place.conversation] = {
            "id": before.get("id") or new_id(),
            "project_id": self._project.id,
            "conversation": place.conversation,
            "api_key_id": asker.api_key_id,
            "end_user": asker.end_user,
            "transcript": transcript([*messages, output]),
            "is_guessed": place.is_guessed or before.get("is_guessed", False),
            "last_at": asker.at,
        }

    def store(self) -> None:
        """Write down what was remembered, all at once: a statement for each would cost more than all the rest."""
        if not self._moved:
            return
        rows = [row for _, row in sorted(self._moved.items())]  # in one order, so that nobody waits in a circle
        statement = insert_into(self._db, Thread)
        changed: dict[str, Any] = {
            name: statement.excluded[name] for name in ("api_key_id", "end_user", "transcript", "last_at")
        }
        changed["is_guessed"] = or_(Thread.is_guessed, statement.excluded.is_guessed)
        statement = statement.on_conflict_do_update(index_elements=["project_id", "conversation"], set_=changed)
        self._db.execute(statement, rows)
        self._moved.clear()

    def _alike(self, stands_at: str, asker: Asker) -> list[str]:
        """Return conversations that stand exactly there; two are as good as many."""
        query = select(Thread.conversation).where(
            Thread.api_key_id == asker.api_key_id,
            Thread.transcript == stands_at,
            Thread.project_id == self._project.id,
            Thread.end_user.is_(None) if asker.end_user is None else Thread.end_user == asker.end_user,
            Thread.last_at > asker.at - ACTIVE,
            Thread.conversation.not_in(list(self._moved)),
        )
        moved_there = [name for name, row in self._moved.items() if _stands(row, stands_at, asker)]
        return [*moved_there, *self._db.scalars(query.limit(2))]


def _stands(row: Mapping[str, Any], stands_at: str, asker: Asker) -> bool:
    is_theirs = (row["api_key_id"], row["end_user"]) == (asker.api_key_id, asker.end_user)
    return is_theirs and row["transcript"] == stands_at and bool(row["last_at"] > asker.at - ACTIVE)


def _plain(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    said = {name: message[name] for name in OF_A_MESSAGE if message.get(name) not in (None, "", [])}
    if isinstance(said.get("content"), list):  # some libraries wrap each text into a part
        parts = said["content"]
        if len(parts) == 1 and isinstance(parts[0], dict) and set(parts[0]) == {"type", "text"}:
            said["content"] = parts[0]["text"]
    return said


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
