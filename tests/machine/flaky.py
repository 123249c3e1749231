"""A door before a real service that passes requests on and then spoils the answers, as networks and proxies do."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from hitl.demo.upstream import Server

PAGE = b"<html><h1>Sign in to the hotel's network</h1></html>"


@dataclass
class Seen:
    """One request that came through, and what was done to it."""

    way: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float  # by the monotonic clock


class FlakyDoor:
    """Spoils what is told in `ways`, one way for each request; then passes everything on.

    `lose`: passed on, but the answer never arrives; `cut`: half of it does; `page`: a page instead, with status 200;
    `page-404`; `drip`: the answer comes so slowly that it never ends; `redirect`; `refuse`: closed at once;
    `503`, `429`, `500`: not passed on; `429 3` with Retry-After: 3; `fail`: the service's own 500.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.ways: list[str] = []
        self.always: str = ""  # the way for all that come after `ways`
        self.fails_at = b"\0"  # a body with this in it gets the service's own 500, every time
        self.seen: list[Seen] = []
        self.is_ended = threading.Event()
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.door = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def note(self, path: str, headers: dict[str, str], body: bytes) -> str:
        """Remember a request; return what is to be done to it."""
        with self._lock:
            way = "fail" if self.fails_at in body else self.ways.pop(0) if self.ways else self.always
            self.seen.append(Seen(way, path, headers, body, time.monotonic()))
            return way

    def close(self) -> None:
        """End it."""
        self.is_ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def flaky_door(upstream: str) -> Iterator[FlakyDoor]:
    """A door to a service, of one's own."""
    door = FlakyDoor(upstream)
    try:
        yield door
    finally:
        door.close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Pass a request on, or not."""
        door: FlakyDoor = self.server.door  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        way = door.note(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.close_connection = True
        if way == "refuse":
            return
        if way == "page":
            self._answer(200, PAGE, {"Content-Type": "text/html"})
        elif way == "page-404":
            self._answer(404, PAGE, {"Content-Type": "text/html"})
        elif way == "redirect":
            self._answer(307, b"", {"Location": f"http://{door.upstream}{self.path}"})
        elif way == "fail":
            self._answer(
                500, b'{"error": {"type": "internal_error", "code": "internal_error", "message": "", "param": null}}'
            )
        elif way[:3].isdecimal():
            status, _, seconds = way.partition(" ")
            self._answer(int(status), b"busy", {"Retry-After": seconds} if seconds else {})
        else:
            self._pass_on(door, way, body)

    def _pass_on(self, door: FlakyDoor, way: str, body: bytes) -> None:
        try:
            upstream = http.client.HTTPConnection(door.upstream, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            upstream.request("POST", self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
        except (OSError, http.client.HTTPException):
            return  # as a connection to a dead service ends
        if way == "lose":
            return
        if way == "cut":
            self._answer(answer.status, content[: len(content) // 2], length=len(content))
        elif way == "drip":
            self._drip(door, content)
        else:
            self._answer(answer.status, content)

    def _drip(self, door: FlakyDoor, content: bytes) -> None:
        self._answer(200, b"", length=len(content))
        for byte in content:
            if door.is_ended.wait(0.1):
                return
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""
