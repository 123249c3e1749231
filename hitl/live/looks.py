"""One look into a conversation, for everybody in this process who follows it.

A hundred who follow one conversation are woken at once by each of its events. The first of them reads the database, the
others get what that one found: a look is as good for all of them, for it began after the event was committed.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.core.bell import POLL_SECONDS
from hitl.core.database import Database
from hitl.live.models import Draft, Event, LiveConversation
from hitl.live.queries import events_after
from hitl.live.topics import topic_of

EVENTS_AT_ONCE = 200
LASTS_SECONDS = 10.0  # a ring may have been lost


@dataclass(frozen=True)
class Look:
    """How a conversation was when it was looked into."""

    events: Sequence[Event]  # the newest ones, at most EVENTS_AT_ONCE, in order and without a gap
    after: int  # number of the last event before them; 0: there is none
    newest: int  # number of the newest event; 0: there is none
    streaming: str | None  # what the bot said so far of what it is saying right now
    ring: int  # the newest one that was heard before it was looked
    at: float  # by the monotonic clock


class SharedLook:
    """The newest look into a conversation that anybody in this process took."""

    def __init__(self, database: Database, conversation_id: UUID) -> None:
        self.readers = 0
        self._database, self._conversation_id = database, conversation_id
        self._lock = threading.Lock()  # whoever waits for it finds a look that somebody else took
        self._look: Look | None = None
        self._failure: Exception | None = None
        self._failed_at = 0.0

    def now(self) -> Look:
        """Return how the conversation is now. The caller listens to the conversation's topic.

        Raises what the database raises.
        """
        began = monotonic()
        with self._lock:
            if self._failure is not None and self._failed_at >= began:
                raise self._failure  # who waited for it does not wait again, each after the other
            ring = self._database.bell.newest_ring(topic_of(self._conversation_id))
            if self._look is None or not self._is_fresh(self._look, ring):
                try:
                    self._look, self._failure = self._take(self._look, ring), None
                except Exception as failure:
                    self._failure, self._failed_at = failure, monotonic()
                    raise
            return self._look

    def _is_fresh(self, look: Look, ring: int) -> bool:
        lasts = LASTS_SECONDS if self._database.bell.hears_all else POLL_SECONDS / 2
        return look.ring == ring and monotonic() - look.at < lasts

    def _take(self, last: Look | None, ring: int) -> Look:
        began = monotonic()
        with self._database.reading() as db:
            number = db.scalar(select(LiveConversation.last_number).where(LiveConversation.id == self._conversation_id))
            newest = number or 0
            after = max(newest - EVENTS_AT_ONCE, 0)
            known = [] if last is None else [event for event in last.events if event.number > after]
            read_to = known[-1].number if known else after
            fresh = events_of(db, self._conversation_id, read_to, newest) if newest > read_to else []
            return Look([*known, *fresh], after, newest, _streaming_text(db, self._conversation_id), ring, began)


def events_of(
    db: Session, conversation_id: UUID, after: int, up_to: int | None = None, audience: str | None = None
) -> Sequence[Event]:
    """Return the next events of a conversation with who caused them, at most EVENTS_AT_ONCE."""
    query = events_after(conversation_id, after, audience).options(joinedload(Event.user)).limit(EVENTS_AT_ONCE)
    if up_to is not None:
        query = query.where(Event.number <= up_to)
    return db.scalars(query).all()


_shared: WeakKeyDictionary[Database, dict[UUID, SharedLook]] = WeakKeyDictionary()
_shared_lock = threading.Lock()


@contextmanager
def shared_look(database: Database, conversation_id: UUID) -> Iterator[SharedLook]:
    """Share the looks of whoever follows this conversation in this process; kept for as long as anybody does."""
    with _shared_lock:
        looks = _shared.setdefault(database, {})
        shared = looks.setdefault(conversation_id, SharedLook(database, conversation_id))
        shared.readers += 1
    try:
        yield shared
    finally:
        with _shared_lock:
            shared.readers -= 1
            if not shared.readers:
                del looks[conversation_id]


def _streaming_text(db: Session, conversation_id: UUID) -> str | None:
    going_out = select(Draft.streamed).join(LiveConversation, LiveConversation.streaming_id == Draft.id)
    return db.scalar(going_out.where(LiveConversation.id == conversation_id))
