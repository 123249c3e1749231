"""What live conversations do when they hear of something."""

from uuid import UUID

from sqlalchemy.orm import Session

from hitl.accounts.events import MemberRemoved, RoleChanged, UserDeactivated
from hitl.accounts.models import User
from hitl.accounts.permissions import ROLES, Permission
from hitl.core.bell import ring_after_commit
from hitl.core.events import after, within
from hitl.live.events import EventHappened, InterventionSettled
from hitl.live.models import LiveConversation
from hitl.live.queries import conversations_held_by
from hitl.live.second_opinions import request_second_opinion
from hitl.live.taking_over import hand_back_all
from hitl.live.topics import topic_of, topic_of_project


@within(UserDeactivated)
def let_bot_speak_everywhere(db: Session, fact: UserDeactivated) -> None:
    """Hand back the conversations of somebody whose account was closed."""
    hand_back_all(db, db.get_one(User, fact.user_id), conversations_held_by(fact.user_id))


@within(MemberRemoved)
def let_bot_speak_in_project(db: Session, fact: MemberRemoved) -> None:
    """Hand back the conversations of somebody who left the project."""
    _hand_back_in_project(db, fact.user_id, fact.project_id)


@within(RoleChanged)
def let_bot_speak_instead_of_other_roles(db: Session, fact: RoleChanged) -> None:
    """Hand back the conversations of somebody whose new role may not speak."""
    if Permission.SUPERVISE not in ROLES[fact.role]:
        _hand_back_in_project(db, fact.user_id, fact.project_id)


@within(EventHappened)
def wake_readers(db: Session, fact: EventHappened) -> None:
    """Let whoever follows the conversation, or the project's board, look once this is committed."""
    ring_after_commit(db, topic_of(fact.conversation_id), topic_of_project(fact.project_id))


@after(InterventionSettled)
def ask_for_second_opinion(db: Session, fact: InterventionSettled) -> None:
    """Let a reviewer judge the draft, if the intervention is drawn for that."""
    request_second_opinion(db, fact.intervention_id)


def _hand_back_in_project(db: Session, user_id: UUID, project_id: UUID) -> None:
    held = conversations_held_by(user_id).where(LiveConversation.project_id == project_id)
    hand_back_all(db, db.get_one(User, user_id), held)
