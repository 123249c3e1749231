"""Responses come in: each row of a batch is stored, known already, or refused, and never harms the others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture import feedback
from hitl.capture.bulk import insert_missing, rows_with_client_ids
from hitl.capture.errors import IdTaken, RowInvalid
from hitl.capture.events import ResponsesCaptured
from hitl.capture.models import Conversation, Response
from hitl.capture.pseudonyms import pseudonym
from hitl.capture.results import Result, rejected
from hitl.capture.rows import ResponseRow, read_row
from hitl.core import clock, events, feeds
from hitl.core.canonical import content_hash
from hitl.core.ids import new_id
from hitl.core.secrets import Keys

# Columns that are stored as the row has them.
COPIED = (
    "model",
    "model_version",
    "prompt_name",
    "prompt_version",
    "parameters",
    "input_tokens",
    "output_tokens",
    "latency_seconds",
    "cost_usd",
    "trace_id",
    "context",
    "signals",
    "metadata",
    "may_train",
    "turn",
)


@dataclass(frozen=True)
class Arrival:
    """A valid row, ready to be stored."""

    index: int
    conversation: str | None  # the client's id of it
    values: dict[str, Any]  # of the columns; conversation_id follows

    @property
    def client_id(self) -> str | None:
        found: str | None = self.values["client_id"]
        return found


@dataclass(frozen=True)
class Stored:
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
    for index, raw in enumerate(rows):
        try:
            row = read_row(ResponseRow, raw, f"{at}/{index}" if at else "")
            arrivals.append(_arrival(index, row, project.id, keys))
        except RowInvalid as problem:
            results[index] = rejected(problem)
    created, stored = _store(db, project.id, arrivals)
    for arrival in arrivals:
        results[arrival.index] = _result(arrival, created, stored, at)
    _tell(db, project.id, [arrival for arrival in arrivals if arrival.values["id"] in created])
    return [results[index] for index in range(len(rows))]


def _arrival(index: int, row: ResponseRow, project_id: UUID, keys: Keys) -> Arrival:
    input_hash = content_hash(row.input)
    end_user = None if row.end_user is None else pseudonym(keys, project_id, row.end_user)
    copied = {column: getattr(row, column) for column in COPIED}
    values = {
        **copied,
        "id": new_id(),
        "project_id": project_id,
        "client_id": row.client_id,
        "content_hash": _hash_of_all(row, copied, input_hash, end_user),
        "end_user": end_user,
        "input": row.input,
        "input_hash": input_hash,
        "output": row.output,
        "created_at": row.created_at or clock.now(),
    }
    return Arrival(index, row.conversation_id, values)


def _hash_of_all(row: ResponseRow, copied: dict[str, Any], input_hash: str, end_user: str | None) -> str:
    """Hash what the client sent. A default that is spelled out counts like one left out."""
    content = {
        **copied,
        "input": input_hash,
        "output": row.output,
        "conversation": row.conversation_id,
        "end_user": end_user,
        "created_at": row.created_at and row.created_at.isoformat(),
    }
    if row.may_train == "unknown":
        del content["may_train"]
    return content_hash({key: value for key, value in content.items() if value or not _is_absent(value)})


def _is_absent(value: Any) -> bool:
    return value is None or value in ({}, [])


def _store(db: Session, project_id: UUID, arrivals: list[Arrival]) -> tuple[set[UUID], dict[str | None, Stored]]:
    """Store what is new; return the ids that were stored, and what each client id stands for now."""
    stored = _stored(db, project_id, {arrival.client_id for arrival in arrivals})
    new = list(_first_of_each(arrival for arrival in arrivals if arrival.client_id not in stored))
    if not new:
        return set(), stored
    conversations = _conversations(db, project_id, new)
    # Every batch locks in the same order, so that two batches with the same ids never wait for each other in a circle.
    new.sort(key=lambda arrival: arrival.client_id or "")
    values = [{**a.values, "conversation_id": conversations.get(a.conversation or "")} for a in new]
    written = {"captured_at": clock.now(), "feed_number": feeds.number_of(db.connection())}
    for row in values:
        row.update(written)
    if insert_missing(db, Response, values):
        stored.update({a.client_id: Stored(a.values["id"], a.values["content_hash"]) for a in new if a.client_id})
    else:  # another batch was quicker with some of them
        stored.update(_stored(db, project_id, {arrival.client_id for arrival in new}))
    kept = {known.id for known in stored.values()}
    return {a.values["id"] for a in new if a.client_id is None or a.values["id"] in kept}, stored


def _stored(db: Session, project_id: UUID, client_ids: set[str | None]) -> dict[str | None, Stored]:
    rows = rows_with_client_ids(db, Response, project_id, (name for name in client_ids if name is not None))
    return {row.client_id: Stored(row.id, row.content_hash) for row in rows}


def _first_of_each(arrivals: Iterable[Arrival]) -> Iterable[Arrival]:
    seen: set[str] = set()
    for arrival in arrivals:
        if arrival.client_id is not None:
            if arrival.client_id in seen:
                continue
            seen.add(arrival.client_id)
        yield arrival


def _conversations(db: Session, project_id: UUID, arrivals: list[Arrival]) -> dict[str, UUID]:
    """Return our ids of the conversations that these rows belong to, making those that are new."""
    wanted: dict[str, str | None] = {}
    for arrival in arrivals:
        if arrival.conversation is not None:
            wanted[arrival.conversation] = wanted.get(arrival.conversation) or arrival.values["end_user"]
    if not wanted:
        return {}
    known = _known_conversations(db, project_id, wanted)
    missing: list[dict[str, Any]] = [
        {"id": new_id(), "project_id": project_id, "client_id": name, "end_user": wanted[name], "metadata": {}}
        for name in sorted(wanted.keys() - known.keys())
    ]
    if missing:
        made_at = clock.now()
        if insert_missing(db, Conversation, [{**values, "created_at": made_at} for values in missing]):
            known.update({values["client_id"]: (values["id"], values["end_user"]) for values in missing})
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
    return {row.client_id: (row.id, row.end_user) for row in rows}


def _result(arrival: Arrival, created: set[UUID], stored: dict[str | None, Stored], at: str) -> Result:
    identifier = arrival.values["id"]
    if identifier in created:
        return Result("created", identifier)
    known = stored[arrival.client_id]
    if known.content_hash == arrival.values["content_hash"]:
        return Result("duplicate", known.id)
    return rejected(IdTaken(param=f"{at}/{arrival.index}/client_id" if at else "/client_id"))


def _tell(db: Session, project_id: UUID, created: list[Arrival]) -> None:
    if not created:
        return
    events.publish(db, ResponsesCaptured(project_id, [arrival.values["id"] for arrival in created]))
    feedback.attach_waiting(
        db,
        project_id,
        responses=[arrival.client_id for arrival in created if arrival.client_id is not None],
        conversations=sorted({arrival.conversation for arrival in created if arrival.conversation is not None}),
    )
