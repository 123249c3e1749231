"""Wakes whoever waits for something to be committed. It carries no news: who is woken looks into the database.

A session rings with `ring_after_commit`. Listeners in the same process hear it at once, those in other processes by
Redis where one is configured. Without Redis, and while it is away, listeners wake by themselves each second, so that
nothing is missed; a ring may be lost, and a listener may wake for nothing.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.orm import Session

log = structlog.get_logger()

CHANNEL = "hitl:bell"
POLL_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 5.0  # between attempts to reach Redis
CONNECT_SECONDS = 2.0
ASK_SECONDS = 3.0  # between questions whether whoever waits is still wanted
_PENDING = "topics_to_ring"


class Listener:
    """Waits for rings about some topics."""

    def __init__(self, bell: "Bell") -> None:
        self._bell = bell
        self._woken = threading.Event()

    def wait(self, timeout_seconds: float, is_over: Callable[[], bool] | None = None) -> bool:
        """Wait until it rings, at most so long; whether it rang since the last wait.

        Returns earlier, with False, while rings of other processes cannot be heard, and once the bell is closed: look
        into the database either way.

        is_over: asked every few seconds; ends the wait too.
        """
        if self._bell.is_closed:
            return False
        until = monotonic() + (timeout_seconds if self._bell.hears_all else min(timeout_seconds, POLL_SECONDS))
        rang = False
        while not rang and (left := until - monotonic()) > 0:
            rang = self._woken.wait(left if is_over is None else min(left, ASK_SECONDS))
            if is_over is not None and is_over():
                break
        self._woken.clear()
        return rang

    def wake(self) -> None:
        """Let it look."""
        self._woken.set()


class Bell:
    """One for a process. `hears_all`: whether each ring of each process is heard here just now."""

    def __init__(self, redis_url: str | None = None) -> None:
        """redis_url: of the Redis over which processes wake each other; connects when first listened to or rung."""
        self.is_closed = False
        self.hears_all = False
        self._lock = threading.Lock()
        self._listeners: dict[str, set[Listener]] = defaultdict(set)
        self._ring_numbers = count(1)  # never used twice, also not for a topic that was forgotten meanwhile
        self._newest_rings: dict[str, int] = {}
        self._redis = None if redis_url is None else _redis_at(redis_url)
        self._subscriber: threading.Thread | None = None
        self._silent_until = 0.0  # a Redis that is away is not asked again for each ring

    def ring(self, *topics: str) -> None:
        """Wake who listens to one of these topics, in every process. Never fails: listeners look by themselves too."""
        self._ring_here(topics)
        if self._redis is None or monotonic() < self._silent_until:
            return
        try:
            self._redis.publish(CHANNEL, "\n".join(topics))
        except Exception as error:
            self._silent_until = monotonic() + POLL_SECONDS
            log.warning("bell_cannot_ring", error=str(error))

    @contextmanager
    def listen(self, *topics: str) -> Iterator[Listener]:
        """Hear what rings about one of these topics from now on."""
        listener = Listener(self)
        with self._lock:
            for topic in topics:
                self._listeners[topic].add(listener)
                self._newest_rings.setdefault(topic, next(self._ring_numbers))
            if self._redis is not None and self._subscriber is None:
                self._subscriber = threading.Thread(target=self._hear_others, name="bell", daemon=True)
                self._subscriber.start()
        try:
            yield listener
        finally:
            with self._lock:
                for topic in topics:
                    self._listeners[topic].discard(listener)
                    if not self._listeners[topic]:
                        del self._listeners[topic], self._newest_rings[topic]

    def newest_ring(self, topic: str) -> int:
        """Return a number that rises with each ring about a topic, before whoever listens to it is woken.

        Somebody has to listen to it: nobody's rings are not counted.
        """
        return self._newest_rings[topic]

    def close(self) -> None:
        """Wake everybody for the last time: whoever streams ends."""
        self.is_closed = True
        self._wake_all()

    def _ring_here(self, topics: tuple[str, ...] | list[str]) -> None:
        with self._lock:
            heard = [topic for topic in topics if topic in self._listeners]
            heard_by = {listener for topic in heard for listener in self._listeners[topic]}
            self._newest_rings.update((topic, next(self._ring_numbers)) for topic in heard)
        for listener in heard_by:
            listener.wake()

    def _wake_all(self) -> None:
        with self._lock:
            everybody = {listener for listeners in self._listeners.values() for listener in listeners}
            self._newest_rings.update((topic, next(self._ring_numbers)) for topic in self._listeners)
        for listener in everybody:
            listener.wake()

    def _hear_others(self) -> None:
        pause = POLL_SECONDS
        while not self.is_closed:
            try:
                self._hear_while_connected()
                pause = POLL_SECONDS
            except Exception as error:
                if self.hears_all:
                    log.warning("bell_cannot_hear", error=str(error))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.hears_all = False
            self._wake_all()  # from now on they look by themselves
            threading.Event().wait(pause)

    def _hear_while_connected(self) -> None:
        with self._redis.pubsub(ignore_subscribe_messages=False) as heard:  # type: ignore[union-attr]
            heard.subscribe(CHANNEL)
            while not self.is_closed:
                message = heard.get_message(timeout=POLL_SECONDS)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self.hears_all = True
                    self._wake_all()  # what rang before was not heard
                elif message["type"] == "message":
                    self._ring_here(message["data"].decode().split("\n"))


def ring_after_commit(db: Session, *topics: str) -> None:
    """Wake who listens to these topics once the session's transaction is committed."""
    db.info.setdefault(_PENDING, set()).update(topics)


@event.listens_for(Session, "after_commit")
def _ring(db: Session) -> None:
    if db.in_nested_transaction():
        return  # a savepoint was released: nobody else sees it yet
    topics = db.info.pop(_PENDING, None)
    bell: Bell | None = db.info.get("bell")
    if topics and bell is not None:
        bell.ring(*topics)


@event.listens_for(Session, "after_rollback")
def _keep_silent(db: Session) -> None:
    db.info.pop(_PENDING, None)


def _redis_at(url: str) -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=CONNECT_SECONDS,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 0),  # whoever rings must not wait; whoever listens tries again by itself
    )
