"""What live conversations do when they hear of something."""

from sqlalchemy.orm import Session

from hitl.accounts.events import MemberRemoved, UserDeactivated
from hitl.accounts.models import User
from hitl.core.events import within
from hitl.live.models import LiveConversation
from hitl.live.queries import conversations_held_by
from hitl.live.taking_over import hand_back_all


@within(UserDeactivated)
def let_bot_speak_everywhere(db: Session, fact: UserDeactivated) -> None:
    """Hand back the conversations of somebody whose account was closed."""
    hand_back_all(db, db.get_one(User, fact.user_id), conversations_held_by(fact.user_id))


@within(MemberRemoved)
def let_bot_speak_in_project(db: Session, fact: MemberRemoved) -> None:
    """Hand back the conversations of somebody who left the project."""
    held = conversations_held_by(fact.user_id).where(LiveConversation.project_id == fact.project_id)
    hand_back_all(db, db.get_one(User, fact.user_id), held)
