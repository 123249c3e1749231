"""One request to the service and its answer, within a time and a size; nothing is known here of rows."""

import base64
import contextlib
import io
import math
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from hitl.client.limits import Limits, Misconfigured

MOST_ANSWER_BYTES = 8 * 1024 * 1024


class Unreachable(Exception):
    """The service gave no whole answer in time."""


@dataclass(frozen=True)
class Answer:
    """What the service answered. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Posts to one service. Each request has a connection of its own.

    So a forked child shares no socket with its parent, and a connection that went stale between two batches cannot
    make a request fail. Redirects are not followed: the key goes to the address it was meant for, and nowhere else.
    """

    def __init__(self, url: str, key: str, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        """Raises Misconfigured; the message never holds the key."""
        self._address = _read_address(url)
        if not (key.isascii() and key.isprintable() and " " not in key and key):
            raise Misconfigured("The key is made of visible ASCII characters. Is there a line break at its end?")
        self._key = key
        self._limits = limits
        self._tls = tls

    def post(self, path: str, body: bytes, idempotency_key: str, until: float = math.inf) -> Answer:
        """Send JSON and return the answer, whatever its status.

        until: moment of the monotonic clock that ends it, should that come before its own time is over.
        Raises Unreachable.
        """
        deadline = min(until, time.monotonic() + self._limits.connect_seconds + self._limits.request_seconds)
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
            "Connection": "close",
            "User-Agent": "hitl-client",
        }
        try:
            connection, target, extra = self._connection(self._address.path + path, deadline)
            try:
                return _exchange(connection, target, body, {**headers, **extra}, deadline)
            finally:
                connection.close()
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{type(error).__name__}: {str(error)[:200]}".rstrip(": ")) from None
        except ValueError as error:  # a broken answer, or a bad proxy address, which may hold a password
            raise Unreachable(type(error).__name__) from None

    def _connection(self, path: str, deadline: float) -> tuple[HTTPConnection, str, dict[str, str]]:
        """Return an unopened connection, the target to name in the request, and headers for a proxy."""
        seconds = max(0.001, min(self._limits.connect_seconds, deadline - time.monotonic()))
        host, port = cast(str, self._address.hostname), self._address.port
        proxy = _proxy_for(self._address.scheme, host)
        if self._address.scheme == "https":
            if self._tls is None:
                self._tls = ssl.create_default_context()
            if proxy is None:
                return HTTPSConnection(host, port, timeout=seconds, context=self._tls), path, {}
            secure = HTTPSConnection(cast(str, proxy.hostname), proxy.port, timeout=seconds, context=self._tls)
            secure.set_tunnel(host, port or 443, headers=_proxy_credentials(proxy))
            return secure, path, {}
        if proxy is None:
            return HTTPConnection(host, port, timeout=seconds), path, {}
        plain = HTTPConnection(cast(str, proxy.hostname), proxy.port, timeout=seconds)
        return plain, f"http://{self._address.netloc}{path}", _proxy_credentials(proxy)


def _read_address(url: str) -> SplitResult:
    try:
        address = urlsplit(url.rstrip("/"))
        is_address = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise Misconfigured("The url is the address of the service, such as https://hitl.example.org.")
    if address.username or address.query or address.fragment:
        raise Misconfigured("The url holds no user, query or fragment; the key goes into `key`.")
    return address


def _exchange(
    connection: HTTPConnection, target: str, body: bytes, headers: Mapping[str, str], deadline: float
) -> Answer:
    connection.connect()
    connection.sock.settimeout(max(0.001, deadline - time.monotonic()))
    # It may have answered before it had read everything; if not, reading says so.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", target, body, dict(headers))
    # HTTPResponse asks of the socket nothing but a file to read from.
    response = HTTPResponse(cast(socket.socket, _ReadUntil(connection.sock, deadline)), method="POST")
    try:
        response.begin()
        content = response.read(MOST_ANSWER_BYTES + 1)
        if len(content) > MOST_ANSWER_BYTES:
            raise Unreachable("The answer is larger than any answer of the service.")
        if response.length:
            raise Unreachable("The answer broke off.")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
    finally:
        response.close()


class _ReadUntil(io.RawIOBase):
    """A socket's bytes until a moment. A socket's own timeout starts anew with every byte that drips in."""

    def __init__(self, source: socket.socket, deadline: float) -> None:
        self._source, self._deadline = source, deadline

    def makefile(self, *_arguments: Any) -> io.BufferedReader:
        """Return a file over the rest."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self._source.settimeout(left)
        return self._source.recv_into(buffer)


def _proxy_for(scheme: str, host: str) -> SplitResult | None:
    """Return the proxy that the environment asks for (HTTPS_PROXY, NO_PROXY, …)."""
    from urllib.request import getproxies, proxy_bypass  # not needed before the first request, and slow to import

    proxy = getproxies().get(scheme)
    if not proxy or proxy_bypass(host):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _proxy_credentials(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
