"""Following a conversation as it goes on: nothing is missed, nothing comes twice, and nobody stays who may not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core.bell import Bell
from hitl.core.database import Database
from hitl.live.looks import EVENTS_AT_ONCE, Look, events_of, shared_look
from hitl.live.models import Event
from hitl.live.topics import topic_of

BEAT_SECONDS = 15.0  # between signs of life where nothing happens: proxies close silent connections

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
    has_left: Callable[[], bool],
    topics: Sequence[str] = (),
) -> Iterator[News]:
    """Yield what happens in a conversation from event number `after` on, for as long as the reader may see it.

    Readers in one process share what they find in the database (hitl/live/looks.py), and what waits to be read stays
    there: a slow reader costs nobody memory. Ends when the process is told to stop; whoever reads goes on elsewhere
    with the newest number they got.

    audience: only events for it; none: all.
    still_allowed: asked when one of the topics rings, every 15 seconds, and at each look while rings of other processes
        cannot be heard.
    has_left: whether the reader is gone: then it ends within seconds.
    topics: what rings when the answer to `still_allowed` may have changed.
    """
    rights = _Rights(database, still_allowed, topics)
    said: str | None = None
    last_sign, woken = 0.0, False
    with (
        database.bell.listen(topic_of(conversation_id), *topics) as heard,
        shared_look(database, conversation_id) as here,
    ):
        while not database.bell.is_closed and not has_left():
            if not rights.last():
                return
            look = here.now()
            events, after, is_all = _next(database, conversation_id, look, after, audience)
            saying = look.streaming
            if events or woken or saying != said or monotonic() - last_sign >= BEAT_SECONDS:
                said, last_sign = saying, monotonic()
                yield News(events, saying)
            woken = is_all and heard.wait(BEAT_SECONDS, has_left)


def _next(
    database: Database, conversation_id: UUID, look: Look, after: int, audience: str | None
) -> tuple[Sequence[Event], int, bool]:
    """Return the next events for a reader, up to which number they were looked through, and whether these are all."""
    if after >= look.after:
        events = [event for event in look.events if event.number > after and audience in (None, event.audience)]
        return events, max(after, look.newest), True
    with database.reading() as db:  # they begin further back than anybody else
        earlier = events_of(db, conversation_id, after, look.after, audience)
    is_through = len(earlier) < EVENTS_AT_ONCE
    return earlier, look.after if is_through else earlier[-1].number, False


class _Rights:
    """Whether a reader may still see what they follow."""

    def __init__(self, database: Database, still_allowed: StillAllowed, topics: Sequence[str]) -> None:
        self._database, self._still_allowed, self._topics = database, still_allowed, topics
        self._rings: list[int] = []
        self._asked_at = 0.0

    def last(self) -> bool:
        """Ask again where the answer may have changed. The caller listens to the topics."""
        bell: Bell = self._database.bell
        rings = [bell.newest_ring(topic) for topic in self._topics]
        if bell.hears_all and rings == self._rings and monotonic() - self._asked_at < BEAT_SECONDS:
            return True
        self._rings, self._asked_at = rings, monotonic()
        with self._database.reading() as db:
            return self._still_allowed(db)
