"""A server that speaks OpenAI's chat completions over a socket, with all that can go wrong. It knows no language model.

For trying the product out, and for its tests. The name of the model says what happens:

    star-retrieval   answers as somebody once did in the STAR dialogues (hitl/demo/bot.py), word by word
    oasst-drafts     hands in what a model once wrote when asked the same (hitl/demo/writer.py)
    echo             repeats the last message; so do all names that are not listed here
    tools            calls two functions
    refusal          refuses
    reasoning        thinks aloud first
    slow             takes its time
    short-id         repeats its ids
    error-429        answers with that status
    busy-3           answers 429 and Retry-After: 3
    flaky            answers 500 to every other request
    breaks           closes the connection in the middle
    fails            sends an error in the middle of a stream
    garbage          answers with a page
    invalid-json     says that it is JSON
    huge             answers with 20 MB
    hangs            never answers
    refuses          closes the connection at once

`GET /requests` returns what was asked lately.
"""

import contextlib
import itertools
import json
import re
import socket
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from uuid import uuid4

from hitl.demo import bot, writer

TRYING = "hitl, for trying out"
MODELS = {  # what an application might choose, and whose it is
    bot.NAME: bot.LABEL,
    writer.NAME: writer.LABEL,
    **dict.fromkeys(("echo", "tools", "refusal", "reasoning", "slow"), TRYING),
}
REMEMBERED = 10_000  # requests
SLOW_SECONDS = 0.1  # between two pieces of a slow answer
HANG_SECONDS = 600.0
HUGE_BYTES = 20 * 1024 * 1024
TOOL_CALLS = [
    ("call_a", "opening_hours", ['{"day": ', '"Monday"', "}"]),
    ("call_b", "book_room", ['{"beds"', ": 2}"]),
]


class Broken(Exception):
    """The connection ends here."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a piece waits for the other side's acknowledgement of the one before
    wbufsize = -1  # head and body of an answer in one packet
    asked: ClassVar[deque[dict[str, Any]]] = deque(maxlen=REMEMBERED)
    count: ClassVar[Iterator[int]] = itertools.count()

    def do_GET(self) -> None:
        """Tell what was asked, or which models there are."""
        if self.path == "/requests":
            self._answer(200, json.dumps(list(self.asked)).encode())
        elif self.path.endswith("/models"):
            models = [
                {"id": name, "object": "model", "created": 1_790_000_000, "owned_by": owner}
                for name, owner in MODELS.items()
            ]
            self._answer(200, json.dumps({"object": "list", "data": models}).encode())
        else:
            self._refuse(404, "There is nothing here.")

    def do_POST(self) -> None:
        """Answer a request for a completion."""
        try:
            request = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            model = str(request["model"])
        except (ValueError, KeyError, TypeError):
            self._refuse(400, "The body is not a request for a completion.")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append({**request, "_headers": headers})
        if not self.path.endswith("/chat/completions"):
            self._refuse(404, "There is nothing here.")
        elif not headers.get("authorization", "").startswith("Bearer "):
            self._refuse(401, "No key.")
        else:
            self._act(model, request)

    def _act(self, model: str, request: dict[str, Any]) -> None:
        if status := re.fullmatch(r"error-(\d{3})", model):
            self._refuse(int(status[1]), "As you wish.")
        elif pause := re.fullmatch(r"busy-(\d+)", model):
            self._refuse(429, "Too much is asked of me.", pause[1])
        elif model == "flaky" and next(self.count) % 2 == 0:
            self._refuse(500, "Not this time.")
        elif model == "garbage":
            self._answer(200, b"<html>Welcome to the hotel's network</html>", "text/html")
        elif model == "invalid-json":
            self._answer(200, b'{"id": "chatcmpl-1", "choices": [{"message": {"rol')
        elif model == "hangs":
            self._hang()
        elif model == "refuses":
            self.close_connection = True
        else:
            self._complete(request)

    def _hang(self) -> None:
        """Say nothing until the other side has gone."""
        self.connection.settimeout(HANG_SECONDS)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.close_connection = True

    def _complete(self, request: dict[str, Any]) -> None:
        try:
            if request.get("stream"):
                self._stream(request)
            else:
                self._answer_whole(request)
            self.wfile.flush()
        except (Broken, OSError):
            self.close_connection = True

    def _answer_whole(self, request: dict[str, Any]) -> None:
        if request["model"] == "slow":
            time.sleep(SLOW_SECONDS * 3)
        deltas = _deltas(request)
        whole = json.dumps(
            {
                **_head(request, "chat.completion"),
                "choices": [
                    {
                        "index": index,
                        "message": _message(request, deltas),
                        "finish_reason": _reason(request),
                        "logprobs": None,
                    }
                    for index in range(request.get("n") or 1)
                ],
                "usage": _usage(request, deltas),
            }
        ).encode()
        if request["model"] == "breaks":
            self._answer(200, whole[: len(whole) // 2], length=len(whole))
            raise Broken
        self._answer(200, whole)

    def _stream(self, request: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = _head(request, "chat.completion.chunk")
        said = _deltas(request)
        deltas = [{"role": "assistant", "content": ""}, *said]
        for number, delta in enumerate(deltas):
            for index in range(request.get("n") or 1):
                self._event({**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]})
            if request["model"] in ("breaks", "fails") and number == 2:
                if request["model"] == "fails":
                    self._event({"error": {"message": "The model fell over.", "type": "server_error"}})
                raise Broken
            if request["model"] == "slow":
                time.sleep(SLOW_SECONDS)
        for index in range(request.get("n") or 1):
            self._event({**head, "choices": [{"index": index, "delta": {}, "finish_reason": _reason(request)}]})
        if (request.get("stream_options") or {}).get("include_usage"):
            self._event({**head, "choices": [], "usage": _usage(request, said)})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _refuse(self, status: int, message: str, retry_after: str | None = None) -> None:
        error = {"error": {"message": message, "type": "invalid_request_error", "code": None, "param": None}}
        self._answer(status, json.dumps(error).encode(), retry_after=retry_after)

    def _answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        length: int | None = None,
        retry_after: str | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Many connections at once; one that breaks is no news."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing."""


def listen(port: int, host: str = "127.0.0.1") -> Server:
    """Return the server, which listens already. port: 0 takes one that is free."""
    Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Server((host, port), Handler)


def _head(request: dict[str, Any], kind: str) -> dict[str, Any]:
    name = "chatcmpl-7" if request["model"] == "short-id" else f"chatcmpl-{uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": f"{request['model']}-2026-05-01"}


def _words(request: dict[str, Any]) -> list[str]:
    if (request.get("response_format") or {}).get("type") == "json_schema":
        return ['{"answer"', ': "', 'nine"}']
    if request["model"] == bot.NAME:
        return re.findall(r"\S+\s*", bot.bot().answer(request["messages"]).text)
    if request["model"] == writer.NAME:
        return re.findall(r"\S+\s*", writer.draft(request["messages"]))
    if request["model"] == "huge":
        return ["x" * (HUGE_BYTES // 20)] * 20
    said = request["messages"][-1]["content"]
    return ["You said: ", *(f"{word} " for word in str(said).split()), "🙂"]


def _deltas(request: dict[str, Any]) -> list[dict[str, Any]]:
    model = request["model"]
    if model == "tools":
        return [{"tool_calls": [piece]} for index, call in enumerate(TOOL_CALLS) for piece in _pieces(index, *call)]
    if model == "refusal":
        return [{"refusal": part} for part in ("I cannot ", "do that.")]
    thoughts: list[dict[str, Any]] = []
    if model == "reasoning":
        thoughts = [{"reasoning_content": part} for part in ("Let me ", "think.")]
    return [*thoughts, *({"content": word} for word in _words(request))]


def _pieces(index: int, call_id: str, name: str, arguments: list[str]) -> Iterator[dict[str, Any]]:
    yield {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    for part in arguments:
        yield {"index": index, "function": {"arguments": part}}


def _message(request: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if request["model"] == "tools":
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": "".join(arguments)}}
            for call_id, name, arguments in TOOL_CALLS
        ]
        return message
    for delta in deltas:
        for key, text in delta.items():
            message[key] = (message.get(key) or "") + text
    return message


def _reason(request: dict[str, Any]) -> str:
    return "tool_calls" if request["model"] == "tools" else "stop"


def _usage(request: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, int]:
    """Count ten tokens for each message that was asked, and one for each piece of the answer."""
    asked, answered = len(request["messages"]) * 10, len(deltas) * (request.get("n") or 1)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
