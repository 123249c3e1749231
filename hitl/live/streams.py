"""Following a conversation as it goes on: nothing is missed, nothing comes twice, and nobody stays who may not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.core.database import Database
from hitl.live.models import Draft, Event, LiveConversation
from hitl.live.queries import events_after
from hitl.live.topics import topic_of

BEAT_SECONDS = 15.0  # between signs of life where nothing happens: proxies close silent connections
EVENTS_AT_ONCE = 200

StillAllowed = Callable[[Session], bool]


@dataclass(frozen=True)
class News:
    """What a reader gets at once."""

    events: Sequence[Event]  # in order; none: something else may have changed, or a sign of life
    streaming: str | None  # what the bot said so far of what it is saying right now


def follow(
    database: Database,
    conversation_id: UUID,
    after: int,
    *,
    audience: str | None,
    still_allowed: StillAllowed,
    topics: Sequence[str] = (),
) -> Iterator[News]:
    """Yield what happens in a conversation from event number `after` on, for as long as the reader may see it.

    Each look is a transaction of its own, and what waits to be read stays in the database: a slow reader costs nobody
    memory. Ends when the process is told to stop; whoever reads goes on elsewhere with the newest number they got.

    audience: only events for it; none: all.
    still_allowed: asked at each look.
    topics: what rings when the answer to that may have changed.
    """
    said: str | None = None
    last_sign, woken = 0.0, False
    with database.bell.listen(topic_of(conversation_id), *topics) as heard:
        while not database.bell.is_closed:
            with database.reading() as db:
                if not still_allowed(db):
                    return
                query = events_after(conversation_id, after, audience).limit(EVENTS_AT_ONCE)
                events = db.scalars(query.options(joinedload(Event.user))).all()
                saying = _streaming_text(db, conversation_id)
            if events or woken or saying != said or monotonic() - last_sign >= BEAT_SECONDS:
                after = events[-1].number if events else after
                said, last_sign = saying, monotonic()
                yield News(events, saying)
            woken = len(events) < EVENTS_AT_ONCE and heard.wait(BEAT_SECONDS)


def _streaming_text(db: Session, conversation_id: UUID) -> str | None:
    going_out = select(Draft.streamed).join(LiveConversation, LiveConversation.streaming_id == Draft.id)
    return db.scalar(going_out.where(LiveConversation.id == conversation_id))
