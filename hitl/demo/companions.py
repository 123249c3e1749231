"""What runs beside the demo's service: a chat with its customers, who wants texts, and the bot that plays the model."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

STOP_SECONDS = 5.0


@contextmanager
def companions(
    service: str, keys: Mapping[str, str], *, chat_port: int, upstream_port: int
) -> Iterator[Callable[[], None]]:
    """Yield what starts them, once the service is ready. They end with this process, however it ends.

    keys: the environment variables by which they get the key of each project.
    """
    process: subprocess.Popen[bytes] | None = None

    def start() -> None:
        nonlocal process
        names = {"service": service, "chat-port": chat_port, "upstream-port": upstream_port}
        options = [f"--{name}={value}" for name, value in names.items()]
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "hitl", "demo", "applications", *options],
            env={**os.environ, **keys},
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
