"""What runs beside the demo's service: a chat application with its customers, and the bot that plays the model."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SECONDS = 5.0


@contextmanager
def companions(
    service: str, project: str, key: str, *, chat_port: int, upstream_port: int
) -> Iterator[Callable[[], None]]:
    """Yield what starts them, once the service is ready. They end with this process, however it ends."""
    process: subprocess.Popen[bytes] | None = None

    def start() -> None:
        nonlocal process
        names = {"service": service, "project": project, "chat-port": chat_port, "upstream-port": upstream_port}
        options = [f"--{name}={value}" for name, value in names.items()]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "hitl", "demo", "application", *options],
            env={**os.environ, "HITL_KEY": key},
            stdin=subprocess.PIPE,
        )

    try:
        yield start
    finally:
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
