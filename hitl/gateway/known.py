"""What was read from the database a moment ago, for requests that must not wait for it.

A fresh value is served at once. An older one is read again in the background, and the request waits for that a little;
if the database does not answer by then, the last known value serves, and nobody waits again until it has answered.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from hitl.core.errors import Unavailable

log = structlog.get_logger()

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 0.2  # with a value at hand that is not fresh any more
FIRST_PATIENCE_SECONDS = 5.0  # with none at all
MAX_KNOWN = 10_000
READERS = 4


@dataclass
class _Entry(Generic[ValueT]):
    value: ValueT
    read_at: float


class LastKnown(Generic[KeyT, ValueT]):
    """Values by key. What `read` does not find (None) is not remembered: it is looked for each time."""

    def __init__(self, read: Callable[[KeyT], ValueT | None]) -> None:
        self._read = read
        self._entries: OrderedDict[KeyT, _Entry[ValueT]] = OrderedDict()
        self._under_way: dict[KeyT, Future[ValueT | None]] = {}
        self._is_slow = False
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="gateway-knows")

    def get(self, key: KeyT) -> ValueT | None:
        """Return the value. Raises Unavailable when the database does not answer and nothing was known before."""
        entry = self._entries.get(key)
        if entry is not None and time.monotonic() - entry.read_at < FRESH_SECONDS:
            return entry.value
        reading = self._begin(key)
        patience = FIRST_PATIENCE_SECONDS if entry is None else 0.0 if self._is_slow else PATIENCE_SECONDS
        try:
            return reading.result(patience)
        except Exception as error:
            if entry is not None:
                self._is_slow = True
                return entry.value
            if not isinstance(error, NotYet):
                log.warning("gateway_cannot_read", error=str(error))
            raise Unavailable from error

    def forget(self) -> None:
        """Read everything anew."""
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        """Read nothing more."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: KeyT) -> "Future[ValueT | None]":
        with self._lock:
            reading = self._under_way.get(key)
            if reading is None:
                reading = self._under_way[key] = self._readers.submit(self._read_and_keep, key)
            return reading

    def _read_and_keep(self, key: KeyT) -> ValueT | None:
        began = time.monotonic()
        try:
            value = self._read(key)
        finally:
            with self._lock:
                self._under_way.pop(key, None)
        self._is_slow = time.monotonic() - began > PATIENCE_SECONDS
        with self._lock:
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = _Entry(value, time.monotonic())
                self._entries.move_to_end(key)
                while len(self._entries) > MAX_KNOWN:
                    self._entries.popitem(last=False)
        return value
