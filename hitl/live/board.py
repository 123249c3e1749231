"""The board: which conversations go on, and which need a person.

It costs the same however many conversations go on: each group walks an index and stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import User
from hitl.capture.models import Conversation
from hitl.core import clock
from hitl.live.models import Hold, LiveConversation
from hitl.live.needs import KINDS
from hitl.live.queries import live_conversations, needing_conversations

ACTIVE = timedelta(hours=24)  # a conversation in which nobody said anything for longer is over, until somebody does
SHOWN = 60  # conversations in all, so that a busy board costs no more than a calm one
NEEDING_SHOWN, WITH_PERSON_SHOWN, ALONE_SHOWN = 40, 20, 10  # of each group at least, if there are so many
COUNTED = 1_000  # counting goes this far and no further

Whose = Literal["all", "needs", "mine"]


@dataclass(frozen=True)
class Group:
    """Some conversations, and how many there are of their kind, up to COUNTED."""

    talks: Sequence[LiveConversation]
    count: int

    @property
    def counting_stopped(self) -> bool:
        """Whether there may be more."""
        return self.count >= COUNTED


@dataclass(frozen=True)
class Board:
    """What supervisors see first."""

    needing: Group  # the most urgent first
    with_person: Group
    alone: Group  # with the bot, the newest first
    holds: dict[UUID, Hold]  # what is held, by conversation


def board_of(db: Session, project_id: UUID, by: User, *, whose: Whose = "all", search: str = "") -> Board:
    """Return the board of a project as somebody asks for it.

    search: a piece of the newest message, of the application's own id, or of the end user's pseudonym.
    """
    found = _found(search)
    nothing = Group((), 0)
    needing = _group(db, needing_conversations(project_id).where(*found), NEEDING_SHOWN) if whose != "mine" else nothing
    taken = LiveConversation.holder_id == by.id if whose == "mine" else LiveConversation.holder_id.is_not(None)
    with_person = live_conversations(project_id).where(taken, LiveConversation.needs_since.is_(None), *found)
    alone = live_conversations(project_id).where(
        LiveConversation.holder_id.is_(None), LiveConversation.needs_since.is_(None), *found
    )
    if not search:
        alone = alone.where(LiveConversation.last_at > clock.now() - ACTIVE)
    people = _group(db, _newest_first(with_person), WITH_PERSON_SHOWN) if whose != "needs" else nothing
    left = max(ALONE_SHOWN, SHOWN - len(needing.talks) - len(people.talks))
    return Board(
        Group(sorted(needing.talks, key=urgency), needing.count),
        people,
        _group(db, _newest_first(alone), left) if whose == "all" else nothing,
        open_holds_in(db, [talk.id for talk in needing.talks]),
    )


def urgency(talk: LiveConversation) -> tuple[int, datetime]:
    """Return what conversations that need a person are sorted by."""
    kind = talk.needs[0]["kind"] if talk.needs else KINDS[-1]
    return KINDS.index(kind), talk.needs_since or talk.last_at


def needing_count(db: Session, project_id: UUID) -> int:
    """Return how many conversations of a project need a person, up to COUNTED."""
    return _count(db, needing_conversations(project_id))


def open_holds_in(db: Session, conversation_ids: Sequence[UUID]) -> dict[UUID, Hold]:
    """Return what is held in these conversations."""
    open_ones = select(Hold).where(Hold.conversation_id.in_(conversation_ids), Hold.ended_at.is_(None))
    return {hold.conversation_id: hold for hold in db.scalars(open_ones)}


def _newest_first(query: Select[LiveConversation]) -> Select[LiveConversation]:
    return query.order_by(LiveConversation.last_at.desc(), LiveConversation.id.desc())


def _group(db: Session, query: Select[LiveConversation], limit: int) -> Group:
    shown = query.options(joinedload(LiveConversation.conversation), joinedload(LiveConversation.holder_user))
    talks = db.scalars(shown.limit(limit)).all()
    return Group(talks, len(talks) if len(talks) < limit else _count(db, query))


def _count(db: Session, query: Select[LiveConversation]) -> int:
    some = query.with_only_columns(LiveConversation.id).order_by(None).limit(COUNTED).subquery()
    return db.scalar(select(func.count()).select_from(some)) or 0


def _found(search: str) -> list[ColumnElement[bool]]:
    if not search:
        return []
    of_conversation = select(Conversation.id).where(
        or_(Conversation.client_id.contains(search, autoescape=True), Conversation.end_user.startswith(search))
    )
    return [
        or_(LiveConversation.last_text.icontains(search, autoescape=True), LiveConversation.id.in_(of_conversation))
    ]
