"""A gated call as a turn of its conversation: what the user said is noted, what the model would say is proposed.

All of it happens under the conversation's lock (hitl/live/log.py), in the caller's transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Update, select, update
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.conversations import open_conversation
from hitl.core import clock
from hitl.core.canonical import content_hash
from hitl.core.database import insert_into
from hitl.core.ids import new_id
from hitl.gateway.errors import ConversationMovedOn, RepeatDiffers
from hitl.gateway.exchanges import Exchange
from hitl.gateway.models import Repeatable
from hitl.gateway.recording import captured, end_user_of
from hitl.gateway.settings import Handling
from hitl.live import gate, needs, speaking
from hitl.live.log import go_live, locked
from hitl.live.models import Draft, Event, Hold, LiveConversation
from hitl.live.queries import waiting_whispers

REPEATED_WITHIN = timedelta(minutes=30)  # a client that retries by itself does it sooner
WAITS = "An application waits for a person's answer."


@dataclass(frozen=True)
class Repeats:
    """What a request says about being one again."""

    asked: str  # hash of what it asks
    idempotency_key: str | None
    is_retry: bool  # the client says that it tries again


@dataclass(frozen=True)
class Turn:
    """Where a conversation stands when its newest words are to be answered."""

    conversation_id: UUID
    answers_number: int  # of the user message
    holder_number: int
    holder: str
    instructions: tuple[str, ...]  # what people whispered to the bot

    @property
    def is_held_by_person(self) -> bool:
        return self.holder == "person"


def asked_hash(conversation: str, request: Mapping[str, Any]) -> str:
    """Return the hash by which the same request again is known."""
    return content_hash([conversation, *(request.get(name) for name in ("model", "messages", "tools"))])


def begin_turn(db: Session, project: Project, exchange: Exchange, *, person_wanted: bool) -> Turn:
    """Note what the user said, and return where the conversation stands. person_wanted: the model is not to answer."""
    assert exchange.conversation is not None  # noqa: S101 - others are not gated
    end_user = end_user_of(exchange.request)
    conversation, _ = open_conversation(db, project, exchange.conversation, end_user=end_user)
    talk = go_live(db, conversation)
    for message in _new_words(db, talk, exchange.request["messages"]):
        speaking.receive(db, talk, message)
    if person_wanted and talk.holder != "person":
        needs.add(talk, "wants_person", WAITS)
    return _turn(db, talk, talk.user_number)


def turn_now(db: Session, turn: Turn) -> Turn:
    """Return how things stand by now. Raises ConversationMovedOn when the user has written again."""
    talk = db.get_one(LiveConversation, turn.conversation_id, populate_existing=True)
    if talk.user_number != turn.answers_number:
        raise ConversationMovedOn
    return _turn(db, talk, turn.answers_number)


def turn_of(db: Session, request: Repeatable) -> Turn:
    """Return how things stand for an earlier request."""
    return _turn(db, db.get_one(LiveConversation, request.conversation_id), request.answers_number)


def _turn(db: Session, talk: LiveConversation, answers_number: int) -> Turn:
    whispers = db.scalars(waiting_whispers(talk.id)).all()
    return Turn(
        talk.id,
        answers_number,
        talk.holder_number,
        talk.holder,
        tuple(whisper.content["text"] for whisper in whispers),
    )


def propose(
    db: Session, project: Project, exchange: Exchange, turn: Turn, output: Mapping[str, Any], handling: Handling
) -> Draft:
    """Capture what the model would say, and send it or let it wait, as the policy says."""
    response_id = captured(db, project, exchange, handling)
    talk = locked(db, turn.conversation_id)
    draft = speaking.propose(
        db,
        talk,
        dict(output),
        answers=turn.answers_number,
        holder_number=turn.holder_number,
        response_id=response_id,
    )
    gate.pass_or_hold(db, talk, draft)
    return draft


def say_for_nobody(db: Session, turn: Turn, text: str) -> Event | None:
    """Say the safe reply, unless somebody came or the conversation moved on."""
    talk = locked(db, turn.conversation_id)
    needs.drop(talk, "wants_person")
    if talk.holder != "bot" or talk.user_number != turn.answers_number or talk.answered_number >= turn.answers_number:
        return None
    return speaking.deliver(db, talk, {"role": "assistant", "content": text})


def answer_after(db: Session, conversation_id: UUID, number: int) -> Event | None:
    """Return what was said to the user after an event, if anything was."""
    said = select(Event).where(Event.conversation_id == conversation_id, Event.kind == "message", Event.number > number)
    return db.scalars(said.order_by(Event.number).limit(1)).first()


def has_said_more(db: Session, turn: Turn, before: int) -> bool:
    """Return whether the user wrote again between the words of a turn and an event."""
    more = select(Event.number).where(
        Event.conversation_id == turn.conversation_id,
        Event.kind == "user_message",
        Event.number > turn.answers_number,
        Event.number < before,
    )
    return db.scalar(more.limit(1)) is not None


# --- Repeats ----------------------------------------------------------------------------------------------------------


def earlier_request(db: Session, api_key_id: UUID, repeats: Repeats) -> Repeatable | None:
    """Return the request of which this is a repeat.

    Raises RepeatDiffers when its Idempotency-Key was used for another.
    """
    of_key = select(Repeatable).where(Repeatable.api_key_id == api_key_id)
    if repeats.idempotency_key is not None:
        earlier = db.scalar(of_key.where(Repeatable.idempotency_key == repeats.idempotency_key))
        if earlier is not None and earlier.asked != repeats.asked:
            raise RepeatDiffers
        if earlier is not None:
            return earlier
    alike = of_key.where(Repeatable.asked == repeats.asked, Repeatable.made_at > clock.now() - REPEATED_WITHIN)
    newest = db.scalars(alike.order_by(Repeatable.id.desc()).limit(1)).first()
    if newest is None:
        return None
    return newest if repeats.is_retry or _is_waited_for(db, newest) or _is_owed(db, newest) else None


def remember_request(
    db: Session,
    exchange: Exchange,
    turn: Turn,
    repeats: Repeats,
    *,
    draft: Draft | None,
    deadline_at: datetime,
) -> None:
    """Note a request and what is to become of it, so that its repeat finds that. draft: none: a person is to answer."""
    hold_id = None if draft is None else db.scalar(select(Hold.id).where(Hold.draft_id == draft.id))
    waits = draft is None or hold_id is not None
    row = {
        "id": new_id(),
        "project_id": exchange.project_id,
        "api_key_id": exchange.api_key_id,
        "conversation_id": turn.conversation_id,
        "asked": repeats.asked,
        "idempotency_key": repeats.idempotency_key,
        "answers_number": turn.answers_number,
        "draft_id": None if draft is None else draft.id,
        "hold_id": hold_id,
        "waited_at": clock.now(),
        "deadline_at": deadline_at,
        "told_at": None if waits else clock.now(),
        "made_at": clock.now(),
    }
    changed = ("draft_id", "hold_id", "answers_number", "waited_at", "deadline_at", "told_at")
    known = {name: row[name] for name in changed}
    statement = insert_into(db, Repeatable).values(row)
    if repeats.idempotency_key is not None:  # a refused draft is followed by another one to the same request
        statement = statement.on_conflict_do_update(
            index_elements=["api_key_id", "idempotency_key"],
            index_where=Repeatable.idempotency_key.is_not(None),
            set_=known,
        )
    db.execute(statement)


def still_waited_for(db: Session, conversation_id: UUID, asked: str) -> None:
    """Note that somebody waits for the answer to a request."""
    db.execute(_update_of(conversation_id, asked).values(waited_at=clock.now()))


def note_told(db: Session, conversation_id: UUID, asked: str) -> None:
    """Note that somebody who waited gets what became of a request: who asks the same later asks anew."""
    db.execute(_update_of(conversation_id, asked).where(Repeatable.told_at.is_(None)).values(told_at=clock.now()))


def _update_of(conversation_id: UUID, asked: str) -> Update:
    return update(Repeatable).where(Repeatable.conversation_id == conversation_id, Repeatable.asked == asked)


def abandoned_holds(before: datetime) -> Select[Repeatable]:
    """Requests whose draft is held still though nobody has waited for it since."""
    return (
        select(Repeatable)
        .join(Hold, Hold.id == Repeatable.hold_id)
        .where(Hold.ended_at.is_(None), Repeatable.waited_at < before)
        .order_by(Repeatable.id)
    )


def _is_waited_for(db: Session, request: Repeatable) -> bool:
    """Whether what a request waits for is still to come."""
    if request.hold_id is not None:
        return db.scalar(select(Hold.id).where(Hold.id == request.hold_id, Hold.ended_at.is_(None))) is not None
    if request.draft_id is not None or request.deadline_at <= clock.now():
        return False
    return answer_after(db, request.conversation_id, request.answers_number) is None


def _is_owed(db: Session, request: Repeatable) -> bool:
    """Whether the answer came while nobody waited, and still is the answer to the user's newest words."""
    if request.told_at is not None:
        return False
    talk = db.get_one(LiveConversation, request.conversation_id)
    return (
        talk.user_number == request.answers_number
        and answer_after(db, request.conversation_id, request.answers_number) is not None
    )


def _new_words(db: Session, talk: LiveConversation, messages: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what the user says at the end of a request that the log does not have yet."""
    asked = _words_at_the_end(messages)
    known = [event.content["message"] for event in _unanswered(db, talk)]
    if not asked or known[-len(asked) :] == asked:
        return []
    if asked[: len(known)] == known:
        return asked[len(known) :]
    return asked[-1:]


def _words_at_the_end(messages: Sequence[Any]) -> list[dict[str, Any]]:
    said = []
    for message in reversed(messages):
        if not isinstance(message, dict) or message.get("role") != "user":
            break
        said.append({key: message[key] for key in ("role", "content", "name") if message.get(key) is not None})
    return said[::-1]


def _unanswered(db: Session, talk: LiveConversation) -> Sequence[Event]:
    words = select(Event).where(
        Event.conversation_id == talk.id, Event.kind == "user_message", Event.number > talk.answered_number
    )
    return db.scalars(words.order_by(Event.number)).all()


def project_in(db: Session, project_id: UUID) -> Project:
    """Return the project within this transaction."""
    return db.get_one(Project, project_id)
