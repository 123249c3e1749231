"""Sends a call on to the upstreams: one after the other until one answers.

Tried again are those that nobody answered, that broke off before their first byte, or that an upstream answered with
429 or 5xx; first at the same upstream, as often as it allows, then at the next. An upstream that failed several times
in a row is left alone for a while. What an answer says is not looked at, but that it is one.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog

from hitl.core import outgoing
from hitl.core.errors import AppError
from hitl.core.outgoing import Answer, Outgoing
from hitl.gateway.errors import (
    NoUpstream,
    UpstreamBrokeOff,
    UpstreamTimedOut,
    UpstreamUnreachable,
    UpstreamUnusable,
)
from hitl.gateway.upstreams import Target, in_order

log = structlog.get_logger()

MAX_ANSWER_BYTES = 64 * 1024 * 1024
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 2.0
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 20.0
STREAM = "text/event-stream"
SENT_ON = ("openai-beta", "x-request-id", "traceparent", "tracestate", "idempotency-key", "accept-language")
HANDED_BACK = ("retry-after", "x-request-id")
HANDED_BACK_PREFIXES = ("openai-", "x-ratelimit-")


@dataclass
class Forwarded:
    """An answer on its way: whole, or a stream whose first piece is here."""

    status: int
    headers: list[tuple[str, str]]
    content_type: str
    upstream: str
    body: bytes = b""  # of a stream: its first piece
    rest: Iterator[bytes] | None = None  # of a stream
    answer: Answer | None = None

    @property
    def is_stream(self) -> bool:
        return self.rest is not None

    def close(self) -> None:
        """Give up what has not come."""
        if self.answer is not None:
            self.answer.close()


class Breakers:
    """Which upstreams failed so often that they are left alone. Each process finds out by itself."""

    def __init__(self) -> None:
        self._failures: dict[UUID, int] = {}
        self._open_until: dict[UUID, float] = {}
        self._lock = threading.Lock()

    def lets_through(self, target: Target) -> bool:
        """Return whether an upstream may be asked; one that was left alone for a while may once, to see."""
        with self._lock:
            until = self._open_until.get(target.id)
            if until is None:
                return True
            if time.monotonic() < until:
                return False
            self._open_until[target.id] = time.monotonic() + OPEN_SECONDS  # the others wait for what this one finds
            return True

    def note(self, target: Target, *, worked: bool) -> None:
        """Note how a try ended."""
        with self._lock:
            if worked:
                self._failures.pop(target.id, None)
                self._open_until.pop(target.id, None)
                return
            self._failures[target.id] = self._failures.get(target.id, 0) + 1
            if self._failures[target.id] >= FAILURES_TO_OPEN and target.id not in self._open_until:
                log.warning("gateway_upstream_left_alone", upstream=target.name)
                self._open_until[target.id] = time.monotonic() + OPEN_SECONDS

    def is_open(self, target_id: UUID) -> bool:
        """Return whether an upstream is left alone, for those who look."""
        return time.monotonic() < self._open_until.get(target_id, 0.0)


class Failed(Exception):
    """A try that another may follow."""

    def __init__(self, error: AppError, answer: Forwarded | None = None, *, is_upstreams_fault: bool = True) -> None:
        super().__init__(str(error))
        self.error, self.answer, self.is_upstreams_fault = error, answer, is_upstreams_fault


class Forwarder:
    """Sends calls on."""

    def __init__(self, calls: Outgoing, breakers: Breakers) -> None:
        self._calls, self.breakers = calls, breakers

    def complete(
        self, targets: Sequence[Target], model: str, body: bytes, headers: Mapping[str, str], *, wants_stream: bool
    ) -> Forwarded:
        """Return the first answer that is one, else the last refusal of an upstream as it came.

        Raises NoUpstream, UpstreamUnreachable, UpstreamTimedOut, UpstreamBrokeOff, UpstreamUnusable.
        """
        serving = in_order(targets, model)
        if not serving:
            raise NoUpstream(f"This project has no upstream for the model “{model}”.", param="model")
        asked = [target for target in serving if self.breakers.lets_through(target)] or serving[:1]
        failure: Failed | None = None
        for target in asked:
            try:
                return self._ask(target, body, headers, wants_stream=wants_stream)
            except Failed as failed:
                log.warning("gateway_upstream_failed", upstream=target.name, error=str(failed))
                # What an upstream says itself tells more than that another could not be reached.
                if failure is None or failed.answer is not None or failure.answer is None:
                    failure = failed
        assert failure is not None  # noqa: S101 - at least one was asked
        if failure.answer is not None:
            return failure.answer
        raise failure.error

    def models(self, targets: Sequence[Target], headers: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the models that the upstreams name; one that does not answer names none.

        Raises the error of the last upstream when none answers.
        """
        found: dict[str, dict[str, Any]] = {}
        failure: Failed | None = None
        for target in sorted(targets, key=lambda target: target.position):
            try:
                answer = self._try(target, "GET", "/models", None, headers, wants_stream=False)
            except Failed as failed:
                failure = failed
                continue
            told = orjson.loads(answer.body)
            listed = told.get("data") if isinstance(told, dict) and answer.status == 200 else None
            for model in listed if isinstance(listed, list) else ():
                name = model.get("id") if isinstance(model, dict) else None
                if isinstance(name, str) and (not target.models or name in target.models):
                    found.setdefault(name, model)
        if not found and failure is not None:
            raise failure.error
        return list(found.values())

    def _ask(self, target: Target, body: bytes, headers: Mapping[str, str], *, wants_stream: bool) -> Forwarded:
        pause = FIRST_PAUSE_SECONDS
        for tries_left in range(target.retries, -1, -1):
            try:
                answer = self._try(target, "POST", "/chat/completions", body, headers, wants_stream=wants_stream)
            except Failed as failed:
                self.breakers.note(target, worked=not failed.is_upstreams_fault)
                if not tries_left or _asks_to_wait(failed.answer):
                    raise
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self.breakers.note(target, worked=True)
                return answer
        raise AssertionError("the last try returns or raises")

    def _try(
        self,
        target: Target,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        wants_stream: bool,
    ) -> Forwarded:
        sent = {name: headers[name] for name in SENT_ON if name in headers}
        sent |= {"Accept": STREAM if wants_stream else "application/json", "User-Agent": "hitl-gateway"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if target.key is not None:
            sent["Authorization"] = f"Bearer {target.key}"
        try:
            answer = self._calls.call(
                method,
                f"{target.base_url}{path}",
                headers=sent,
                body=body,
                connect_seconds=target.connect_seconds,
                silence_seconds=target.silence_seconds,
                total_seconds=target.total_seconds,
            )
            return self._received(target, answer)
        except outgoing.OutgoingError as error:
            raise Failed(_in_our_words(target, error)) from error

    def _received(self, target: Target, answer: Answer) -> Forwarded:
        kind = answer.headers.get("Content-Type", "")
        forwarded = Forwarded(answer.status, _handed_back(answer.headers), kind, target.name)
        if answer.status == 200 and kind.startswith(STREAM):
            forwarded.answer, forwarded.rest = answer, answer.pieces()
            forwarded.body = next(forwarded.rest, b"")
            if not forwarded.body:
                raise outgoing.BrokenOff("The stream ended before it began.")
            return forwarded
        forwarded.body = answer.read(MAX_ANSWER_BYTES)
        if not _is_json_object(forwarded.body):
            raise Failed(
                UpstreamUnusable(f"What the upstream “{target.name}” said is no answer of a model ({answer.status}).")
            )
        if answer.status == 401:
            # Handed on, the caller would look for the mistake in their own key.
            raise Failed(
                UpstreamUnusable(f"The upstream “{target.name}” refuses the key that this project has for it."),
                is_upstreams_fault=False,
            )
        if answer.status in RETRIED:
            # 429 says that it works, and is busy.
            raise Failed(
                UpstreamUnusable(f"The upstream answered {answer.status}."),
                forwarded,
                is_upstreams_fault=answer.status >= 500,
            )
        if not 200 <= answer.status < 500:
            raise Failed(UpstreamUnusable(f"The upstream “{target.name}” answered with the status {answer.status}."))
        return forwarded


def error_event(error: AppError) -> bytes:
    """Return an error as the event of a stream that has begun."""
    return b"data: " + orjson.dumps(error.as_json()) + b"\n\n"


def broken_stream(error: outgoing.OutgoingError) -> AppError:
    """Return what to say of a stream that broke off."""
    return UpstreamTimedOut() if isinstance(error, outgoing.TookTooLong) else UpstreamBrokeOff()


def _asks_to_wait(answer: Forwarded | None) -> bool:
    """Whether an upstream said when to come again: the caller decides whether to wait so long."""
    return answer is not None and any(name.lower() == "retry-after" for name, _ in answer.headers)


def _in_our_words(target: Target, error: outgoing.OutgoingError) -> AppError:
    name = target.name
    if isinstance(error, outgoing.TookTooLong):
        return UpstreamTimedOut(f"The upstream “{name}” did not answer in time.")
    if isinstance(error, outgoing.AddressRefused):
        return UpstreamUnreachable(f"The upstream “{name}” is not called: {error}")
    if isinstance(error, outgoing.Unreachable):
        return UpstreamUnreachable(f"The upstream “{name}” cannot be reached.")
    if isinstance(error, outgoing.AnswerTooLarge):
        return UpstreamUnusable(f"The upstream “{name}” answered with more than {MAX_ANSWER_BYTES:,} bytes.")
    return UpstreamBrokeOff(f"The upstream “{name}” broke off before its answer ended.")


def _handed_back(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in headers.items()
        if name.lower() in HANDED_BACK or name.lower().startswith(HANDED_BACK_PREFIXES)
    ]


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        return False
