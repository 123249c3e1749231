"""A process that speaks OpenAI's chat completions over a socket, with all that can go wrong. It knows no model.

The name of the model says what happens: `echo` repeats the last message, `tools` calls two functions, `refusal` and
`reasoning` do that; `slow` takes its time, `short-id` repeats its ids, `error-429` answers with that status, `breaks`
closes the connection in the middle, `fails` sends an error in the middle of a stream, `garbage` answers with a page.
Others answer like `echo`. `GET /requests` returns what was asked so far.
"""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).parents[2]
SLOW_SECONDS = 0.1  # between two pieces of a slow answer
TOOL_CALLS = [
    ("call_a", "opening_hours", ['{"day": ', '"Monday"', "}"]),
    ("call_b", "book_room", ['{"beds"', ": 2}"]),
]


class OpenAIServer:
    """The running process."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.address = f"http://127.0.0.1:{port}/v1"
        self._process = process

    def requests(self) -> list[dict[str, Any]]:
        """Return the bodies it was asked with, and under `_headers` the headers, in lower case."""
        with urllib.request.urlopen(self.address.replace("/v1", "/requests"), timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found

    def kill(self) -> None:
        """End it at once."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=10)


@contextmanager
def openai_server() -> Iterator[OpenAIServer]:
    """A server of one's own on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.machine.openai_server"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield OpenAIServer(int(process.stdout.readline()), process)
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()


class Broken(Exception):
    """The connection ends here."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, Any]] = []  # noqa: RUF012  shared on purpose

    def do_GET(self) -> None:
        """Tell what was asked."""
        self._answer(200, json.dumps(self.asked).encode())

    def do_POST(self) -> None:
        """Answer a request for a completion."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append({**request, "_headers": headers})
        if not self.path.endswith("/chat/completions"):
            self._refuse(404, "There is nothing here.")
        elif not headers.get("authorization", "").startswith("Bearer "):
            self._refuse(401, "No key.")
        elif request["model"].startswith("error-"):
            self._refuse(int(request["model"].removeprefix("error-")), "As you wish.")
        elif request["model"] == "garbage":
            self._answer(200, b"<html>Welcome to the hotel's network</html>", "text/html")
        else:
            self._complete(request)

    def _complete(self, request: dict[str, Any]) -> None:
        try:
            if request.get("stream"):
                self._stream(request)
            else:
                self._answer_whole(request)
        except (Broken, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _answer_whole(self, request: dict[str, Any]) -> None:
        if request["model"] == "slow":
            time.sleep(SLOW_SECONDS * 3)
        whole = json.dumps(
            {
                **_head(request, "chat.completion"),
                "choices": [
                    {"index": index, "message": _message(request), "finish_reason": _reason(request), "logprobs": None}
                    for index in range(request.get("n") or 1)
                ],
                "usage": _usage(request),
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
        deltas = [{"role": "assistant", "content": ""}, *_deltas(request)]
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
            self._event({**head, "choices": [], "usage": _usage(request)})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, event: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _refuse(self, status: int, message: str) -> None:
        error = {"error": {"message": message, "type": "invalid_request_error", "code": None, "param": None}}
        self._answer(status, json.dumps(error).encode())

    def _answer(self, status: int, body: bytes, kind: str = "application/json", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def _head(request: dict[str, Any], kind: str) -> dict[str, Any]:
    name = "chatcmpl-7" if request["model"] == "short-id" else f"chatcmpl-{uuid4().hex}"
    return {"id": name, "object": kind, "created": int(time.time()), "model": f"{request['model']}-2026-05-01"}


def _words(request: dict[str, Any]) -> list[str]:
    if (request.get("response_format") or {}).get("type") == "json_schema":
        return ['{"answer"', ': "', 'nine"}']
    said = request["messages"][-1]["content"]
    return ["You said: ", *(f"{word} " for word in str(said).split()), "🙂"]


def _deltas(request: dict[str, Any]) -> list[dict[str, Any]]:
    model = request["model"]
    if model == "tools":
        return [
            {"tool_calls": [{"index": index, **piece}]}
            for index, (call_id, name, arguments) in enumerate(TOOL_CALLS)
            for piece in (
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}},
                *({"function": {"arguments": part}} for part in arguments),
            )
        ]
    if model == "refusal":
        return [{"refusal": part} for part in ("I cannot ", "do that.")]
    thoughts = [{"reasoning_content": part} for part in ("Let me ", "think.")] if model == "reasoning" else []
    return [*thoughts, *({"content": word} for word in _words(request))]


def _message(request: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    if request["model"] == "tools":
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": "".join(arguments)}}
            for call_id, name, arguments in TOOL_CALLS
        ]
    else:
        for delta in _deltas(request):
            for key, text in delta.items():
                message[key] = (message.get(key) or "") + text
    return message


def _reason(request: dict[str, Any]) -> str:
    return "tool_calls" if request["model"] == "tools" else "stop"


def _usage(request: dict[str, Any]) -> dict[str, int]:
    asked, answered = len(request["messages"]) * 10, len(_deltas(request)) * (request.get("n") or 1)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


class Server(ThreadingHTTPServer):
    """Many connections at once; one that breaks is no news."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_arguments: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
