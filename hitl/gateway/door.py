"""The gateway's routes: what an OpenAI client asks for when its `base_url` is ours."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from flask import Blueprint, Response, current_app, g, request

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import outgoing
from hitl.core.errors import AppError, Invalid, NotFound
from hitl.core.http import SIGN_OF_LIFE, caller_has_left, stay_open
from hitl.core.ids import new_id
from hitl.gateway.answer_cache import Kept
from hitl.gateway.budgets import ensure_within
from hitl.gateway.conversations import HEADER, named_conversation
from hitl.gateway.errors import NotAnswered
from hitl.gateway.exchanges import Exchange
from hitl.gateway.forwarding import Forwarded, broken_stream, error_event
from hitl.gateway.gating import GatedCall, Steps, margin_seconds
from hitl.gateway.runtime import EXTENSION, Gateway, ProjectState
from hitl.gateway.saying import STREAM_TYPE, Said
from hitl.gateway.turns import Repeats, asked_hash

log = structlog.get_logger()

bp = Blueprint("gateway", __name__, url_prefix="/gateway/<slug>/v1")

STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
SIGN_SECONDS = 10.0  # between signs of life: proxies close silent connections
CACHE_HEADER = "X-HITL-Cache"


@bp.get("/models")
@allow(Permission.CAPTURE)
def list_models(slug: str) -> Response:
    """Name the models that the project's upstreams serve."""
    gateway = _gateway()
    models = gateway.forwarder.models(_state(gateway).targets, _headers())
    return Response(orjson.dumps({"object": "list", "data": models}), mimetype="application/json")


@bp.post("/chat/completions")
@allow(Permission.CAPTURE)
def complete(slug: str) -> Response:
    """Answer as the project's upstream does, and record it."""
    gateway = _gateway()
    state = _state(gateway)
    call = Call(gateway, state)
    ensure_within(state.limits, g.api_key.id, call.exchange.model)
    if state.handling.mode == "observe" or (state.handling.mode == "gate" and call.exchange.conversation is None):
        return call.observe()  # a conversation that is only guessed is never held for a person
    return call.gate()


class Call:
    """One request for a completion."""

    def __init__(self, gateway: Gateway, state: ProjectState) -> None:
        """Read the request. Raises Invalid and its kin."""
        self.gateway, self.state = gateway, state
        self._began = time.monotonic()
        self._has_left = caller_has_left()
        asked = request.get_json()
        if not isinstance(asked, dict):
            raise Invalid("The body of a request is a JSON object.")
        if not isinstance(asked.get("model"), str):
            raise Invalid("Name a model.", param="model")
        self.body = request.get_data()
        self.wants_stream = asked.get("stream") is True
        self.exchange = Exchange(
            id=new_id(),
            project_id=g.project.id,
            api_key_id=g.api_key.id,
            request=asked,
            started_at=datetime.now(UTC).isoformat(),
            conversation=named_conversation(request.headers.get(HEADER), asked),
        )

    def observe(self) -> Response:
        """Pass everything through, and record it after the last byte."""
        kept = self._kept()
        if kept is not None:
            return self._answer_from_cache(kept)
        try:
            forwarded = self.gateway.forwarder.complete(
                self.state.targets, self.exchange.model, self.body, _headers(), wants_stream=self.wants_stream
            )
        except Exception:
            self._record(status=0)
            raise
        self.exchange.upstream, self.exchange.is_stream = forwarded.upstream, forwarded.is_stream
        self.exchange.first_byte_seconds = self._seconds()
        if forwarded.is_stream:
            return _response(forwarded, self._stream(forwarded))
        self.exchange.body = forwarded.body
        self._record(status=forwarded.status)
        self._keep(forwarded.content_type)
        return _response(forwarded, forwarded.body)

    def gate(self) -> Response:
        """Answer once the policy or a person has decided."""
        call = GatedCall(
            self.gateway, self.state, self.exchange, _headers(), self._repeats(), wants_stream=self.wants_stream
        )
        steps = call.steps()
        try:
            next(steps)
        except StopIteration as done:
            return self._answered(call, done.value)
        release = stay_open()
        if self.wants_stream:
            response = Response(_waiting(call, steps, self._has_left), content_type=STREAM_TYPE, headers=STREAM_HEADERS)
            response.call_on_close(release)
            return response
        try:
            return self._wait(call, steps)
        finally:
            release()

    def _wait(self, call: GatedCall, steps: Steps) -> Response:
        """Wait without a sign of life, and no longer than the project allows."""
        limit = self.state.handling.hold_seconds - margin_seconds(self.state.handling)
        try:
            while time.monotonic() - self._began < limit:
                if self._has_left():
                    return Response(status=499)  # which nobody reads; what is held waits for a repeat
                next(steps)
        except StopIteration as done:
            return self._answered(call, done.value)
        finally:
            steps.close()
        raise NotAnswered

    def _answered(self, call: GatedCall, said: Said) -> Response:
        if not self._has_left():
            call.note_told()
        response = Response(said.body, status=said.status, content_type=said.content_type)
        for name, value in said.headers:
            response.headers.add(name, value)
        return response

    def _repeats(self) -> Repeats:
        conversation = self.exchange.conversation or ""
        return Repeats(
            asked_hash(conversation, self.exchange.request),
            request.headers.get("Idempotency-Key"),
            request.headers.get("X-Stainless-Retry-Count", "0") not in ("", "0"),
        )

    def _stream(self, forwarded: Forwarded) -> Iterator[bytes]:
        """Hand on each piece as it comes. Whoever ends it early, what came so far is recorded."""
        pieces = [forwarded.body]
        broke_off: str | None = "caller"  # unless we come to the end
        try:
            yield forwarded.body
            assert forwarded.rest is not None  # noqa: S101 - it is a stream
            for piece in forwarded.rest:
                pieces.append(piece)
                yield piece
            broke_off = None
        except outgoing.OutgoingError as error:
            broke_off = "upstream"
            yield error_event(broken_stream(error))
        finally:
            if broke_off == "caller":
                forwarded.close()
            self.exchange.body = b"".join(pieces)
            self.exchange.broke_off = broke_off or _told_of_failure(pieces[-1])
            self._record(status=forwarded.status)
            self._keep(forwarded.content_type)

    def _kept(self) -> Kept | None:
        if not self.state.handling.cache_seconds:
            return None
        return self.gateway.cache.get(self.exchange.project_id, self.exchange.api_key_id, self.body)

    def _keep(self, content_type: str) -> None:
        seconds = self.state.handling.cache_seconds
        if seconds and self.exchange.is_answered and not self.exchange.broke_off:
            exchange = self.exchange
            self.gateway.cache.keep(
                exchange.project_id, exchange.api_key_id, self.body, exchange.body, content_type, seconds
            )

    def _answer_from_cache(self, kept: Kept) -> Response:
        self.exchange.is_from_cache = True
        self._record(status=200)
        return Response(kept.body, content_type=kept.content_type, headers={CACHE_HEADER: "hit"})

    def _record(self, *, status: int) -> None:
        self.exchange.status = status
        self.exchange.latency_seconds = self._seconds()
        self.gateway.recorder.put(self.exchange)

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 4)


def _waiting(call: GatedCall, steps: Steps, has_left: Callable[[], bool]) -> Iterator[bytes]:
    """Show signs of life until there is an answer. A reader who leaves ends the wait; what is held stays a while."""
    shown_at = 0.0
    try:
        while True:
            if time.monotonic() - shown_at >= SIGN_SECONDS:
                shown_at = time.monotonic()
                yield SIGN_OF_LIFE
            next(steps)
    except StopIteration as done:
        yield done.value.body
        if not has_left():
            call.note_told()
    except AppError as error:
        yield error_event(error)
    except Exception as error:
        log.error("gateway_wait_failed", exc_info=error)
        yield error_event(AppError("Something went wrong on our side. It has been logged."))
    finally:
        steps.close()


def _response(forwarded: Forwarded, body: Any) -> Response:
    response = Response(body, status=forwarded.status, content_type=forwarded.content_type, direct_passthrough=True)
    for name, value in forwarded.headers:
        response.headers.add(name, value)
    if forwarded.is_stream:
        response.headers.extend(STREAM_HEADERS)
    return response


def _told_of_failure(last_piece: bytes) -> str | None:
    """An upstream may say within the stream that it failed, and end it in good order."""
    return "upstream" if b'"error"' in last_piece and b"[DONE]" not in last_piece else None


def _gateway() -> Gateway:
    gateway: Gateway = current_app.extensions[EXTENSION]
    return gateway


def _state(gateway: Gateway) -> ProjectState:
    state = gateway.project(g.project.id)
    if state is None:
        raise NotFound
    return state


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
