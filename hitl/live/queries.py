"""What people ask about live conversations."""

from uuid import UUID

from sqlalchemy import Select, select

from hitl.accounts.models import Membership, User
from hitl.accounts.permissions import ROLES, Permission
from hitl.live.models import LiveConversation

_SPEAKING_ROLES = [role for role, permissions in ROLES.items() if Permission.SUPERVISE in permissions]


def speakers(project_id: UUID) -> Select[User]:
    """Active members who may speak in a project's conversations, by name."""
    may_speak = select(Membership.user_id).where(
        Membership.project_id == project_id, Membership.role.in_(_SPEAKING_ROLES)
    )
    return select(User).where(User.id.in_(may_speak), User.deactivated_at.is_(None)).order_by(User.name, User.id)


def conversations_held_by(user_id: UUID) -> Select[UUID]:
    """Ids of the conversations in which a person speaks."""
    return select(LiveConversation.id).where(LiveConversation.holder_id == user_id).order_by(LiveConversation.id)
