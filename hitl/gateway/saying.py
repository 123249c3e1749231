"""Answers that no model wrote as they go out: in the shape in which the application asked."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

STREAM_TYPE = "text/event-stream; charset=utf-8"
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Said:
    """An answer to the application, whole."""

    body: bytes
    content_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def said(message: Mapping[str, Any], *, name: str, model: str, is_stream: bool) -> Said:
    """Return a message as an answer in OpenAI's shape.

    message: an assistant message. name: the id of the answer; the same for the same answer.
    """
    if is_stream:
        return Said(b"".join(_events(message, name, model)), STREAM_TYPE)
    whole = {
        **_head(name, model, "chat.completion"),
        "choices": [{"index": 0, "message": _full(message), "finish_reason": _reason(message), "logprobs": None}],
    }
    return Said(orjson.dumps(whole), JSON_TYPE)


def _events(message: Mapping[str, Any], name: str, model: str) -> Iterator[bytes]:
    head = _head(name, model, "chat.completion.chunk")
    delta = {key: value for key, value in _full(message).items() if value is not None}
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(delta["tool_calls"])]
    for piece, reason in ((delta, None), ({}, _reason(message))):
        chunk = {**head, "choices": [{"index": 0, "delta": piece, "finish_reason": reason}]}
        yield b"data: " + orjson.dumps(chunk) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _head(name: str, model: str, kind: str) -> dict[str, Any]:
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}


def _full(message: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "refusal": None, **message}


def _reason(message: Mapping[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"
