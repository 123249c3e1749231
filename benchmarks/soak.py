"""An hour of mixed work against a service as it is run: nothing fails, nothing grows: `make soak MINUTES=60`.

People claim, draft, submit, skip and take back; programs capture, give feedback, list and follow; versions are frozen
and exported. Each minute the memory and open files of each process, the database's size, the number of answers, the 5xx
among them and the slowest hundredth are printed. It fails on any 5xx, on a process that ended, and where the memory
of a process at the end exceeds that at half time by more than GROWTH_SHARE and GROWTH_BYTES together.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psycopg

from benchmarks.filling import open_desk
from benchmarks.machine import family_of, resident_mib
from benchmarks.serving import Program, keys_of_people, own_service
from benchmarks.timing import percentile
from hitl.accounts.permissions import SCOPES
from tests.machine.service import Service

PEOPLE, PROGRAMS = 4, 2
PAUSE_SECONDS = 0.05  # between what one of them does and the next
GROWTH_SHARE, GROWTH_BYTES = 0.10, 24 * 1024 * 1024  # both exceeded: it grows
FREEZE_SECONDS = 20.0


class Soak:
    """A service under work, and what was seen of it."""

    def __init__(self, service: Service, kind: str, seed: int) -> None:
        self.service, self.kind, self.seed = service, kind, seed
        self.over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.troubles: list[str] = []
        self.memory: list[dict[int, int]] = []
        self._lock = threading.Lock()

    def run(self, minutes: float, sample_seconds: float) -> list[str]:
        """Work for so long and return what was wrong."""
        with self.service.instance() as instance:
            desk = open_desk(instance.database, "soak", PEOPLE + PROGRAMS + 1, role="admin")
            with instance.database.writing() as db:
                keys = keys_of_people(db, desk.project_id, desk.people, *SCOPES)
        self.service.start()
        self.ask(Program(self.service, keys[0]), "POST", "/rules", {"name": "All", "rate": 0.3, "reviews_wanted": 2})
        works = [self._review] * PEOPLE + [self._capture] * PROGRAMS + [self._freeze]
        workers = [
            threading.Thread(target=self._keep_at, args=(work, key, number), daemon=True)
            for number, (work, key) in enumerate(zip(works, keys, strict=True))
        ]
        for worker in workers:
            worker.start()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end and not self.troubles:
            time.sleep(max(0.0, min(sample_seconds, end - time.monotonic())))
            self._sample()
        self.over.set()
        for worker in workers:
            worker.join(timeout=60)
        return self.troubles + growth(self.memory)

    def _keep_at(self, work: Any, key: str, number: int) -> None:
        chance = random.Random(self.seed * 1_000 + number)
        program = Program(self.service, key)
        while not self.over.is_set():
            try:
                work(program, chance)
            except Exception as error:
                if not self.over.is_set():
                    self.troubles.append(f"{work.__name__}: {error!r}")
                return
            self.over.wait(PAUSE_SECONDS)

    def _capture(self, program: Program, chance: random.Random) -> None:
        name = f"{chance.random()}"
        rows = [_response(chance, f"{name}-{n}") for n in range(chance.randint(1, 20))]
        self.ask(program, "POST", "/responses", {"responses": rows})
        thumb = {"client_id": rows[0]["client_id"], "kind": "thumbs", "value": chance.random() < 0.5}
        self.ask(program, "POST", "/feedback", {"feedback": [thumb]})
        feed = chance.choice(["responses", "reviews", "evidence", "items", "my-reviews", "datasets"])
        self.ask(program, "GET", f"/{feed}")

    def _review(self, program: Program, chance: random.Random) -> None:
        lease = self.ask(program, "POST", "/leases", {})
        if not lease or "targets" not in lease:
            for held in self.ask(program, "GET", "/leases")["leases"]:
                self.ask(program, "DELETE", f"/leases/{held['id']}", at="")
            return
        path = f"/leases/{lease['id']}"
        answers = {"helpful": chance.randint(1, 5), "correct": "unsure", "wrong": []}
        if chance.random() < 0.5:
            answers["correction"] = f"A better answer {chance.random()}."
        self.ask(program, "PUT", f"{path}/draft", {"answers": {"helpful": "1"}, "seen_number": 0}, at="")
        if chance.random() < 0.1:
            self.ask(program, "POST", f"{path}/skip", {"reason": "Not mine"}, at="")
            return
        review = self.ask(program, "POST", f"{path}/review", {"answers": answers}, at="")
        if review and "id" in review and chance.random() < 0.1:
            self.ask(program, "POST", f"/reviews/{review['id']}/reopening", at="")

    def _freeze(self, program: Program, chance: random.Random) -> None:
        started = self.ask(program, "POST", "/datasets/pairs/versions", {})
        self.over.wait(FREEZE_SECONDS)
        if started and "version" in started:
            self.ask(program, "GET", f"/datasets/pairs/versions/{started['version']}/export?format=trl-preference")

    def ask(self, program: Program, method: str, path: str, body: Any = None, at: str = "/projects/soak") -> Any:
        """Send a request, note how it went, and return what was answered if it is JSON."""
        start = time.perf_counter()
        status, said = program.send(method, f"/api/v1{at}{path}", None if body is None else orjson.dumps(body))
        with self._lock:
            self.seconds.append(time.perf_counter() - start)
            self.statuses[status] += 1
            if status >= 500:
                self.troubles.append(f"{method} {path}: {status} {said[:300]!r}")
        return orjson.loads(said) if said[:1] in (b"{", b"[") else None

    def _sample(self) -> None:
        with self._lock:
            seconds, self.seconds = self.seconds, []
        pids = family_of(self.service.pid)
        self.memory.append({pid: int(resident_mib(pid) * 2**20) for pid in pids})
        files = [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]
        slowest = percentile(seconds, 0.99) * 1000 if seconds else float("nan")
        resident = " ".join(f"{size / 1e6:.0f}" for size in self.memory[-1].values())
        server_errors = sum(number for status, number in self.statuses.items() if status >= 500)
        print(
            f"{len(self.memory):>4}  {len(seconds):>7,} answers  p99 {slowest:>7.1f} ms  5xx {server_errors}"
            f"  memory {resident} MB  files {' '.join(map(str, files))}"
            f"  database {self._database_bytes() / 1e6:,.1f} MB",
            flush=True,
        )

    def _database_bytes(self) -> int:
        url = self.service.settings.database_url
        if self.kind == "sqlite":
            file = Path(url.removeprefix("sqlite:///"))
            return sum(one.stat().st_size for one in file.parent.glob(f"{file.name}*"))
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            return int(row[0]) if row else 0


def growth(memory: Sequence[Mapping[int, int]]) -> list[str]:
    """Compare the end with half time, process by process, and say what grew; the first half may fill caches.

    memory: bytes by process, sample by sample. Compared is the middle value of a tenth of the samples: a single one may
    be taken in the middle of a freeze.
    """
    if len(memory) < 2:
        return ["fewer than two samples: nothing can be said of growth"]
    tenth, middle = max(1, len(memory) // 10), len(memory) // 2
    at_half, at_end = memory[max(0, middle - tenth) : middle], memory[-tenth:]
    if any(sample.keys() != memory[-1].keys() for sample in (*at_half, *at_end)):
        return [f"processes ended or came: {sorted(at_half[0])} at half time, {sorted(memory[-1])} at the end"]
    troubles = []
    for pid in memory[-1]:
        half, end = (median(sample[pid] for sample in samples) for samples in (at_half, at_end))
        if end - half > GROWTH_BYTES and end > half * (1 + GROWTH_SHARE):
            troubles.append(f"process {pid} grew from {half:,.0f} to {end:,.0f} bytes in the second half")
    return troubles


def _response(chance: random.Random, name: str) -> dict[str, Any]:
    return {
        "client_id": name,
        "input": {"messages": [{"role": "user", "content": f"Question {chance.randrange(1_000_000)}?"}]},
        "output": {"role": "assistant", "content": "An answer. " * chance.randint(1, 60)},
        "model": chance.choice(["small", "large"]),
        "may_train": "yes",
    }


def main() -> int:
    """Soak a service and say whether it stayed well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--sample-seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    processes = 1 if asked.database == "sqlite" else 2
    print(f"{asked.database}, {processes} processes, {asked.minutes:g} minutes, seed {asked.seed}", flush=True)
    with own_service(asked.database, web_processes=processes) as service:
        soak = Soak(service, asked.database, asked.seed)
        troubles = soak.run(asked.minutes, asked.sample_seconds)
        print("answers by status:", dict(sorted(soak.statuses.items())))
    for trouble in troubles:
        print(f"WRONG: {trouble}")
    print("It failed." if troubles else "Nothing failed, nothing grew.")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
