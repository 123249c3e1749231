"""The product as its users run it: real processes, started and stopped by the command line."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import HttpUrl, SecretStr

from hitl.core import schema
from hitl.core.instance import Instance, open_instance
from hitl.core.settings import Settings

START_SECONDS = 60.0


class Service:
    """One installation in a folder of its own."""

    def __init__(self, folder: Path, database_url: str, *, web_processes: int = 1) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = Settings(
            database_url=database_url,
            storage_url=str(folder / "storage"),
            public_url=HttpUrl(self.address),
            secret=SecretStr(secrets.token_hex(32)),
            web_processes=web_processes,
        )

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        """The same installation from inside this process: quicker than a command, for what a test only prepares."""
        instance = open_instance(self.settings)
        yield instance
        instance.database.close()

    def run(self, *arguments: str, typed: str = "", fails: bool = False) -> str:
        """Run a command of the product and return what it printed; it must fail exactly if told so."""
        done = subprocess.run(
            [sys.executable, "-m", "hitl", *arguments],
            env=self._environment(),
            cwd=self.folder,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stderr if fails else done.stdout

    def start(self) -> None:
        """Serve, and wait until it is ready."""
        log = (self.folder / "service.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hitl", "serve", "--port", str(self.port)],
            env=self._environment(),
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, f"it did not start:\n{self.log()}"
            assert time.monotonic() < deadline, f"it was not ready in time:\n{self.log()}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End every process of it at once, without any chance to tidy up."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._signal(signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The process that the others belong to."""
        assert self._process is not None, "it is not running"
        return self._process.pid

    def log(self) -> str:
        """Return what the service wrote to its log so far."""
        return (self.folder / "service.log").read_text()

    def ask(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request to the API and return the status and the JSON of the answer."""
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, _json(refusal.read())

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=60)
            self._process = None

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HITL_")}
        settings = self.settings.model_dump(mode="json", exclude_defaults=True, exclude={"secret"})
        secret = self.settings.secret.get_secret_value() if self.settings.secret else ""
        ours = {f"HITL_{name.upper()}": str(value) for name, value in {**settings, "secret": secret}.items()}
        return {**inherited, **ours}


@contextmanager
def serving(folder: Path, database_url: str, *, web_processes: int = 1) -> Iterator[Service]:
    """A service with an empty, up-to-date database; started by the caller, ended here."""
    service = Service(folder, database_url, web_processes=web_processes)
    with service.instance() as instance:
        schema.upgrade(instance.database)
    try:
        yield service
    finally:
        service.kill()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _json(body: bytes) -> Any:
    return json.loads(body) if body else None
