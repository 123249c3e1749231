"""What reviewing does when it hears of something."""

from sqlalchemy.orm import Session

from hitl.accounts.events import ProjectCreated
from hitl.accounts.models import Project
from hitl.core.events import within
from hitl.queue.events import ItemsWanted
from hitl.review.errors import NothingToAsk, NothingToCompareBy
from hitl.review.events import ReviewRevised, ReviewSubmitted
from hitl.review.models import Review, Revision, RubricVersion
from hitl.review.rubrics import publish_rubric, rubric_of_version
from hitl.review.search import index_review
from hitl.review.starter_rubric import starter_rubric


@within(ProjectCreated)
def start_with_a_rubric(db: Session, fact: ProjectCreated) -> None:
    """Give a new project the starter rubric, so that it can be reviewed at once."""
    publish_rubric(db, db.get_one(Project, fact.project_id), starter_rubric())


@within(ReviewSubmitted)
def let_submission_be_found(db: Session, fact: ReviewSubmitted) -> None:
    """Let leads search for what a review says."""
    index_review(db, db.get_one(Review, fact.review_id), db.get_one(Revision, fact.revision_id))


@within(ReviewRevised)
def let_revision_be_found(db: Session, fact: ReviewRevised) -> None:
    """Let leads search for what a review says now."""
    index_review(db, db.get_one(Review, fact.review_id), db.get_one(Revision, fact.revision_id))


@within(ItemsWanted)
def ensure_something_is_asked(db: Session, fact: ItemsWanted) -> None:
    """Refuse items that the rubric in use asks nothing of. Raises NothingToCompareBy, NothingToAsk."""
    rubric = rubric_of_version(db.get_one(RubricVersion, fact.rubric_version_id))
    if not rubric.can_judge(fact.kind, fact.response_count):
        raise NothingToCompareBy if fact.kind == "comparison" else NothingToAsk
