"""One call through the gateway: what was asked, what came back. It can be written to disk and read again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from hitl.client.completions import Assembly
from hitl.core.ids import new_id

DATA = b"data:"


@dataclass
class Exchange:
    """A call, as it is recorded after its last byte."""

    id: UUID
    project_id: UUID
    api_key_id: UUID
    request: dict[str, Any]  # the body
    started_at: str  # RFC 3339
    conversation: str | None = None  # as the request names it
    upstream: str | None = None  # its name; none: the answer came from the cache
    status: int = 0  # of the answer; 0: none came
    is_stream: bool = False
    body: bytes = b""  # of the answer, as it went to the caller
    latency_seconds: float | None = None
    first_byte_seconds: float | None = None
    broke_off: str | None = None  # who ended a stream early: upstream, caller
    is_from_cache: bool = False
    is_captured: bool = False  # the gate has stored the response already: only usage is left to count

    @property
    def model(self) -> str:
        """The model that was asked for, as usage is counted under."""
        return str(self.request.get("model") or "")[:255].replace("\0", "")

    @property
    def is_answered(self) -> bool:
        return 200 <= self.status < 300

    @property
    def size(self) -> int:
        """Roughly, in bytes."""
        return len(self.body) + 2_000

    def followed_by(self, messages: list[dict[str, Any]]) -> "Exchange":
        """Return a new exchange about the same request, to which these messages are added."""
        request = {**self.request, "messages": [*self.request["messages"], *messages]}
        return Exchange(
            id=new_id(),
            project_id=self.project_id,
            api_key_id=self.api_key_id,
            request=request,
            started_at=datetime.now(UTC).isoformat(),
            conversation=self.conversation,
        )

    def to_json(self) -> bytes:
        """Return it as one line."""
        told = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return orjson.dumps({**told, "body": self.body.decode("utf-8", "replace")})

    @classmethod
    def from_json(cls, line: bytes) -> "Exchange":
        """Return what a line holds. Raises ValueError, KeyError or TypeError when it holds something else."""
        told = orjson.loads(line)
        told["body"] = told["body"].encode()
        for name in ("id", "project_id", "api_key_id"):
            told[name] = UUID(told[name])
        return cls(**told)

    def assembly(self) -> Assembly:
        """Return the answer put together from what came."""
        assembly = Assembly()
        for piece in stream_events(self.body) if self.is_stream else _whole(self.body):
            assembly.add(piece)
        return assembly

    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream says was used; None if it does not."""
        pieces = list(stream_events(self.body) if self.is_stream else _whole(self.body))
        found = [piece["usage"] for piece in pieces if isinstance(piece.get("usage"), dict)]
        return found[-1] if found else None


def stream_events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of server-sent events; what is none is passed over."""
    for line in body.splitlines():
        if line.startswith(DATA):
            text = line[len(DATA) :].strip()
            if text.startswith(b"{"):
                try:
                    yield orjson.loads(text)
                except orjson.JSONDecodeError:
                    continue


def _whole(body: bytes) -> Iterator[dict[str, Any]]:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    if isinstance(told, dict):
        yield told
