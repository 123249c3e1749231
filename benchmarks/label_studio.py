"""A real Label Studio server on this machine, and people who label in it by its API.

It gets a virtual environment of its own (about 1 GB, once), because it needs other versions of much that we use: in the
folder that LABEL_STUDIO_VENV names, else below the user's cache. What it would send home is switched off.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.machine.service import free_port

VERSION = "1.23.2"
LABELS = """<View>
  <Text name="asked" value="$asked"/><Text name="response" value="$response"/>
  <Rating name="helpful" toName="response" maxRating="5"/>
</View>"""
READY_WAIT_SECONDS = 180
IMPORTED_AT_ONCE = 1_000


class LabelStudio:
    """A running server, with its administrator signed in."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.admin = Labeller(address, token)

    @property
    def version(self) -> str:
        """What the server says it is."""
        return str(self.admin.ask("GET", "/api/version")["release"])

    def project(self, texts: Sequence[tuple[str, str]]) -> int:
        """Make a project of these questions and answers, and return its id."""
        made = self.admin.ask("POST", "/api/projects/", {"title": "Benchmark", "label_config": LABELS})
        tasks = [{"data": {"asked": asked, "response": said}} for asked, said in texts]
        for start in range(0, len(tasks), IMPORTED_AT_ONCE):
            self.admin.ask("POST", f"/api/projects/{made['id']}/import", tasks[start : start + IMPORTED_AT_ONCE])
        return int(made["id"])

    def labeller(self) -> "Labeller":
        """Sign somebody up by the invitation link."""
        link = self.admin.ask("GET", "/api/invite")["invite_url"]
        invited = re.search(r"token=([^&]+)", link)
        page = f"{self.address}/user/signup/?token={invited[1] if invited else ''}"
        visit = requests.Session()
        visit.get(page, timeout=60)
        form = {
            "csrfmiddlewaretoken": visit.cookies.get("csrftoken"),
            "email": f"{uuid.uuid4().hex}@example.org",
            "password": secrets.token_urlsafe(16),
            "allow_newsletters": "false",
        }
        visit.post(page, data=form, headers={"Referer": page}, timeout=60)
        token = visit.get(f"{self.address}/api/current-user/token", timeout=60).json()["token"]
        return Labeller(self.address, token)


class Labeller:
    """A person at the API, who keeps one connection open."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._session = address, requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"

    def next_task(self, project: int) -> int:
        """Return the task that the server hands out. Raises HTTPError when it hands out none."""
        return int(self.ask("GET", f"/api/projects/{project}/next/")["id"])

    def rate(self, task: int, points: int) -> None:
        """Submit a rating."""
        value = {"from_name": "helpful", "to_name": "response", "type": "rating", "value": {"rating": points}}
        self.ask("POST", f"/api/tasks/{task}/annotations/", {"result": [value], "lead_time": 3.0})

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must not be refused, and return the JSON of the answer."""
        answer = self._session.request(method, self._address + path, json=body, timeout=300)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def label_studio() -> Iterator[LabelStudio]:
    """Run an empty server on its default database, SQLite, until the block ends."""
    program = _installed() / "bin" / "label-studio"
    with tempfile.TemporaryDirectory(prefix="label-studio-") as folder:
        port, token = free_port(), secrets.token_hex(20)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "LABEL_STUDIO_BASE_DATA_DIR": folder,
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "LABEL_STUDIO_SENTRY_DSN": "",
            "LABEL_STUDIO_FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_USERNAME": "admin@example.org",
            "LABEL_STUDIO_PASSWORD": secrets.token_urlsafe(16),
            "LABEL_STUDIO_USER_TOKEN": token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        }
        command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_until_up(f"http://127.0.0.1:{port}", server)
            yield LabelStudio(f"http://127.0.0.1:{port}", token)
        finally:
            server.terminate()
            server.wait(30)


def _installed() -> Path:
    folder = Path(os.environ.get("LABEL_STUDIO_VENV") or Path.home() / ".cache" / "hitl-benchmarks" / "label-studio")
    if not (folder / "bin" / "label-studio").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", f"label-studio=={VERSION}"], check=True)
    return folder


def _wait_until_up(address: str, server: "subprocess.Popen[bytes]") -> None:
    ends_at = time.monotonic() + READY_WAIT_SECONDS
    while time.monotonic() < ends_at and server.poll() is None:
        try:
            if json.loads(requests.get(f"{address}/health", timeout=5).content).get("status") == "UP":
                return
        except (requests.RequestException, ValueError):
            time.sleep(0.2)
    raise TimeoutError("Label Studio did not come up")
