"""Captures what the `openai` package returns, and returns it untouched. Nothing of it is imported here.

openai = captured(OpenAI(), Client())
openai.chat.completions.create(model="bot-4", messages=[…])
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, Unpack

from hitl.client.client import Client
from hitl.client.completions import client_id_of
from hitl.client.fields import FieldsOfCalls, merged
from hitl.client.functions import fields_of_call, record
from hitl.client.recording import Recording, quietly

__all__ = ["captured", "client_id_of"]

ClientT = TypeVar("ClientT")

# Said elsewhere in the row, or about the transport, which may hold secrets.
NO_PARAMETERS = frozenset(
    {"messages", "tools", "model", "metadata", "user", "safety_identifier", "stream", "stream_options"}
    | {"extra_headers", "extra_query", "timeout"}
)


def captured(openai: ClientT, client: Client, **fields: Unpack[FieldsOfCalls]) -> ClientT:
    """Return a copy of an OpenAI, AsyncOpenAI or Azure client whose chat completions are captured.

    fields: further fields of each response; a value, or a function of the request's arguments (`request["user"]`).

    Captured are `chat.completions.create`, `.parse` and `.stream`, also through `with_raw_response` and
    `with_options`: each choice, with model, parameters, tools, tokens and latency; `user` or `safety_identifier` as end
    user; `metadata`, and in it `conversation_id`. A stream is captured when it ends; one that broke off, or that nobody
    read on, as far as it came, with `metadata.is_partial` and never for training. Errors are not captured.
    The client id of a response is the completion's own: `client_id_of(completion)`.
    """
    copy = openai.copy()  # type: ignore[attr-defined]
    for name in ("copy", "with_options"):
        _replace(copy, name, lambda again: lambda **options: captured_again(again(**options), client, fields))
    _capture_in(copy, client, fields)
    result: ClientT = copy
    return result


def captured_again(copy: Any, client: Client, fields: Mapping[str, Any]) -> Any:
    """A copy of a client that is captured is captured as well."""
    return captured(copy, client, **fields)


def _capture_in(openai: Any, client: Client, fields: Mapping[str, Any]) -> None:
    for completions in (openai.chat.completions, openai.beta.chat.completions):
        for name in ("create", "parse"):
            _replace(completions, name, lambda method: _capturing(method, client, fields))


def _replace(owner: Any, name: str, change: Callable[[Any], Any]) -> None:
    setattr(owner, name, change(getattr(owner, name)))


def _capturing(method: Callable[..., Any], client: Client, fields: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the method as it was, but for what it captures on the side."""

    def begin(request: dict[str, Any]) -> Recording | None:
        for name in ("messages", "tools"):
            if isinstance(request.get(name), Iterator):  # could be read only once: by us, or by the request
                request[name] = list(request[name])
        found: Recording | None = quietly(
            client, lambda: Recording(client, request["messages"], _fields(request, fields))
        )
        return found

    if inspect.iscoroutinefunction(inspect.unwrap(method)):

        @functools.wraps(method)
        async def call_async(**request: Any) -> Any:
            recording = begin(request)
            return _record(client, await method(**request), recording)

        return call_async

    @functools.wraps(method)
    def call(**request: Any) -> Any:
        recording = begin(request)
        return _record(client, method(**request), recording)

    return call


def _record(client: Client, answer: Any, recording: Recording | None) -> Any:
    if recording is not None and hasattr(answer, "http_response"):
        quietly(client, _record_raw, client, answer, recording)
        return answer
    return record(client, answer, recording)


def _record_raw(client: Client, raw: Any, recording: Recording) -> None:
    """Of a raw answer, what is parsed is captured: at once if all of it is here, else when the caller parses it."""
    parse = raw.parse
    if type(raw).__name__ == "LegacyAPIResponse":  # of `with_raw_response`; the other is read by the caller, bit by bit
        record(client, parse(), recording)
        return

    async def parse_async(**options: Any) -> Any:
        return record(client, await parse(**options), recording)

    def parse_now(**options: Any) -> Any:
        return record(client, parse(**options), recording)

    raw.parse = parse_async if inspect.iscoroutinefunction(parse) else parse_now


def _fields(request: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    metadata = dict(_given(request, "metadata") or {})
    read = {
        "conversation_id": metadata.pop("conversation_id", None),
        "end_user": _given(request, "user") or _given(request, "safety_identifier"),
        "metadata": metadata,
        "model": _given(request, "model"),
        "tools": _given(request, "tools"),
        "parameters": {
            name: _plain(_given(request, name))
            for name in request
            if name not in NO_PARAMETERS and _given(request, name) is not None
        },
    }
    return merged(read, fields_of_call(fields, request))


def _given(request: Mapping[str, Any], name: str) -> Any:
    """Return an argument; None for the package's own marks of something left out."""
    value = request.get(name)
    return None if type(value).__name__ in ("Omit", "NotGiven") else value


def _plain(value: Any) -> Any:
    return value.__name__ if isinstance(value, type) else value  # `parse` takes the class of the answer
