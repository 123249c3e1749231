"""A real LiteLLM proxy on this machine, in front of one model.

It has a virtual environment of its own (about 750 MB), because it needs other versions of much that we use: the
folder that LITELLM_VENV names; nothing is fetched. What it would send home is switched off, and so is its database.
"""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from benchmarks.model_server import MODEL
from tests.machine.service import free_port

READY_WAIT_SECONDS = 180


def litellm_venv() -> Path | None:
    """Return the environment that LITELLM_VENV names, if it names one."""
    named = os.environ.get("LITELLM_VENV")
    return Path(named) if named else None


def version_of(venv: Path) -> str:
    """Return which LiteLLM is installed there."""
    ask = "from importlib.metadata import version; print(version('litellm'))"
    return subprocess.run([venv / "bin/python", "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def litellm_proxy(venv: Path, model_port: int) -> Iterator[tuple[int, str]]:
    """Run the proxy with one worker until the block ends; yield its port and its key."""
    port, key = free_port(), f"sk-{secrets.token_hex(32)}"
    with tempfile.TemporaryDirectory(prefix="litellm-") as folder:
        config = Path(folder, "config.yaml")
        config.write_text(
            f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
            f"      api_base: http://127.0.0.1:{model_port}/v1\n      api_key: sk-of-the-model\n"
            "litellm_settings:\n  telemetry: false\n  set_verbose: false\n  num_retries: 0\n"
        )
        environment = {
            "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
            "HOME": folder,
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        command = [venv / "bin/litellm", "--config", config, "--host", "127.0.0.1", "--port", str(port)]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(
                [*command, "--num_workers", "1"], env=environment, cwd=folder, stdout=log, stderr=log
            )
        try:
            _wait_until_up(port, server, Path(folder, "log"))
            yield port, key
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(20)


def _wait_until_up(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    ends_at = time.monotonic() + READY_WAIT_SECONDS
    while time.monotonic() < ends_at and server.poll() is None:
        try:
            if requests.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise TimeoutError(f"LiteLLM did not come up: {log.read_text(errors='replace')[-2000:]}")
