"""The product's own OpenAI-compatible server (hitl/demo/upstream.py) as a process of its own, for tests."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OpenAIServer:
    """The running process."""

    def __init__(self, address: str, process: subprocess.Popen[str]) -> None:
        self.address = address
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
def openai_server(port: int = 0) -> Iterator[OpenAIServer]:
    """A server of one's own, by default on a free port."""
    command = [sys.executable, "-m", "hitl", "demo", "upstream", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield OpenAIServer(process.stdout.readline().split()[-1], process)
    finally:
        process.kill()
        process.wait(timeout=10)
        process.stdout.close()
