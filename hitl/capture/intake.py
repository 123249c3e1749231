"""Responses come in: each row of a batch is stored, known already, or refused, and never harms the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import update
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture import feedback
from hitl.capture.bulk import Column, Same, insert_missing, rows_with_client_ids
from hitl.capture.errors import IdTaken, RowInvalid
from hitl.capture.events import ResponsesCaptured
from hitl.capture.masking import Masking
from hitl.capture.models import Conversation, Response
from hitl.capture.plain import plain_rows
from hitl.capture.pseudonyms import pseudonym
from hitl.capture.results import Result, rejected
from hitl.capture.rows import ResponseRow, read_row
from hitl.core import clock, events, feeds
from hitl.core.canonical import canonical_json, content_hash
from hitl.core.ids import new_id
from hitl.core.secrets import Keys

# Columns that are stored as the row has them, and what stands there when it does not say.
COPIED: dict[str, Any] = {
    "model": None,
    "model_version": None,
    "prompt_name": None,
    "prompt_version": None,
    "parameters": {},
    "input_tokens": None,
    "output_tokens": None,
    "latency_seconds": None,
    "cost_usd": None,
    "trace_id": None,
    "context": [],
    "signals": {},
    "metadata": {},
    "may_train": "unknown",
    "turn": None,
}


@dataclass(slots=True)
class Arrival:
    """A valid row, ready to be stored."""

    index: int
    row: dict[str, Any]  # by the fields of ResponseRow; what the client did not say may be left out
    id: UUID
    client_id: str | None
    conversation: str | None  # the client's id of it
    end_user: str | None  # pseudonym
    input_hash: str
    content_hash: str
    personal_data: str | None = None  # kinds, where the project marks them
    is_created: bool = False


class Stored(NamedTuple):
    """What a client id stands for already."""

    id: UUID
    content_hash: str


def capture_responses(db: Session, project: Project, rows: Sequence[Any], keys: Keys, *, at: str = "") -> list[Result]:
    """Store a batch of rows as they were parsed from JSON, and say what became of each.

    The same content under a known client id is a duplicate; other content is refused with `id_taken`. That holds within
    the batch, against what is stored, and against batches that arrive at the same moment.

    at: JSON pointer of the list of rows, for the `param` of errors; by default they point into the row.
    """
    results: dict[int, Result] = {}
    arrivals: list[Arrival] = []
    pseudonyms = _Pseudonyms(keys, project.id)
    masking = Masking.of(project, keys)
    for index, (raw, plain) in enumerate(zip(rows, plain_rows(rows), strict=True)):
        try:
            row = plain or vars(read_row(ResponseRow, raw, f"{at}/{index}" if at else ""))
            marked = masking.row(row)  # before anything is hashed: a hash of few possible values gives them away
            arrivals.append(_arrival(index, row, pseudonyms, marked, is_plain=plain is not None))
        except RowInvalid as problem:
            results[index] = rejected(problem)
    stored = _store(db, project.id, arrivals)
    for arrival in arrivals:
        results[arrival.index] = _result(arrival, stored, at)
    _tell(db, project.id, [arrival for arrival in arrivals if arrival.is_created])
    return [results[index] for index in range(len(rows))]


class _Pseudonyms(dict[str, str]):
    """Pseudonyms by the client's names; in a batch the same people come again and again."""

    def __init__(self, keys: Keys, project_id: UUID) -> None:
        self._keys, self._project_id = keys, project_id

    def __missing__(self, end_user: str) -> str:
        made = self[end_user] = pseudonym(self._keys, self._project_id, end_user)
        return made


def _arrival(
    index: int, row: dict[str, Any], pseudonyms: _Pseudonyms, marked: str | None, *, is_plain: bool
) -> Arrival:
    input_hash = content_hash(row["input"], has_texts_only=is_plain)
    name = row.get("end_user")
    end_user = None if name is None else pseudonyms[name]
    return Arrival(
        index,
        row,
        new_id(),
        row.get("client_id"),
        row.get("conversation_id"),
        end_user,
        input_hash,
        _hash_of_all(row, input_hash, end_user, is_plain=is_plain),
        marked,
    )


def _hash_of_all(row: dict[str, Any], input_hash: str, end_user: str | None, *, is_plain: bool) -> str:
    """Hash what the client sent. A default that is spelled out counts like one left out."""
    content = {name: value for name, value in row.items() if value or not _is_absent(value)}
    content.pop("client_id", None)
    content["input"] = input_hash
    if end_user is not None:
        content["end_user"] = end_user
    if "conversation_id" in content:
        content["conversation"] = content.pop("conversation_id")
    if "created_at" in content:
        content["created_at"] = content["created_at"].isoformat()
    if content.get("may_train") == "unknown":
        del content["may_train"]
    if is_plain:  # the rest are texts and whole numbers, which need no look
        for name in _NUMBERS_AND_OBJECTS.intersection(content):
            content[name] = orjson.Fragment(canonical_json(content[name]))
    return content_hash(content, has_texts_only=is_plain)


_NUMBERS_AND_OBJECTS = frozenset({"parameters", "latency_seconds", "cost_usd", "context", "signals", "metadata"})


def _is_absent(value: Any) -> bool:
    return value is None or value in ({}, [])


def _store(db: Session, project_id: UUID, arrivals: list[Arrival]) -> dict[str | None, Stored]:
    """Store what is new, and return what each client id stands for now."""
    stored = _stored(db, project_id, arrivals)
    new = list(_first_of_each(arrival for arrival in arrivals if arrival.client_id not in stored))
    if not new:
        return stored
    conversations = _conversations(db, project_id, new)
    # Every batch locks in the same order, so that two batches with the same ids never wait for each other in a circle.
    new.sort(key=lambda arrival: arrival.client_id or "")
    columns = _columns(project_id, new, conversations, clock.now(), feeds.number_of(db.connection()))
    if insert_missing(db, Response, columns, len(new)):
        stored.update({arrival.client_id: Stored(arrival.id, arrival.content_hash) for arrival in new})
    else:  # another batch was quicker with some of them
        stored.update(_stored(db, project_id, new))
    for arrival in new:
        arrival.is_created = arrival.client_id is None or stored[arrival.client_id].id == arrival.id
    return stored


def _columns(
    project_id: UUID, new: list[Arrival], conversations: dict[str | None, UUID], now: datetime, feed_number: int
) -> dict[str, Column]:
    rows = [arrival.row for arrival in new]
    said = set().union(*rows)
    columns: dict[str, Column] = {
        "id": [arrival.id for arrival in new],
        "project_id": Same(project_id),
        "client_id": [arrival.client_id for arrival in new],
        "content_hash": [arrival.content_hash for arrival in new],
        "conversation_id": [conversations.get(arrival.conversation) for arrival in new],
        "end_user": [arrival.end_user for arrival in new],
        "input": [row["input"] for row in rows],
        "input_hash": [arrival.input_hash for arrival in new],
        "output": [row["output"] for row in rows],
        "created_at": [row.get("created_at") or now for row in rows],
        "personal_data": _marks(new),
        "captured_at": Same(now),
        "feed_number": Same(feed_number),
    }
    for name, default in COPIED.items():
        columns[name] = [row.get(name, default) for row in rows] if name in said else Same(default)
    return columns


def _marks(new: list[Arrival]) -> Column:
    marks = [arrival.personal_data for arrival in new]
    return marks if any(marks) else Same(None)


def _stored(db: Session, project_id: UUID, arrivals: list[Arrival]) -> dict[str | None, Stored]:
    client_ids = {arrival.client_id for arrival in arrivals if arrival.client_id is not None}
    rows = rows_with_client_ids(db, Response, project_id, client_ids)
    return {row.client_id: Stored(row.id, row.known or "") for row in rows}


def _first_of_each(arrivals: Iterable[Arrival]) -> Iterable[Arrival]:
    seen: set[str] = set()
    for arrival in arrivals:
        if arrival.client_id is not None:
            if arrival.client_id in seen:
                continue
            seen.add(arrival.client_id)
        yield arrival


def _conversations(db: Session, project_id: UUID, arrivals: list[Arrival]) -> dict[str | None, UUID]:
    """Return our ids of the conversations that these rows belong to, making those that are new."""
    wanted: dict[str, str | None] = {}
    for arrival in arrivals:
        if arrival.conversation is not None:
            wanted[arrival.conversation] = wanted.get(arrival.conversation) or arrival.end_user
    if not wanted:
        return {}
    known = _known_conversations(db, project_id, wanted)
    missing = sorted(wanted.keys() - known.keys())
    if missing:
        ids = [new_id() for _ in missing]
        columns: dict[str, Column] = {
            "id": ids,
            "project_id": Same(project_id),
            "client_id": missing,
            "end_user": [wanted[name] for name in missing],
            "metadata": Same({}),
            "created_at": Same(clock.now()),
        }
        if insert_missing(db, Conversation, columns, len(missing)):
            known.update({name: (identifier, wanted[name]) for name, identifier in zip(missing, ids, strict=True)})
        else:
            known = _known_conversations(db, project_id, wanted)
    for name in sorted(known):
        identifier, end_user = known[name]
        if end_user is None and wanted[name] is not None:  # its first rows did not say whose it is
            db.execute(update(Conversation).where(Conversation.id == identifier).values(end_user=wanted[name]))
    return {name: identifier for name, (identifier, _end_user) in known.items()}


def _known_conversations(
    db: Session, project_id: UUID, client_ids: Iterable[str]
) -> dict[str, tuple[UUID, str | None]]:
    rows = rows_with_client_ids(db, Conversation, project_id, client_ids)
    return {row.client_id: (row.id, row.known) for row in rows}


def _result(arrival: Arrival, stored: dict[str | None, Stored], at: str) -> Result:
    if arrival.is_created:
        return Result("created", arrival.id)
    known = stored[arrival.client_id]
    if known.content_hash == arrival.content_hash:
        return Result("duplicate", known.id)
    return rejected(IdTaken(param=f"{at}/{arrival.index}/client_id" if at else "/client_id"))


def _tell(db: Session, project_id: UUID, created: list[Arrival]) -> None:
    if not created:
        return
    events.publish(db, ResponsesCaptured(project_id, [arrival.id for arrival in created]))
    feedback.attach_waiting(
        db,
        project_id,
        responses=[arrival.client_id for arrival in created if arrival.client_id is not None],
        conversations=sorted({arrival.conversation for arrival in created if arrival.conversation is not None}),
    )
