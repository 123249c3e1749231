"""How soon those who follow conversations get what happens there: `python -m benchmarks.streams`.

One web process on PostgreSQL, with Redis, as others may be beside it. What a user says is committed by this process;
readers in a third one note when it came. The floor is a server that hands on what is published in Redis, and no more.
"""

import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import redis
from pydantic import RedisDsn

from benchmarks.bench import Bench, main
from benchmarks.databases import note_server
from benchmarks.machine import family_of, resident_mib
from benchmarks.serving import Program, own_service
from benchmarks.streams_floor import CHANNEL
from benchmarks.streams_reader import Address, Readers, reading
from benchmarks.timing import Timings, percentile, timed
from hitl.accounts.keys import create_key
from hitl.accounts.members import add_member
from hitl.accounts.projects import create_project
from hitl.accounts.users import create_user
from hitl.capture.conversations import open_conversation
from hitl.core.database import Database
from hitl.live import speaking
from hitl.live.log import go_live, locked
from tests.machine.redis import redis_server
from tests.machine.service import Service, free_port

KIND = "postgresql"
PAUSE_SECONDS = 0.02  # between events, beside waiting until the last one has come
PROMISED_MS = 1_000  # whoever follows sees it within a second
PATIENCE_SECONDS = 20.0
BETWEEN_REQUESTS_SECONDS = 0.02
TEXT = "I have had a headache, dizziness and muscle weakness for two days now."


def measure(bench: Bench) -> None:
    """Publish with more and more streams open, each of a conversation of its own, then all of one."""
    if KIND not in bench.kinds:
        bench.note("SQLite serves streams by threads and without Redis; it is not measured here")
        return
    counts: tuple[int, ...] = bench.sized(full=(1, 100, 1_000), quick=(1, 100), smoke=(1, 4))
    times = bench.sized(full=200, quick=40, smoke=4)
    with tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder, redis_server(Path(folder)) as redis_here:
        with _served(bench, redis_here.url, max(counts)) as place:
            bench.table("One web process: from the commit of an event until it came")
            alone = place.requests_during(lambda: time.sleep(bench.sized(full=5.0, quick=2.0, smoke=0.2)))
            bench.row(streams=0, **{"a request meanwhile p99 ms": alone.p(99)})
            for count in counts:
                _row(bench, place, count, "one each", place.conversations[:count], times)
            for count in counts[1:]:
                _row(bench, place, count, "the same", place.conversations[:1] * count, max(times // 5, 4))
        bench.table("The floor: the same number of sockets, handed what Redis publishes")
        for count in counts:
            _floor_row(bench, redis_here.url, count, max(times // 5, 4))


def _row(bench: Bench, place: "Place", count: int, whose: str, conversations: Sequence[UUID], times: int) -> None:
    before = place.memory_mib()
    with reading([place.stream_of(one) for one in conversations]) as readers:
        time.sleep(1.0)  # each has looked once
        opened = place.memory_mib()
        spans: list[list[float]] = []
        meanwhile = place.requests_during(lambda: spans.extend(_publish(place, readers, conversations, times)))
    delays = [span for event in spans for span in event]
    expected = len(spans) * (count if whose == "the same" else 1)
    bench.row(
        streams=count,
        conversations=whose,
        events=len(spans),
        **{
            "p50 ms": 1000 * percentile(delays, 0.5),
            "p99 ms": 1000 * percentile(delays, 0.99),
            "delivered %": 100 * len(delays) / expected,
            "KiB a stream": 1024 * (opened - before) / count if count > 1 and whose == "one each" else None,
            "a request meanwhile p99 ms": meanwhile.p(99),
        },
    )
    if count > 1:
        bench.goal(f"{count:,} streams, {whose}: p99", 1000 * percentile(delays, 0.99), unit="ms", at_most=PROMISED_MS)


def _publish(place: "Place", readers: Readers, conversations: Sequence[UUID], times: int) -> Iterator[list[float]]:
    """Say something in one conversation after another; yield for each how long it took to come to whom it reaches."""
    for conversation_id in itertools.islice(itertools.cycle(dict.fromkeys(conversations)), times):
        reached = [index for index, one in enumerate(conversations) if one == conversation_id]
        number, committed_at = place.say(conversation_id)
        came = _wait_for(readers, reached, number)
        yield [at - committed_at for at in came]
        time.sleep(PAUSE_SECONDS)


def _wait_for(readers: Readers, reached: list[int], number: int) -> list[float]:
    """Return when an event came, of those streams to which it came in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        arrivals = readers.arrivals()
        came = [arrivals[index][number] for index in reached if number in arrivals[index]]
        if len(came) == len(reached) or time.monotonic() > deadline:
            return came
        time.sleep(0.05)


def _floor_row(bench: Bench, redis_url: str, count: int, times: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.streams_floor", str(port), redis_url]
    with subprocess.Popen(command) as process, redis.Redis.from_url(redis_url) as server:
        try:
            _wait_until_listening(server)
            streams: list[Address] = [(port, "/", {})] * count
            delays: list[float] = []
            with reading(streams) as readers:
                for number in range(1, times + 1):
                    began = time.monotonic()
                    server.publish(CHANNEL, f'id: {number}\ndata: {{"text": "{TEXT}"}}\n\n')
                    delays.extend(at - began for at in _wait_for(readers, list(range(count)), number))
        finally:
            process.kill()
    bench.row(streams=count, **{"p50 ms": 1000 * percentile(delays, 0.5), "p99 ms": 1000 * percentile(delays, 0.99)})


def _wait_until_listening(server: redis.Redis) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not dict(server.pubsub_numsub(CHANNEL)).get(CHANNEL.encode()):
        assert time.monotonic() < deadline, "the floor's server did not start"
        time.sleep(0.02)


@dataclass
class Place:
    """A running service in which conversations go on."""

    service: Service
    database: Database
    token: str
    conversations: list[UUID]

    def stream_of(self, conversation_id: UUID) -> Address:
        return self.service.port, self._path_of(conversation_id), {"Authorization": f"Bearer {self.token}"}

    def say(self, conversation_id: UUID) -> tuple[int, float]:
        """Let the user say something; return the event's number and when its commit began."""
        with self.database.writing() as db:
            event = speaking.receive(db, locked(db, conversation_id), {"role": "user", "content": TEXT})
            number, began = event.number, time.monotonic()
        return number, began

    def memory_mib(self) -> float:
        return sum(map(resident_mib, family_of(self.service.pid)))

    def requests_during(self, work: Callable[[], object]) -> Timings:
        """Do some work, and meanwhile ask for a page of events again and again."""
        timings, over = Timings(), threading.Event()
        program, path = Program(self.service, self.token), self._path_of(self.conversations[-1])

        def ask() -> None:
            while not over.wait(BETWEEN_REQUESTS_SECONDS):
                with timed(timings):
                    program.expect(200, "GET", path)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            work()
        finally:
            over.set()
            asking.join()
        return timings

    def _path_of(self, conversation_id: UUID) -> str:
        return f"/api/v1/conversations/{conversation_id}/events"


@contextmanager
def _served(bench: Bench, redis_url: str, count: int) -> Iterator[Place]:
    with own_service(KIND) as service:
        changes = {"redis_url": RedisDsn(redis_url), "web_streams": count + 50}
        service.settings = service.settings.model_copy(update=changes)
        with service.instance() as instance:
            note_server(bench, KIND, service.settings.database_url)
            with instance.database.writing() as db:
                user = create_user(db, "ana@example.com", "Ana Lima")
                project = create_project(db, "desk", "Desk")
                add_member(db, project, user, "engineer")
                _, token = create_key(db, project, user, "application", ["capture"])
                talks = [go_live(db, open_conversation(db, project, f"chat-{n}")[0]).id for n in range(count + 1)]
            service.start()
            yield Place(service, instance.database, token, talks)


if __name__ == "__main__":
    main("streams", "Following conversations as they go on", measure)
