"""What was decided, by whom."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, select
from sqlalchemy.orm import joinedload, selectinload

from hitl.accounts.models import Project, User
from hitl.queue.models import Item, ItemTarget, Lease
from hitl.review.models import Review, Revision, RubricVersion

# A revision with all its marks, in one query for each kind.
WITH_MARKS = (
    selectinload(Revision.ratings),
    selectinload(Revision.tags),
    selectinload(Revision.remarks),
    selectinload(Revision.corrections),
    selectinload(Revision.rankings),
    selectinload(Revision.spans),
)


def submitted_reviews(reviewer: User) -> Select[Review]:
    """A person's reviews that are not open again."""
    return select(Review).where(Review.reviewer_id == reviewer.id, Review.standing != "reopened")


def my_reviews(reviewer: User, project: Project) -> Select[Review]:
    """A person's reviews in a project, newest first, each with its item, response and revisions."""
    return (
        submitted_reviews(reviewer)
        .where(Review.project_id == project.id)
        .options(
            joinedload(Review.item).selectinload(Item.targets).joinedload(ItemTarget.response),
            selectinload(Review.revisions).options(*WITH_MARKS),
        )
        .order_by(Review.id.desc())
    )


def reviews_in(project: Project) -> Select[Review]:
    """All reviews of a project, with who made them and their revisions."""
    return (
        select(Review)
        .where(Review.project_id == project.id)
        .options(
            joinedload(Review.reviewer),
            joinedload(Review.item).selectinload(Item.targets),
            selectinload(Review.revisions).options(*WITH_MARKS),
        )
    )


def reviews_of(item: Item) -> Select[Review]:
    """The reviews of an item in the order in which they were first submitted, extras among them."""
    return (
        select(Review)
        .where(Review.item_id == item.id)
        .options(joinedload(Review.reviewer), selectinload(Review.revisions).options(*WITH_MARKS))
        .order_by(Review.id)
    )


def waits_to_be_counted() -> ColumnElement[bool]:
    """Whether an item has a review that came too late to count, and that a lead may let count."""
    return exists().where(Review.item_id == Item.id, Review.standing == "extra")


def history(item: Item) -> Select[Revision]:
    """Everything that was ever submitted about an item, oldest first, with its review and reviewer."""
    return (
        select(Revision)
        .join(Revision.review)
        .where(Review.item_id == item.id)
        .options(joinedload(Revision.review).joinedload(Review.reviewer), *WITH_MARKS)
        .order_by(Revision.submitted_at, Revision.id)
    )


def review_count_since(reviewer: User, project: Project, since: datetime) -> Select[int]:
    """How many items a person has finished in a project since a moment: at midnight, today's count."""
    return (
        select(func.count())
        .select_from(Review)
        .join(Lease, Lease.id == Review.lease_id)
        .where(
            Review.reviewer_id == reviewer.id,
            Review.project_id == project.id,
            Review.standing != "reopened",
            Lease.ended_at >= since,
        )
    )


# Asked with each item that a reviewer opens: how many items they have finished in a project since a moment, and whether
# they ever finished one.
_MINE = (
    Review.reviewer_id == bindparam("reviewer"),
    Review.project_id == bindparam("project"),
    Review.standing != "reopened",
)
DAY_SO_FAR = select(
    select(func.count())
    .select_from(Review)
    .join(Lease, Lease.id == Review.lease_id)
    .where(*_MINE, Lease.ended_at >= bindparam("since"))
    .scalar_subquery(),
    exists().where(*_MINE),
)


def last_submitted(reviewer: User, project: Project) -> Select[Review]:
    """The review that a person submitted last: what undo takes back."""
    return (
        submitted_reviews(reviewer)
        .join(Lease, Lease.id == Review.lease_id)
        .where(Review.project_id == project.id)
        .order_by(Lease.ended_at.desc(), Review.id.desc())
        .limit(1)
    )


def newest_revision(review_id: UUID) -> Select[Revision]:
    """The revision that says what a review says now."""
    return (
        select(Revision)
        .where(Revision.review_id == review_id)
        .options(*WITH_MARKS)
        .order_by(Revision.number.desc())
        .limit(1)
    )


def rubric_versions(project: Project) -> Select[RubricVersion]:
    """The published rubric versions of a project."""
    return select(RubricVersion).where(RubricVersion.project_id == project.id, RubricVersion.published_at.is_not(None))
