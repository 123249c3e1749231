"""What happened to an item, in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import AuditEntry, User
from hitl.queue.models import Assignment, Item, Lease
from webui.queue.decided import ShownReview
from webui.queue.wording import ENDS

_CHANGES = {
    "reviews_wanted_changed": "asked for {reviews_wanted} reviews in place of {before}",
    "item_priority_changed": "set its priority to {priority} from {before}",
    "item_closed": "closed it by hand",
}


@dataclass(frozen=True)
class Moment:
    """One thing that happened."""

    at: datetime
    what: str
    typed: str = ""  # what somebody wrote about it


def history_of(
    db: Session, item: Item, lead: str, leases: Sequence[Lease], reviews: Sequence[ShownReview]
) -> list[Moment]:
    """Return all that happened to an item, oldest first: nothing of what reviewers decided."""
    moments = [
        _made(db, item, lead),
        *_held(leases),
        *_assigned(db, item),
        *_reviewed(reviews),
        *_admitted(db, reviews),
        *_changed(db, item),
    ]
    moments.sort(key=lambda moment: moment.at)
    if item.closed_as != "complete" or item.closed_at is None:
        return moments
    # The last of what closed it is stored a moment later, in the same transaction.
    return [*moments, Moment(item.closed_at, "Closed, all reviews are in")]


def _made(db: Session, item: Item, lead: str) -> Moment:
    by = db.get(User, item.added_by_id) if item.added_by_id is not None else None
    if by is not None:
        return Moment(item.created_at, f"{by.name} put it into the queue by hand")
    return Moment(item.created_at, f"It came into the queue: {lead[0].lower()}{lead[1:].rstrip('.')}")


def _held(leases: Sequence[Lease]) -> Iterator[Moment]:
    for lease in leases:
        yield Moment(lease.started_at, f"{lease.reviewer.name} took it")
        if lease.ended_at is not None and lease.ended_as != "completed":
            yield Moment(lease.ended_at, f"{lease.reviewer.name} {ENDS[lease.ended_as]}", lease.skip_reason or "")


def _assigned(db: Session, item: Item) -> Iterator[Moment]:
    assignments = select(Assignment).where(Assignment.item_id == item.id).options(joinedload(Assignment.reviewer))
    for assignment in db.scalars(assignments):
        by = db.get(User, assignment.assigned_by_id) if assignment.assigned_by_id is not None else None
        name = assignment.reviewer.name
        yield Moment(assignment.created_at, f"{by.name} reserved it for {name}" if by else f"Reserved for {name}")
        if assignment.ended_at is not None:
            yield Moment(assignment.ended_at, f"No longer reserved for {name}")


def _reviewed(reviews: Sequence[ShownReview]) -> Iterator[Moment]:
    for shown in reviews:
        for version in (shown.newest, *shown.earlier):
            if version is not None:
                number = version.revision.number
                what = "reviewed it" if number == 1 else f"submitted revision {number}"
                yield Moment(version.revision.submitted_at, f"{shown.review.reviewer.name} {what}")


def _admitted(db: Session, reviews: Sequence[ShownReview]) -> Iterator[Moment]:
    if not reviews:
        return
    names = {f"review:{shown.review.id}": shown.review.reviewer.name for shown in reviews}
    of_project = AuditEntry.project_id == reviews[0].review.project_id
    admissions = of_project & (AuditEntry.action == "review_admitted") & AuditEntry.subject.in_(names)
    for entry in db.scalars(select(AuditEntry).where(admissions)):
        yield Moment(entry.at, f"The review of {names[entry.subject]} was let count")


def _changed(db: Session, item: Item) -> Iterator[Moment]:
    """What leads wanted of it, as the audit log has it."""
    of_item = (AuditEntry.project_id == item.project_id) & (AuditEntry.subject == f"items:{item.id}")
    known = of_item & AuditEntry.action.in_(_CHANGES)
    found = select(AuditEntry, User.name).outerjoin(User, User.id == AuditEntry.actor_id).where(known)
    for entry, name in db.execute(found.order_by(AuditEntry.id)):
        yield Moment(entry.at, f"{name or 'The service'} {_CHANGES[entry.action].format(**entry.details)}")
