"""What people ask about live conversations."""

from uuid import UUID

from sqlalchemy import Select, func, select

from hitl.accounts.models import Membership, User
from hitl.accounts.permissions import ROLES, Permission
from hitl.live.models import Draft, Event, Hold, LiveConversation

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


def events_after(conversation_id: UUID, number: int, audience: str | None = None) -> Select[Event]:
    """Events of a conversation with a number above this one, in order; only those for an audience, if one is named."""
    query = select(Event).where(Event.conversation_id == conversation_id, Event.number > number)
    if audience is not None:
        query = query.where(Event.audience == audience)
    return query.order_by(Event.number)


def waiting_whispers(conversation_id: UUID) -> Select[Event]:
    """What people told the bot to do with its next answer: whispers since its last draft."""
    last_draft = (
        select(func.coalesce(func.max(Event.number), 0))
        .where(Event.conversation_id == conversation_id, Event.kind == "draft", Event.user_id.is_(None))
        .scalar_subquery()
    )
    return events_after(conversation_id, 0).where(Event.kind == "whisper", Event.number > last_draft)


def live_conversations(project_id: UUID) -> Select[LiveConversation]:
    """The conversations of a project that have turns."""
    return select(LiveConversation).where(LiveConversation.project_id == project_id)


def needing_conversations(project_id: UUID) -> Select[LiveConversation]:
    """The conversations of a project that need a person: those with a held draft first, then by how long they do."""
    needing = live_conversations(project_id).where(LiveConversation.needs_since.is_not(None))
    return needing.order_by(LiveConversation.holder != "gate", LiveConversation.needs_since, LiveConversation.id)


def open_holds(project_id: UUID) -> Select[Hold]:
    """What waits for a person in a project, the nearest deadline first."""
    waiting = select(Hold).where(Hold.project_id == project_id, Hold.ended_at.is_(None))
    return waiting.order_by(Hold.deadline_at, Hold.id)


def drafts_of_project(project_id: UUID) -> Select[Draft]:
    """Drafts in a project's conversations."""
    of_project = select(LiveConversation.id).where(LiveConversation.project_id == project_id)
    return select(Draft).where(Draft.conversation_id.in_(of_project))
