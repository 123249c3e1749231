"""Reading what a version is made of: first narrow (which evidence, by which input), then whole inputs in short batches.

No transaction lasts longer than one batch, so that a freeze holds no old snapshot in the way of the review queue.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hitl.capture.models import Conversation, Response
from hitl.core.database import Database
from hitl.datasets.demonstrations import Shown
from hitl.datasets.models import DatasetVersion, FrozenRevision
from hitl.datasets.pairs import Judgement, LeftOutReason
from hitl.datasets.selection import Kind, Selection
from hitl.datasets.sides import Side
from hitl.preferences.models import Demonstration, Evidence
from hitl.queue.models import Item
from hitl.queue.models import Selection as Draw
from hitl.queue.rules import inclusion_probability
from hitl.review.models import Review, Revision
from hitl.review.pseudonyms import reviewer_pseudonym

NARROW_BATCH = 20_000
WIDE_BATCH = 500  # with their messages, which may be long
VALUES_PER_STATEMENT = 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a version takes, fixed when its freeze started."""

    version_id: UUID
    project_id: UUID
    kind: Kind
    selection: Selection
    may_train_default: str

    @classmethod
    def of(cls, version: DatasetVersion) -> "Plan":
        """Return the plan of a version."""
        dataset = version.dataset
        selection = Selection.model_validate(version.selection)
        return cls(version.id, dataset.project_id, dataset.kind, selection, version.may_train_default)

    def why_blocked(self, may_train: Iterable[str]) -> LeftOutReason | None:
        """Return why rows made of responses with these `may_train` may not be trained on, if so."""
        allowed = {self.may_train_default if value == "unknown" else value for value in may_train}
        if "no" in allowed:
            return "may_not_train"
        return "may_train_unknown" if "unknown" in allowed and not self.selection.include_unknown else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one response is from."""

    conversation_id: UUID | None
    end_users: frozenset[str]  # pseudonyms: its own, and its conversation's
    model: str | None
    created_at: datetime

    @property
    def ties(self) -> list[str]:
        """What ties rows made of it to other rows."""
        conversation = [f"conversation:{self.conversation_id}"] if self.conversation_id else []
        return [*conversation, *(f"end user:{end_user}" for end_user in sorted(self.end_users))]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Who made a revision, under which rubric."""

    reviewer: str  # pseudonym
    rubric_version_id: UUID


@dataclass(frozen=True, slots=True)
class JudgedSides:
    """One input with all comparisons of answers to it."""

    input_hash: str
    response_id: UUID  # one whose input it is
    findings: list[Judgement]
    response_ids: dict[UUID, tuple[UUID, ...]]  # by the id of a finding


@dataclass(frozen=True, slots=True)
class JudgedAnswers:
    """One input with all answers to it that were shown to be good."""

    input_hash: str
    response_id: UUID  # one whose input it is
    findings: list[Shown]
    response_ids: dict[UUID, tuple[UUID, ...]]  # by the id of a finding


Judged = JudgedSides | JudgedAnswers
JudgedT = TypeVar("JudgedT", JudgedSides, JudgedAnswers)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some inputs, and what is known about all they refer to."""

    inputs: Sequence[Judged]
    origins: dict[UUID, Origin]
    reviewed: dict[UUID, Reviewed]  # by revision
    draws: dict[UUID, list[tuple[UUID, UUID, float, bool]]]  # by response: draw, rule version, rate, drawn
    size: int  # pieces of evidence


def narrow_list(database: Database, plan: Plan) -> list[bytes]:
    """Return input hash and id of all evidence (or all demonstrations) to read, in order of the input.

    48 bytes apiece: a million of them fit in memory where their texts would not.
    """
    table = Evidence if plan.kind == "preference" else Demonstration
    found: list[bytes] = []
    last: UUID | None = None
    while True:
        query = _wanted(plan, table).order_by(table.id).limit(NARROW_BATCH)
        with database.reading() as db:
            rows = db.execute(query if last is None else query.where(table.id > last)).all()
        found.extend(bytes.fromhex(input_hash) + identifier.bytes for identifier, input_hash in rows)
        if len(rows) < NARROW_BATCH:
            return sorted(found)
        last = rows[-1][0]


def batches(database: Database, plan: Plan, narrow: Sequence[bytes]) -> Iterator[Batch]:
    """Read what the narrow list names, whole inputs at a time."""
    start = 0
    while start < len(narrow):
        end = min(start + WIDE_BATCH, len(narrow))
        while end < len(narrow) and narrow[end][:32] == narrow[end - 1][:32]:
            end += 1
        with database.reading() as db:
            yield _read(db, plan, narrow[start:end])
        start = end


def inputs_of(database: Database, response_ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """Return what these responses were asked."""
    with database.reading() as db:
        rows = _rows_in(db, select(Response.id, Response.input), Response.id, response_ids)
    return {row.id: row.input for row in rows}


def chance(draws: Sequence[tuple[UUID, UUID, float, bool]]) -> float | None:
    """Return the chance that any rule draws this response; None when none did: it was picked by hand."""
    if not any(drawn for *_, drawn in draws):
        return None
    return inclusion_probability(rate for _, _, rate, _ in draws)


def _wanted(plan: Plan, table: type[Evidence] | type[Demonstration]) -> Select[UUID, str]:
    chosen = plan.selection
    response_id = Evidence.input_response_id if table is Evidence else Demonstration.response_id
    query = (
        select(table.id, Response.input_hash)
        .join(FrozenRevision, FrozenRevision.revision_id == table.revision_id)
        .join(Response, Response.id == response_id)
        .where(table.project_id == plan.project_id, FrozenRevision.version_id == plan.version_id)
    )
    if chosen.origins is not None:
        query = query.where(table.origin.in_(chosen.origins))
    if chosen.criteria is not None:
        query = query.where(Evidence.criterion.in_(chosen.criteria))
    if chosen.since is not None:
        query = query.where(Response.created_at >= chosen.since)
    if chosen.until is not None:
        query = query.where(Response.created_at < chosen.until)
    return query


def _read(db: Session, plan: Plan, narrow: Sequence[bytes]) -> Batch:
    input_of = {UUID(bytes=entry[32:]): entry[:32].hex() for entry in narrow}
    found: Sequence[Judged]
    if plan.kind == "preference":
        found, origins, revision_ids = _judged_sides(db, plan, input_of)
    else:
        found, origins, revision_ids = _judged_answers(db, plan, input_of)
    return Batch(found, origins, _reviewed(db, plan, revision_ids), _draws(db, origins), len(narrow))


def _judged_sides(
    db: Session, plan: Plan, input_of: dict[UUID, str]
) -> tuple[list[JudgedSides], dict[UUID, Origin], set[UUID]]:
    columns = (
        Evidence.id,
        Evidence.input_response_id,
        Evidence.a_response_id,
        Evidence.a_output,
        Evidence.b_response_id,
        Evidence.b_output,
        Evidence.outcome,
        Evidence.distance,
        Evidence.origin,
        Evidence.revision_id,
    )
    rows = _rows_in(db, select(*columns), Evidence.id, input_of)
    asked = {row.id: row.input_response_id for row in rows}
    named = {row.id: _present(row.input_response_id, row.a_response_id, row.b_response_id) for row in rows}
    outputs, origins, may_train = _responses(db, {i for identifiers in named.values() for i in identifiers})
    findings: dict[str, list[Judgement]] = defaultdict(list)
    for row in rows:
        if not _has_wanted_model(plan, origins, named[row.id]):
            continue
        a = outputs[row.a_response_id] if row.a_response_id else Side.of(row.a_output)
        b = outputs[row.b_response_id] if row.b_response_id else Side.of(row.b_output)
        blocked = plan.why_blocked(may_train[identifier] for identifier in named[row.id])
        findings[input_of[row.id]].append(
            Judgement(row.id, row.revision_id, row.origin, row.outcome, row.distance, a, b, blocked)
        )
    return _by_input(JudgedSides, findings, asked, named), origins, {row.revision_id for row in rows}


def _judged_answers(
    db: Session, plan: Plan, input_of: dict[UUID, str]
) -> tuple[list[JudgedAnswers], dict[UUID, Origin], set[UUID]]:
    columns = (
        Demonstration.id,
        Demonstration.response_id,
        Demonstration.output,
        Demonstration.origin,
        Demonstration.revision_id,
    )
    rows = _rows_in(db, select(*columns), Demonstration.id, input_of)
    asked = {row.id: row.response_id for row in rows}
    named: dict[UUID, tuple[UUID, ...]] = {row.id: (row.response_id,) for row in rows}
    outputs, origins, may_train = _responses(db, set(asked.values()))
    findings: dict[str, list[Shown]] = defaultdict(list)
    for row in rows:
        if not _has_wanted_model(plan, origins, named[row.id]):
            continue
        reviewed = outputs[row.response_id]
        shown = reviewed if row.output is None else Side.of(row.output)
        blocked = plan.why_blocked([may_train[row.response_id]])
        findings[input_of[row.id]].append(Shown(row.id, row.revision_id, row.origin, reviewed, shown, blocked))
    return _by_input(JudgedAnswers, findings, asked, named), origins, {row.revision_id for row in rows}


def _by_input(
    judged: type[JudgedT], findings: dict[str, Any], asked: dict[UUID, UUID], named: dict[UUID, tuple[UUID, ...]]
) -> list[JudgedT]:
    return [
        judged(input_hash, asked[found[0].id], found, {one.id: named[one.id] for one in found})
        for input_hash, found in sorted(findings.items())
    ]


def _responses(db: Session, identifiers: set[UUID]) -> tuple[dict[UUID, Side], dict[UUID, Origin], dict[UUID, str]]:
    columns = (
        Response.id,
        Response.output,
        Response.conversation_id,
        Response.end_user,
        Conversation.end_user.label("end_user_of_conversation"),  # another of its responses may have named them
        Response.model,
        Response.created_at,
        Response.may_train,
    )
    query = select(*columns).outerjoin(Conversation, Conversation.id == Response.conversation_id)
    rows = _rows_in(db, query, Response.id, identifiers)
    return (
        {row.id: Side.of(row.output, row.id) for row in rows},
        {row.id: Origin(row.conversation_id, _end_users(row), row.model, row.created_at) for row in rows},
        {row.id: row.may_train for row in rows},
    )


def _end_users(row: Any) -> frozenset[str]:
    return frozenset(name for name in (row.end_user, row.end_user_of_conversation) if name is not None)


def _reviewed(db: Session, plan: Plan, revision_ids: set[UUID]) -> dict[UUID, Reviewed]:
    query = (
        select(Revision.id, Review.reviewer_id, Item.rubric_version_id)
        .join(Review, Review.id == Revision.review_id)
        .join(Item, Item.id == Review.item_id)
    )
    rows = _rows_in(db, query, Revision.id, revision_ids)
    return {
        row.id: Reviewed(reviewer_pseudonym(db, plan.project_id, row.reviewer_id), row.rubric_version_id)
        for row in rows
    }


def _draws(db: Session, response_ids: Iterable[UUID]) -> dict[UUID, list[tuple[UUID, UUID, float, bool]]]:
    query = select(Draw.response_id, Draw.id, Draw.rule_version_id, Draw.rate, Draw.is_drawn)
    rows = _rows_in(db, query, Draw.response_id, response_ids)
    draws: dict[UUID, list[tuple[UUID, UUID, float, bool]]] = defaultdict(list)
    for response_id, *draw in rows:
        draws[response_id].append((draw[0], draw[1], draw[2], draw[3]))
    return draws


def _rows_in(db: Session, query: Any, column: Any, identifiers: Iterable[UUID]) -> list[Any]:
    """Return the rows of a query for these ids: some at a time, because databases bound the values in one statement."""
    wanted = sorted(identifiers)
    found: list[Any] = []
    connection = db.connection()  # plain rows: the session's own results cost a third more
    for start in range(0, len(wanted), VALUES_PER_STATEMENT):
        found.extend(connection.execute(query.where(column.in_(wanted[start : start + VALUES_PER_STATEMENT]))).all())
    return found


def _present(*identifiers: UUID | None) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(identifier for identifier in identifiers if identifier is not None))


def _has_wanted_model(plan: Plan, origins: dict[UUID, Origin], response_ids: Iterable[UUID]) -> bool:
    models = plan.selection.models
    return models is None or all(origins[identifier].model in models for identifier in response_ids)
