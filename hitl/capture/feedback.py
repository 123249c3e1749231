"""What end users said: kept with its response or conversation, or until that arrives.

One source has one say of each kind about a response: a repeat updates, and what was said later counts, in whatever
order it arrives.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, Uuid, and_, bindparam, delete, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from hitl.accounts.models import Project
from hitl.capture.bulk import rows_with_client_ids
from hitl.capture.errors import RowInvalid, UnknownResponse
from hitl.capture.events import FeedbackGiven
from hitl.capture.masking import Masking
from hitl.capture.models import Conversation, Feedback, Response, WaitingFeedback
from hitl.capture.results import Result, rejected
from hitl.capture.rows import FeedbackRow, read_row
from hitl.core import clock, events
from hitl.core.database import insert_into
from hitl.core.ids import new_id
from hitl.core.prepared import Prepared
from hitl.core.secrets import keys_of

WAITS = timedelta(hours=24)
ATTACHED_AT_ONCE = 500


class Subject(NamedTuple):
    """What feedback is about. `id` is ours; where it waits, the client's."""

    kind: str  # "response" or "conversation"
    id: UUID | str


class Saying(NamedTuple):
    """Of what there is one: who said what kind of thing about what."""

    subject: Subject
    kind: str
    source: str


@dataclass(frozen=True)
class Words:
    """What was said."""

    value: Any
    comment: str | None
    given_at: datetime
    id: UUID

    def repeats(self, earlier: "Words") -> bool:
        """Whether this adds nothing: it says the same, or is older."""
        same_value = self.value == earlier.value and isinstance(self.value, bool) == isinstance(earlier.value, bool)
        return (same_value and self.comment == earlier.comment) or self.given_at < earlier.given_at


def give_feedback(db: Session, project: Project, rows: Sequence[Any], *, at: str = "") -> list[Result]:
    """Keep a batch of feedback rows as they were parsed from JSON, and say what became of each.

    created, updated, duplicate (nothing new), waiting (the response is not here yet; kept for a day), or rejected.

    at: JSON pointer of the list of rows, for the `param` of errors; by default they point into the row.
    """
    results: dict[int, Result] = {}
    valid: dict[int, FeedbackRow] = {}
    for index, raw in enumerate(rows):
        try:
            valid[index] = read_row(FeedbackRow, raw, f"{at}/{index}" if at else "")
        except RowInvalid as problem:
            results[index] = rejected(problem)
    subjects = _subjects(db, project.id, valid.values())
    masking = Masking.of(project, keys_of(db))
    sayings: dict[int, tuple[Saying, Words]] = {}
    for index, row in valid.items():
        subject = subjects(row)
        if subject is None:
            results[index] = rejected(UnknownResponse(param=f"{at}/{index}/response" if at else "/response"))
        else:
            sayings[index] = Saying(subject, row.kind, row.source), _words(row, masking)
    results.update(_keep(db, project.id, sayings))
    return [results[index] for index in range(len(rows))]


def attach_waiting(
    db: Session, project_id: UUID, *, responses: Sequence[str] = (), conversations: Sequence[str] = ()
) -> None:
    """Give the responses and conversations with these client ids the feedback that waited for them."""
    if _ANY_WAITING.first(db.connection(), {"project": project_id}) is None:
        return  # as nearly always: spares a look for each of these ids
    waiting = db.scalars(
        select(WaitingFeedback)
        .where(
            WaitingFeedback.project_id == project_id,
            or_(
                and_(WaitingFeedback.subject == "response", WaitingFeedback.client_id.in_(responses)),
                and_(WaitingFeedback.subject == "conversation", WaitingFeedback.client_id.in_(conversations)),
            ),
        )
        # Those who store the same feedback again at this moment lock in this order too.
        .order_by(*WAITING_ORDER)
        .with_for_update()
    ).all()
    if not waiting:
        return
    ours = _our_ids(db, project_id, responses=responses, conversations=conversations)
    arrived = [
        (
            Saying(Subject(row.subject, ours[row.subject][row.client_id]), row.kind, row.source),
            Words(row.value, row.comment, row.given_at, row.id),
        )
        for row in waiting
        if row.client_id in ours[row.subject]
    ]
    attached = {words.id for _saying, words in arrived}
    _keep(db, project_id, dict(enumerate(arrived)))
    db.execute(delete(WaitingFeedback).where(WaitingFeedback.id.in_(attached)))


_ANY_WAITING = Prepared(
    select(WaitingFeedback.id).where(WaitingFeedback.project_id == bindparam("project", type_=Uuid)).limit(1)
)


def attach_late(db: Session) -> None:
    """Attach feedback whose response arrived at the very moment it was put to wait, so that neither saw the other."""
    arrived = or_(
        and_(
            WaitingFeedback.subject == "response",
            select(Response.id)
            .where(Response.project_id == WaitingFeedback.project_id, Response.client_id == WaitingFeedback.client_id)
            .exists(),
        ),
        and_(
            WaitingFeedback.subject == "conversation",
            select(Conversation.id)
            .where(
                Conversation.project_id == WaitingFeedback.project_id,
                Conversation.client_id == WaitingFeedback.client_id,
            )
            .exists(),
        ),
    )
    while found := db.execute(
        select(WaitingFeedback.project_id, WaitingFeedback.subject, WaitingFeedback.client_id)
        .where(arrived)
        .limit(ATTACHED_AT_ONCE)
    ).all():
        for project_id in sorted({row.project_id for row in found}):
            here = [row for row in found if row.project_id == project_id]
            attach_waiting(
                db,
                project_id,
                responses=[row.client_id for row in here if row.subject == "response"],
                conversations=[row.client_id for row in here if row.subject == "conversation"],
            )


def forget_waiting(db: Session) -> None:
    """Delete feedback whose response did not come within a day."""
    db.execute(delete(WaitingFeedback).where(WaitingFeedback.received_at < clock.now() - WAITS))


WAITING_ORDER = (
    WaitingFeedback.subject,
    WaitingFeedback.client_id,
    WaitingFeedback.kind,
    WaitingFeedback.source,
)


def _subjects(db: Session, project_id: UUID, rows: Iterable[FeedbackRow]) -> "Finder":
    rows = list(rows)
    asked = {row.response for row in rows if row.response is not None}
    known = set(db.scalars(select(Response.id).where(Response.project_id == project_id, Response.id.in_(asked))))
    ours = _our_ids(
        db,
        project_id,
        responses=[row.client_id for row in rows if row.client_id is not None],
        conversations=[row.conversation_id for row in rows if row.conversation_id is not None],
    )
    return Finder(known, ours)


@dataclass(frozen=True)
class Finder:
    """Finds what a row is about among what was looked up for the whole batch."""

    known: set[UUID]
    ours: dict[str, dict[str, UUID]]  # by kind of subject, from the client's id

    def __call__(self, row: FeedbackRow) -> Subject | None:
        """Return the subject; None when our id is given and means nothing."""
        if row.response is not None:
            return Subject("response", row.response) if row.response in self.known else None
        if row.client_id is not None:
            return Subject("response", self.ours["response"].get(row.client_id, row.client_id))
        named = row.conversation_id or ""  # never empty: a row names exactly one of the three
        return Subject("conversation", self.ours["conversation"].get(named, named))


def _our_ids(
    db: Session, project_id: UUID, *, responses: Sequence[str], conversations: Sequence[str]
) -> dict[str, dict[str, UUID]]:
    return {
        "response": {row.client_id: row.id for row in rows_with_client_ids(db, Response, project_id, responses)},
        "conversation": {
            row.client_id: row.id for row in rows_with_client_ids(db, Conversation, project_id, conversations)
        },
    }


def _words(row: FeedbackRow, masking: Masking) -> Words:
    scope = row.conversation_id or row.client_id or str(row.response)
    value = masking.text(row.value, scope) if isinstance(row.value, str) else row.value
    return Words(value, masking.text(row.comment, scope), row.given_at or clock.now(), new_id())


def _keep(db: Session, project_id: UUID, sayings: dict[int, tuple[Saying, Words]]) -> dict[int, Result]:
    """Store what is new among these sayings, and tell about it."""
    subjects = {saying.subject for saying, _words in sayings.values()}
    latest = _known(db, project_id, subjects)
    statuses: dict[int, str] = {}
    changed: set[Saying] = set()
    for index, (saying, words) in sayings.items():
        earlier = latest.get(saying)
        if earlier is not None and words.repeats(earlier):
            statuses[index] = "duplicate"
        else:
            statuses[index] = "created" if earlier is None else "updated"
            latest[saying] = words
            changed.add(saying)
        if _waits(saying):
            statuses[index] = "waiting"
    if changed:
        for saying in sorted(changed, key=_order):
            _upsert(db, project_id, saying, latest[saying])
        latest = _known(db, project_id, subjects)  # with the ids of those that were there before
        _tell(db, project_id, {saying.subject for saying in changed if not _waits(saying)})
    return {index: Result(statuses[index], latest[saying].id) for index, (saying, _words) in sayings.items()}


def _waits(saying: Saying) -> bool:
    return isinstance(saying.subject.id, str)


def _order(saying: Saying) -> tuple[str, str, str, str]:
    return saying.subject.kind, str(saying.subject.id), saying.kind, saying.source


def _known(db: Session, project_id: UUID, subjects: set[Subject]) -> dict[Saying, Words]:
    """Return what was said before about these subjects, kept or waiting."""
    known: dict[Saying, Words] = {}
    for kind, column in _SUBJECT_COLUMNS.items():
        ours = [subject.id for subject in subjects if subject.kind == kind and isinstance(subject.id, UUID)]
        if ours:
            known.update(
                (Saying(Subject(kind, getattr(row, column.key)), row.kind, row.source), _words_of(row))
                for row in db.execute(select(Feedback.__table__).where(column.in_(ours)))
            )
        theirs = [subject.id for subject in subjects if subject.kind == kind and isinstance(subject.id, str)]
        if theirs:
            known.update(
                (Saying(Subject(kind, row.client_id), row.kind, row.source), _words_of(row))
                for row in db.execute(
                    select(WaitingFeedback.__table__).where(
                        WaitingFeedback.project_id == project_id,
                        WaitingFeedback.subject == kind,
                        WaitingFeedback.client_id.in_(theirs),
                    )
                )
            )
    return known


_SUBJECT_COLUMNS: dict[str, InstrumentedAttribute[UUID | None]] = {
    "response": Feedback.response_id,
    "conversation": Feedback.conversation_id,
}


def _words_of(row: Row[Any]) -> Words:
    return Words(row.value, row.comment, row.given_at, row.id)


def _upsert(db: Session, project_id: UUID, saying: Saying, words: Words) -> None:
    table, subject, unique = _place(saying)
    now = clock.now()
    insert = insert_into(db, table).values(
        id=words.id,
        project_id=project_id,
        **subject,
        kind=saying.kind,
        source=saying.source,
        value=words.value,
        comment=words.comment,
        given_at=words.given_at,
        **({"received_at": now} if _waits(saying) else {"updated_at": now}),
    )
    changes = ["value", "comment", "given_at", *(["received_at"] if _waits(saying) else ["updated_at", "feed_number"])]
    db.execute(
        insert.on_conflict_do_update(
            **unique,
            set_={name: insert.excluded[name] for name in changes},
            # Another transaction may have stored something newer meanwhile.
            where=insert.excluded.given_at >= table.given_at,
        )
    )


def _place(saying: Saying) -> tuple[type[Feedback | WaitingFeedback], dict[str, Any], dict[str, Any]]:
    """Return the table, the columns that name the subject, and the unique index to conflict with."""
    subject = saying.subject
    if _waits(saying):
        columns = {"subject": subject.kind, "client_id": subject.id}
        return WaitingFeedback, columns, {"index_elements": ["project_id", *columns, "kind", "source"]}
    column = _SUBJECT_COLUMNS[subject.kind].key
    unique = {"index_elements": [column, "kind", "source"], "index_where": text(f"{column} IS NOT NULL")}
    return Feedback, {column: subject.id}, unique


def _tell(db: Session, project_id: UUID, subjects: set[Subject]) -> None:
    responses = {subject.id for subject in subjects if subject.kind == "response"}
    conversations = [subject.id for subject in subjects if subject.kind == "conversation"]
    if conversations:
        responses.update(db.scalars(select(Response.id).where(Response.conversation_id.in_(conversations))))
    if responses:
        events.publish(db, FeedbackGiven(project_id, sorted(UUID(str(response)) for response in responses)))


def feedback_by_response(db: Session, responses: Sequence[Any]) -> dict[UUID, list[Feedback]]:
    """Return by response id what was said about each response, and about its conversation.

    responses: rows with id and conversation_id.
    """
    conversations = {row.conversation_id for row in responses if row.conversation_id is not None}
    about = or_(Feedback.response_id.in_([row.id for row in responses]), Feedback.conversation_id.in_(conversations))
    given: dict[UUID | None, list[Feedback]] = defaultdict(list)
    for feedback in db.scalars(select(Feedback).where(about)):
        given[feedback.response_id or feedback.conversation_id].append(feedback)
    return {row.id: given[row.id] + (given[row.conversation_id] if row.conversation_id else []) for row in responses}
