"""The one client for calls that go out: to upstream models, to webhooks, to other tools.

Addresses are typed by people who administer a project, not the machine, so they must not lead into the operator's own
network. The name is resolved once, when a connection is made; each address it stands for must be a public one, or
HITL_PRIVATE_HOSTS must name the host; and to exactly these addresses the connection goes. Redirects are not followed.
Time and size are bounded. Connections are kept open and used again.

    OutgoingError
    ├── AddressRefused    not http(s), or it leads to a private address
    ├── Unreachable       no such host, refused, or its certificate is wrong
    ├── TookTooLong
    ├── BrokenOff         the connection ended before the answer did
    └── AnswerTooLarge
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit

import urllib3
from urllib3 import connection, connectionpool, exceptions
from urllib3.util import connection as sockets

PIECE_BYTES = 64 * 1024
KEPT_CONNECTIONS = 64  # for each host
MAX_HOSTS = 200
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
DEFAULT_PORTS = {"http": 80, "https": 443}


class OutgoingError(Exception):
    """A call could not be made, or its answer not be read."""


class AddressRefused(OutgoingError):
    """The address is none that may be called."""


class Unreachable(OutgoingError):
    """Nobody answers there."""


class TookTooLong(OutgoingError):
    """There was no answer in time."""


class BrokenOff(OutgoingError):
    """The connection ended before the answer did."""


class AnswerTooLarge(OutgoingError):
    """The answer is larger than is taken."""


class Answer:
    """What came back. Close it, or read it to its end: then its connection serves the next call."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, deadline: float) -> None:
        self._raw, self._deadline = raw, deadline
        self.status = raw.status
        self.headers: Mapping[str, str] = raw.headers

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises TookTooLong, BrokenOff."""
        while True:
            with _told():
                piece = self._raw.read1(PIECE_BYTES)
            if not piece:
                self._raw.release_conn()
                return
            if time.monotonic() > self._deadline:
                self.close()
                raise TookTooLong("The answer did not end in time.")
            yield piece

    def read(self, max_bytes: int) -> bytes:
        """Return the whole body. Raises AnswerTooLarge, TookTooLong, BrokenOff."""
        pieces: list[bytes] = []
        left = max_bytes
        for piece in self.pieces():
            left -= len(piece)
            if left < 0:
                self.close()
                raise AnswerTooLarge(f"The answer is larger than {max_bytes:,} bytes.")
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Give it up: what has not been read is lost, and so is the connection."""
        self._raw.close()


class Outgoing:
    """Calls over connections that are kept. One for a process; all threads may use it."""

    def __init__(self, private_hosts: Sequence[str] = ()) -> None:
        """Prepare.

        private_hosts: hosts that may be called though they are not public: `llm.internal`, `127.0.0.1:8001`. Without a
            port all of its ports.
        """
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._pools: dict[tuple[str, str, int], connectionpool.HTTPConnectionPool] = {}

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        connect_seconds: float = 5.0,
        silence_seconds: float = 30.0,
        total_seconds: float = 60.0,
    ) -> Answer:
        """Make a call and return its answer, whose head has come.

        silence_seconds: how long nothing may come.
        Raises AddressRefused, Unreachable, TookTooLong, BrokenOff.
        """
        parts = checked_url(url)
        deadline = time.monotonic() + total_seconds
        timeout = urllib3.Timeout(connect=min(connect_seconds, total_seconds), read=min(silence_seconds, total_seconds))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with _told():
            raw = self._pool(parts).urlopen(
                method,
                target,
                body=body,
                headers={"Accept-Encoding": "identity", **headers},
                retries=False,
                redirect=False,
                timeout=timeout,
                preload_content=False,
                decode_content=True,
            )
        return Answer(raw, deadline)

    def close(self) -> None:
        """Close the kept connections."""
        for pool in list(self._pools.values()):
            pool.close()

    def _pool(self, parts: SplitResult) -> connectionpool.HTTPConnectionPool:
        place = (parts.scheme, str(parts.hostname), _port(parts))
        if place not in self._pools:
            if len(self._pools) >= MAX_HOSTS:
                self._pools.clear()  # calls that are under way keep theirs
            self._pools[place] = _new_pool(*place, self._addresses)
        return self._pools[place]

    def _addresses(self, host: str, port: int) -> list[str]:
        """Return what a name stands for. Raises AddressRefused, OSError."""
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        if not self._private_hosts & {host.lower(), f"{host.lower()}:{port}"}:
            for address in found:
                if not is_public(address):
                    raise AddressRefused(
                        f"{host} leads to a private address. If that is meant, the operator names it in "
                        "HITL_PRIVATE_HOSTS."
                    )
        return found


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the open internet."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in TRANSLATED:  # whose last 32 bits a gateway makes an address of the older kind of
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


def checked_url(url: str) -> SplitResult:
    """Return the parts of an address that may be called as far as its form goes. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        is_of_web = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and _port(parts) > 0
    except ValueError:  # no number as port, half an IPv6 address
        is_of_web = False
    if not is_of_web:
        raise AddressRefused("An address begins with http:// or https:// and names a host.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("An address holds no name and no password.")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise AddressRefused("An address holds no blanks.")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS[parts.scheme]


Resolve = Callable[[str, int], list[str]]


class _Pinned(connection.HTTPConnection):
    """Connects to addresses that were looked at, by whatever name it was asked for."""

    resolve: Resolve

    def _new_conn(self) -> socket.socket:
        trouble: OSError = OSError("the name stands for no address")
        try:
            for address in self.resolve(self._dns_host, self.port):
                try:
                    return sockets.create_connection(
                        (address, self.port), self.timeout, socket_options=self.socket_options
                    )
                except TimeoutError as error:
                    raise exceptions.ConnectTimeoutError(self, "no connection in time") from error
                except OSError as error:
                    trouble = error
        except socket.gaierror as error:
            raise exceptions.NameResolutionError(self.host, self, error) from error
        raise exceptions.NewConnectionError(self, str(trouble)) from trouble


class _PinnedHttp(_Pinned):
    pass


class _PinnedHttps(_Pinned, connection.HTTPSConnection):
    pass


def _new_pool(scheme: str, host: str, port: int, resolve: Resolve) -> connectionpool.HTTPConnectionPool:
    kind = connectionpool.HTTPSConnectionPool if scheme == "https" else connectionpool.HTTPConnectionPool
    connects = _PinnedHttps if scheme == "https" else _PinnedHttp
    pool = kind(host, port, maxsize=KEPT_CONNECTIONS, block=False)
    pool.ConnectionCls = type(connects.__name__, (connects,), {"resolve": staticmethod(resolve)})
    return pool


@contextmanager
def _told() -> Iterator[None]:
    """Say in our words what went wrong in the library."""
    try:
        yield
    except (exceptions.NewConnectionError, exceptions.SSLError) as error:
        raise Unreachable(f"Nobody answers there: {error}") from error
    except exceptions.TimeoutError as error:
        raise TookTooLong("There was no answer in time.") from error
    except (exceptions.HTTPError, OSError) as error:
        raise BrokenOff("The connection ended before the answer did.") from error
