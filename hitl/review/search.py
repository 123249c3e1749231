"""Search over what reviewers said: tags, texts and comments of the newest revision of each review.

There are few words in a review, so they are stored in the transaction that submits it.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.core import jobs
from hitl.core.database import Database, insert_into
from hitl.queue.models import Item
from hitl.queue.search import SEARCHED, Searched, items_with_words
from hitl.queue.words import indexed, of_project, terms_in
from hitl.review.models import Review, Revision, SearchedReview
from hitl.review.queries import newest_revision
from hitl.review.rubrics import Choice, Rubric, Tags, rubric_of

INDEX_REVIEWS = "review.index_words"
INDEXED_AT_ONCE = 200

OF_REVIEWS = Searched(
    "searched_reviews",
    "searched_words_of_reviews",
    select(Review.item_id).join(SearchedReview, SearchedReview.review_id == Review.id),
)
SEARCHED.append(OF_REVIEWS)


def index_review(db: Session, review: Review, newest: Revision) -> None:
    """Store the words of what a review says now, in place of what it said before."""
    texts = list(_texts_of(newest, rubric_of(db, review.item)))
    if newest.number > 1:
        db.execute(delete(SearchedReview).where(SearchedReview.review_id == review.id))
    if texts:
        words = f"{of_project(review.project_id)} {indexed(texts)}"
        # Two jobs may come to the same review.
        row = insert_into(db, SearchedReview).values(review_id=review.id, words=words)
        db.execute(row.on_conflict_do_nothing())


def _texts_of(revision: Revision, rubric: Rubric) -> Iterable[str]:
    if revision.comment:
        yield revision.comment
    yield from (remark.text for remark in revision.remarks)
    labels = {
        (criterion.name, option.value): option.label
        for criterion in rubric.criteria
        if isinstance(criterion, Choice | Tags)
        for option in criterion.options
    }
    yield from (labels.get((tag.criterion, tag.value), tag.value) for tag in revision.tags)


def said_in_reviews(db: Session, project: Project, typed: str, item_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these items of which a reviewer said what is searched for."""
    terms = terms_in(typed)
    if not terms:
        return set()
    found = items_with_words(db, project, terms, OF_REVIEWS)
    return set(db.scalars(select(Item.id).where(Item.id.in_(item_ids), Item.id.in_(found))))


@jobs.long(INDEX_REVIEWS)
def index_reviews(run: jobs.Run) -> None:
    """Store the words of all reviews that have none stored, in short transactions."""
    after: UUID | None = None
    while (after := _index_next(run.database, after)) is not None:
        pass


def _index_next(database: Database, after: UUID | None) -> UUID | None:
    """Index the reviews that follow this one, and return the last of them; None if there were none."""
    with database.writing() as db:
        missing = select(Review).where(~exists().where(SearchedReview.review_id == Review.id))
        if after is not None:
            missing = missing.where(Review.id > after)
        reviews = db.scalars(missing.order_by(Review.id).limit(INDEXED_AT_ONCE)).all()
        for review in reviews:
            index_review(db, review, db.scalars(newest_revision(review.id)).one())
        return reviews[-1].id if reviews else None
