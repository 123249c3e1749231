"""Submitting a review, and what may follow: taking it back, changing it, letting an extra count.

Everything here locks the item first, so that what happens to one item happens in one order.
"""

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.capture.models import Response
from hitl.core import clock, events, feeds
from hitl.core.ids import new_id
from hitl.queue import leases, slots
from hitl.queue.errors import NoOpenSlot
from hitl.queue.models import Item, Lease
from hitl.review.answers import Answers
from hitl.review.drafts import drop_draft, restore_draft
from hitl.review.errors import AlreadySubmitted, NotAnExtra, NothingToUndo, ReviewIsOpen
from hitl.review.events import ReviewAdmitted, ReviewReopened, ReviewRevised, ReviewSubmitted
from hitl.review.judged import judged_of
from hitl.review.models import Review, Revision
from hitl.review.queries import last_submitted, newest_revision
from hitl.review.rubrics import rubric_of
from hitl.review.unblinding import has_looked


def submit_review(db: Session, lease: Lease, answers: Answers, seconds_on_display: float | None = None) -> Review:
    """Keep what the reviewer decided and complete their lease.

    A review that comes after its lease ended takes an open slot if there is one; otherwise it is kept as an extra.
    The same submission again, because its answer got lost on the way, changes nothing and returns the same review.
    Raises AnswersIncomplete, naming the criteria, if the rubric asks for more; AlreadySubmitted; ReviewIsOpen.
    """
    item = _locked_item(db, lease)
    answers.ensure_complete(rubric_of(db, item), judged_of(db, item))
    review = _review_by(db, item, lease.reviewer)
    if review is not None and review.standing != "reopened":
        return _same_again(db, review, answers)
    if review is not None and review.lease_id == lease.id:
        raise ReviewIsOpen  # a late repeat of what was taken back since
    is_unblinded = has_looked(db, item, lease.reviewer_id)
    is_counted = leases.complete(db, lease, locked=item)
    if review is None:
        review = Review(id=new_id(), project_id=item.project_id, item=item, reviewer=lease.reviewer)
        db.add(review)
    review.lease = lease
    review.standing = "counted" if is_counted else "extra"
    revision = _add_revision(db, review, answers, seconds_on_display, is_unblinded)
    drop_draft(db, item, lease.reviewer)
    events.publish(db, ReviewSubmitted(review.id, revision.id))
    return review


def undo(db: Session, reviewer: User, project: Project) -> Lease:
    """Take back what a reviewer submitted last. Raises NothingToUndo."""
    review = db.scalar(last_submitted(reviewer, project))
    if review is None:
        raise NothingToUndo
    return reopen_review(db, review)


def reopen_review(db: Session, review: Review) -> Lease:
    """Give the reviewer their item back with the answers as a draft; until they submit again, none of it counts.

    Raises ReviewIsOpen; TooManyLeases.
    """
    item = _locked_item(db, review)
    if review.standing == "reopened":
        raise ReviewIsOpen
    lease = leases.reopen(db, review.lease, review.standing == "counted")
    said = db.scalars(newest_revision(review.id)).one()
    answers = Answers.of(said, rubric_of(db, item))
    restore_draft(db, item, review.reviewer, answers.as_draft(rubric_of(db, item), judged_of(db, item)))
    review.standing = "reopened"
    review.counting_revision_id = None
    db.flush()
    events.publish(db, ReviewReopened(review.id))
    return lease


def revise(db: Session, review: Review, answers: Answers, seconds_on_display: float | None = None) -> Revision:
    """Keep what the reviewer decides now beside what they decided before; if their review counts, this is what counts.

    The same answers again are no new revision.
    Raises AnswersIncomplete; ReviewIsOpen.
    """
    item = _locked_item(db, review)
    answers.ensure_complete(rubric_of(db, item), judged_of(db, item))
    if review.standing == "reopened":
        raise ReviewIsOpen
    newest = db.scalars(newest_revision(review.id)).one()
    if Answers.of(newest, rubric_of(db, item)) == answers:
        return newest
    is_unblinded = has_looked(db, item, review.reviewer_id)
    revision = _add_revision(db, review, answers, seconds_on_display, is_unblinded)
    events.publish(db, ReviewRevised(review.id, revision.id))
    return revision


def admit(db: Session, review: Review, by: User | None = None) -> Review:
    """Let an extra review take an open slot of its item and count.

    Raises NotAnExtra; NoOpenSlot.
    """
    item = _locked_item(db, review)
    if review.standing != "extra":
        raise NotAnExtra
    if not slots.take_open_slot(item):
        raise NoOpenSlot
    review.lease.holds_slot = True
    review.standing = "counted"
    _let_count(db, review)
    db.flush()
    slots.settle(db, item)
    audit.record(db, by, "review_admitted", review, db.get_one(Project, review.project_id))
    if review.counting_revision_id is not None:
        events.publish(db, ReviewAdmitted(review.id, review.counting_revision_id))
    return review


def reviewed_response(db: Session, item: Item) -> Response | None:
    """Return the one response that an item is about; None for a comparison or a conversation."""
    if item.kind != "response":
        return None
    return item.targets[0].response


def _locked_item(db: Session, held: Lease | Review) -> Item:
    """Lock in the order of hitl/queue/slots.py, then see what was true before the wait as it is now."""
    slots.lock_reviewer(db, held.reviewer_id, held.project_id)
    item = slots.lock_item(db, held.item_id)
    if isinstance(held, Lease):
        slots.read_lease_again(db, held)
    else:
        db.refresh(held)
    return item


def _review_by(db: Session, item: Item, reviewer: User) -> Review | None:
    return db.scalar(_REVIEW_BY, {"item": item.id, "reviewer": reviewer.id})


_REVIEW_BY = (
    select(Review)
    .where(Review.item_id == bindparam("item"), Review.reviewer_id == bindparam("reviewer"))
    .execution_options(populate_existing=True)
)


def _same_again(db: Session, review: Review, answers: Answers) -> Review:
    newest = db.scalars(newest_revision(review.id)).one()
    if Answers.of(newest, rubric_of(db, review.item)) != answers:
        raise AlreadySubmitted
    return review


def _add_revision(
    db: Session, review: Review, answers: Answers, seconds_on_display: float | None, is_unblinded: bool
) -> Revision:
    is_first = review in db.new
    number = 1 if is_first else _last_number(db, review) + 1
    revision = answers.as_revision(rubric_of(db, review.item), judged_of(db, review.item), number, clock.now())
    revision.id = new_id()
    revision.review_id = review.id
    revision.seconds_on_display = seconds_on_display
    revision.is_unblinded = is_unblinded
    db.add(revision)
    review.feed_number = feeds.number_of(db.connection())  # also where nothing else of the review changes
    if is_unblinded:
        _let_count(db, review)
    elif review.standing == "counted":
        review.counting_revision_id = revision.id
    db.flush()
    if is_first:
        set_committed_value(review, "revisions", [revision])
    else:
        db.expire(review, ["revisions"])
    return revision


def _last_number(db: Session, review: Review) -> int:
    return db.scalar(select(func.max(Revision.number)).where(Revision.review_id == review.id)) or 0


def _let_count(db: Session, review: Review) -> None:
    """Let the newest revision count that was made blind."""
    if review.standing == "counted":
        blind = select(Revision.id).where(Revision.review_id == review.id, ~Revision.is_unblinded)
        review.counting_revision_id = db.scalar(blind.order_by(Revision.number.desc()).limit(1))
