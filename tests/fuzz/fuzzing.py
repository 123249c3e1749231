"""Requests made up from the OpenAPI document, many of them wrong, to a running server: `make fuzz CASES=100000`.

Every answer has to be as the document says (status, headers, content type, shape), and none a 5xx. Two thirds of the
requests come from programs with a key of every scope, to addresses that mostly lead somewhere; one third without a key.
The seed is printed; the same seed makes the same requests up.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hitl.accounts.keys import create_key
from hitl.accounts.models import Membership, User
from hitl.accounts.permissions import SCOPES
from hitl.accounts.projects import create_project
from tests.machine.service import Service, serving

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
COMMAND = "from schemathesis.cli import schemathesis; schemathesis()"
ROOT = Path(__file__).parents[2]


class Fuzzing:
    """A service with something in it, and requests to it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.names: dict[str, list[str]] = {}

    def prepare(self) -> None:
        """Fill the service, and learn which names it knows."""
        with self.service.instance() as instance, instance.database.writing() as db:
            project = create_project(db, "desk", "Desk")
            user = User(email="kim@example.org", name="Kim")
            db.add(user)
            db.flush()
            db.add(Membership(user_id=user.id, project_id=project.id, role="admin"))
            db.flush()
            _, self.key = create_key(db, project, user, "Fuzz", list(SCOPES))
        self.service.start()
        self._fill()

    def _fill(self) -> None:
        rows = [
            {
                "client_id": f"r{n}",
                "input": {"messages": [{"role": "user", "content": f"Question {n // 2}?"}]},
                "output": {"role": "assistant", "content": f"Answer {n}."},
                "may_train": "yes",
            }
            for n in range(60)
        ]
        self.ask("POST", "/projects/desk/responses", {"responses": rows})
        rule = self.ask("POST", "/projects/desk/rules", {"name": "All", "rate": 0.5})
        names = [f"r{n}" for n in range(40)]
        pairs = [{"client_ids": [f"r{n}", f"r{n + 1}"]} for n in range(40, 60, 2)]
        picked = {"client_ids": names, "comparisons": pairs, "reviews_wanted": 2}
        items = self.ask("POST", "/projects/desk/items", picked)["items"]
        leases, reviews = [], []
        for _ in range(20):
            lease = self.ask("POST", "/projects/desk/leases", {})
            answers: dict[str, Any] = {"helpful": 2, "correct": 4, "correction": "Better."}
            if lease["kind"] == "comparison":
                answers = {"ranking": "all_bad"}
            reviews.append(self.ask("POST", f"/leases/{lease['id']}/review", {"answers": answers})["id"])
            leases.append(lease["id"])
        leases += [self.ask("POST", "/projects/desk/leases", {})["id"] for _ in range(3)]
        self.ask("POST", "/projects/desk/datasets/pairs/versions", {})
        self.names = {
            "slug": ["desk"],
            "name": ["pairs"],
            "number": ["1"],
            "response_id": [one["id"] for one in self.ask("GET", "/projects/desk/responses")["responses"]],
            "item_id": [item["id"] for item in items],
            "lease_id": leases,
            "review_id": reviews,
            "rule_id": [rule["id"]],
        }

    def run(self, cases: int, seed: int) -> bool:
        """Send about so many requests; print what is wrong with the answers, and return whether nothing is."""
        document = self.service.ask("GET", "/api/openapi.json", self.key)[1]
        operations = sum(len(item) for item in document["paths"].values())
        each = max(1, cases // operations)
        with_key = self._send(max(1, each * 2 // 3), seed, "-H", f"Authorization: Bearer {self.key}")
        without = self._send(max(1, each // 3), seed)
        return with_key and without and "Traceback" not in self.service.log()

    def _send(self, each: int, seed: int, *more: str) -> bool:
        command = [
            *(sys.executable, "-c", COMMAND, "run", f"{self.service.address}/api/openapi.json"),
            *("--seed", str(seed), "--max-examples", str(each), "--phases", "fuzzing", "--no-shrink"),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--suppress-health-check", "all"),
            *("--generation-database", "none", "--request-timeout", "60", *more),
        ]
        # It leaves what it found in the folder that it runs in.
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            "FUZZ_NAMES": json.dumps(self.names),
        }
        return subprocess.run(command, env=environment, cwd=self.service.folder, check=False).returncode == 0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the API for something that it does not refuse."""
        status, answer = self.service.ask(method, f"/api/v1{path}", self.key, body)
        assert status < 400, answer
        return answer


def main() -> int:
    """Run it on a database of its own."""
    from benchmarks.databases import own_database

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="requests, about")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    asked = parser.parse_args()
    kinds = ["sqlite", "postgresql"] if asked.database == "both" else [asked.database]
    is_right = True
    for kind in kinds:
        print(f"{kind}: {asked.cases // len(kinds):,} requests, seed {asked.seed}", flush=True)
        with (
            own_database(kind) as url,
            tempfile.TemporaryDirectory(prefix="hitl-fuzz-") as folder,
            serving(Path(folder), url) as service,
        ):
            fuzzing = Fuzzing(service)
            fuzzing.prepare()
            is_right &= fuzzing.run(asked.cases // len(kinds), asked.seed)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
