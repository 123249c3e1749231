"""Answers that serve the very same request again, in the memory of each process. Off unless a project wants it."""

import hashlib
import threading
import time
from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID

MAX_BYTES = 64 * 1024 * 1024


class Kept(NamedTuple):
    """An answer as it went out."""

    body: bytes
    content_type: str
    until: float


class AnswerCache:
    """By project, key and the request's bytes: what one key was told is not told to another."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, project_id: UUID, api_key_id: UUID, request: bytes) -> Kept | None:
        """Return the answer to the same request, if it is kept and not too old."""
        place = _place(project_id, api_key_id, request)
        with self._lock:
            kept = self._kept.get(place)
            if kept is None or kept.until < time.monotonic():
                return None
            self._kept.move_to_end(place)
            return kept

    def keep(
        self, project_id: UUID, api_key_id: UUID, request: bytes, body: bytes, content_type: str, seconds: float
    ) -> None:
        """Keep an answer for a while; what was used longest ago makes room."""
        if len(body) > MAX_BYTES // 16:
            return
        place = _place(project_id, api_key_id, request)
        with self._lock:
            self._drop(place)
            self._kept[place] = Kept(body, content_type, time.monotonic() + seconds)
            self._bytes += len(body)
            while self._bytes > MAX_BYTES:
                self._drop(next(iter(self._kept)))

    def _drop(self, place: bytes) -> None:
        kept = self._kept.pop(place, None)
        if kept is not None:
            self._bytes -= len(kept.body)


def _place(project_id: UUID, api_key_id: UUID, request: bytes) -> bytes:
    return hashlib.sha256(project_id.bytes + api_key_id.bytes + request).digest()
