"""What is learned when something is decided."""

from uuid import UUID

from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.events import FeedbackGiven
from hitl.core.events import after, within
from hitl.live.events import InterventionSettled
from hitl.live.models import Intervention
from hitl.preferences.derivation import derive
from hitl.preferences.end_users import take_thumbs_as_verdicts
from hitl.preferences.interventions import learn
from hitl.review.events import ReviewAdmitted, ReviewRevised, ReviewSubmitted
from hitl.review.models import Review, Revision


@within(ReviewSubmitted)
def learn_from_submission(db: Session, fact: ReviewSubmitted) -> None:
    """Derive what the submitted review teaches: by an older revision, where the new one was not made blind."""
    review = db.get_one(Review, fact.review_id)
    if review.counting_revision_id is not None:
        _learn(db, review.id, review.counting_revision_id)


@within(ReviewRevised)
def learn_from_revision(db: Session, fact: ReviewRevised) -> None:
    """Derive what the review teaches now; what its older revision taught no longer counts."""
    _learn(db, fact.review_id, fact.revision_id)


@within(ReviewAdmitted)
def learn_from_admitted(db: Session, fact: ReviewAdmitted) -> None:
    """Derive what an extra teaches once it counts."""
    _learn(db, fact.review_id, fact.revision_id)


@within(InterventionSettled)
def learn_from_intervention(db: Session, fact: InterventionSettled) -> None:
    """Derive what a person's intervention teaches, in the transaction that sends what they said."""
    learn(db, db.get_one(Intervention, fact.intervention_id))


@after(FeedbackGiven)
def learn_from_end_users(db: Session, fact: FeedbackGiven) -> None:
    """Take end users' thumbs as verdicts, where the project wants that."""
    take_thumbs_as_verdicts(db, db.get_one(Project, fact.project_id), fact.response_ids)


def _learn(db: Session, review_id: UUID, revision_id: UUID) -> None:
    derive(db, db.get_one(Review, review_id), db.get_one(Revision, revision_id))
