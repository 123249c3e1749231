"""What the queue does when it hears of something."""

from sqlalchemy.orm import Session

from hitl.accounts.events import MemberRemoved, UserDeactivated
from hitl.accounts.models import Project, User
from hitl.capture.events import FeedbackGiven, ResponsesCaptured
from hitl.core.events import after, within
from hitl.queue.drawing import apply_feedback_rules, apply_rules
from hitl.queue.items import release_reviewer


@after(ResponsesCaptured)
def draw_from_captured(db: Session, fact: ResponsesCaptured) -> None:
    """Decide which of the new responses are reviewed."""
    apply_rules(db, db.get_one(Project, fact.project_id), fact.response_ids)


@after(FeedbackGiven)
def draw_from_feedback(db: Session, fact: FeedbackGiven) -> None:
    """Decide again for responses that end users said something about: rules about feedback may fit them now."""
    apply_feedback_rules(db, db.get_one(Project, fact.project_id), fact.response_ids)


@within(UserDeactivated)
def let_go_everywhere(db: Session, fact: UserDeactivated) -> None:
    """Give back what somebody holds whose account was closed."""
    release_reviewer(db, db.get_one(User, fact.user_id))


@within(MemberRemoved)
def let_go_in_project(db: Session, fact: MemberRemoved) -> None:
    """Give back what somebody holds who left the project."""
    release_reviewer(db, db.get_one(User, fact.user_id), db.get_one(Project, fact.project_id))
