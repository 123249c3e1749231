import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hitl.core import outgoing
from hitl.core.outgoing import Outgoing


class TestWhereCallsMayGo:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://10.1.2.3/",
            "http://192.168.0.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://0.0.0.0/",
            "http://0/",
            "http://2130706433/",
            "http://[fe80::1]/",
            "http://[64:ff9b::7f00:1]/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "http://name:word@example.org/",
            "http://exam ple.org/",
            "http:///path",
            "http://example.org:99999/",
            "",
        ],
    )
    def test_it_refuses_private_addresses_in_every_spelling(self, url):
        with pytest.raises((outgoing.AddressRefused, outgoing.Unreachable)):
            Outgoing().call("GET", url, headers={}, connect_seconds=0.2)

    def test_it_refuses_a_name_of_which_one_address_is_private(self, monkeypatch):
        found = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        with pytest.raises(outgoing.AddressRefused):
            Outgoing().call("GET", "http://rebinding.example/", headers={})

    def test_it_goes_where_the_operator_says(self, serve):
        port = serve(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        assert Outgoing(["localhost"]).call("GET", f"http://localhost:{port}/", headers={}).read(10) == b"hi"
        with pytest.raises(outgoing.AddressRefused):
            Outgoing([f"localhost:{port + 1}"]).call("GET", f"http://localhost:{port}/", headers={})

    def test_it_asks_for_the_name_once_and_connects_to_what_it_found(self, serve, monkeypatch):
        port = serve(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        asked = []

        def resolve(host, *_, **__):
            asked.append(host)
            return [(2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", _only_for("moving.example", resolve))
        Outgoing(["moving.example"]).call("GET", f"http://moving.example:{port}/", headers={}).read(10)

        assert asked == ["moving.example"]

    def test_it_follows_no_redirect(self, serve):
        port = serve(lambda _: b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")

        assert local().call("GET", f"http://127.0.0.1:{port}/", headers={}).status == 302

    def test_it_believes_no_certificate_for_another_name(self, serve, tmp_path):
        port = serve(lambda _: b"", certificate=made_certificate(tmp_path, "other.example"))

        with pytest.raises(outgoing.Unreachable):
            local().call("GET", f"https://127.0.0.1:{port}/", headers={})


class TestAnswers:
    def test_it_uses_a_connection_again(self, serve):
        port = serve(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        calls = local()

        for _ in range(3):
            assert calls.call("POST", f"http://127.0.0.1:{port}/", headers={}, body=b"{}").read(2) == b"hi"
        assert serve.connections == 1

    def test_pieces_come_as_they_are_sent(self, serve):
        def send(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            time.sleep(0.3)
            return b"3\r\ntwo\r\n0\r\n\r\n"

        began = time.monotonic()
        pieces = local().call("GET", f"http://127.0.0.1:{serve(send)}/", headers={}).pieces()

        assert next(pieces) == b"one"
        assert time.monotonic() - began < 0.25
        assert list(pieces) == [b"two"]

    @pytest.mark.parametrize(
        "half", [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
    )
    def test_half_an_answer_is_told(self, serve, half):
        def send(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + half)
            connection.close()

        with pytest.raises(outgoing.BrokenOff):
            local().call("GET", f"http://127.0.0.1:{serve(send)}/", headers={}).read(100)

    def test_a_large_one_is_given_up(self, serve):
        port = serve(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlarge")

        with pytest.raises(outgoing.AnswerTooLarge):
            local().call("GET", f"http://127.0.0.1:{port}/", headers={}).read(4)

    def test_silence_ends(self, serve):
        port = serve(lambda _: time.sleep(2) or b"")

        with pytest.raises(outgoing.TookTooLong):
            local().call("GET", f"http://127.0.0.1:{port}/", headers={}, silence_seconds=0.1)

    def test_one_that_drips_for_ever_ends_too(self, serve):
        def send(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(50):
                connection.sendall(b".")
                time.sleep(0.05)
            return b""

        answer = local().call("GET", f"http://127.0.0.1:{serve(send)}/", headers={}, total_seconds=0.3)
        with pytest.raises(outgoing.TookTooLong):
            answer.read(1000)

    def test_nobody_there(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(outgoing.Unreachable):
                local().call("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/", headers={})


def local() -> Outgoing:
    return Outgoing(["127.0.0.1"])


def _only_for(host, resolve):
    real = socket.getaddrinfo
    return lambda name, *more, **options: (resolve if name == host else real)(name, *more, **options)


def made_certificate(folder, name) -> tuple[str, str]:
    key, certificate = str(folder / "key"), str(folder / "certificate")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    subprocess.run([*made, "-days", "1", "-subj", f"/CN={name}"], check=True, capture_output=True)
    return certificate, key


class Serve:
    """Answers every request on every connection with what a function returns."""

    def __init__(self) -> None:
        self.connections = 0
        self._listening: list[socket.socket] = []

    def __call__(self, send: Callable[[socket.socket], bytes | None], certificate=None) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        self._listening.append(listening)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            listening = context.wrap_socket(listening, server_side=True)
        threading.Thread(target=self._accept, args=(listening, send), daemon=True).start()
        return int(listening.getsockname()[1])

    def _accept(self, listening, send) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection, send), daemon=True).start()

    def _answer(self, connection, send) -> None:
        try:
            while connection.recv(65536):
                connection.sendall(send(connection))
        except (OSError, TypeError):
            connection.close()

    def close(self) -> None:
        for listening in self._listening:
            listening.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    serve = Serve()
    yield serve
    serve.close()
