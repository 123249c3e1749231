"""What the gateway adds to a call in observe mode: `python -m benchmarks.gateway`.

The same requests go to one and the same model directly, through `hitl serve`, and, where LITELLM_VENV names a virtual
environment with `litellm[proxy]`, through a LiteLLM proxy; rounds alternate. The model answers at once, so that nearly
all of the difference is the way. Each product has one process and does all that it does by default: hitl records every
answer, LiteLLM has no database.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from benchmarks.bench import Bench, main
from benchmarks.filling import open_desk
from benchmarks.litellm_proxy import litellm_proxy, litellm_venv, version_of
from benchmarks.model_server import ask_at_once, model_server
from benchmarks.serving import keys_of_people, own_service
from benchmarks.timing import Timings
from hitl.accounts.members import add_member
from hitl.accounts.models import Project
from hitl.accounts.users import create_user
from hitl.capture.models import Response
from hitl.gateway.upstreams import add_upstream
from tests.machine.service import Service

CALLERS = (1, 16, 64)
ROUNDS = 3
PATH = "/v1/chat/completions"
DIRECT, PEER = "directly", "LiteLLM"
TIMES_LESS_ADDED, TIMES_MORE_REQUESTS = 5.0, 5.0


@dataclass
class Way:
    """One way to the model."""

    name: str
    port: int
    path: str
    key: str
    service: Service | None = None
    sent: int = 0
    by_load: dict[tuple[int, bool], list[Timings]] = field(default_factory=dict)

    def run(self, bench: Bench, callers: int, is_stream: bool) -> None:
        """Ask for one round."""
        requests = bench.sized(full=1_600, quick=320, smoke=8)
        if self.name == PEER:
            requests //= 8  # it takes so much longer
        requests = max(requests, 2 * callers)
        timings = ask_at_once(self.port, self.path, self.key, callers=callers, requests=requests, is_stream=is_stream)
        self.sent += len(timings.seconds) + 2 * callers
        self.by_load.setdefault((callers, is_stream), []).append(timings)

    def p(self, callers: int, is_stream: bool, percent: float) -> float:
        """Return a percentile over all rounds, in milliseconds."""
        return Timings([s for timings in self.by_load[callers, is_stream] for s in timings.seconds]).p(percent)

    def per_second(self, callers: int, is_stream: bool) -> float:
        rounds = self.by_load[callers, is_stream]
        return sum(len(timings.seconds) for timings in rounds) / sum(timings.wall_seconds for timings in rounds)


def measure(bench: Bench) -> None:
    """Ask alone and with many at once, whole answers and streams."""
    venv = litellm_venv()
    callers = CALLERS if bench.effort != "smoke" else (2,)
    with ExitStack() as stack:
        port = stack.enter_context(model_server())
        direct = Way(DIRECT, port, PATH, "any")
        ours = [stack.enter_context(_our_gateway(kind, port)) for kind in bench.kinds]
        ways = [direct, *ours]
        if venv is not None:
            proxy_port, key = stack.enter_context(litellm_proxy(venv, port))
            ways.append(Way(PEER, proxy_port, PATH, key))
            bench.note(f"LiteLLM {version_of(venv)}, one worker, no database; hitl by `hitl serve`, one web process")
        else:
            bench.note("LITELLM_VENV names no environment: LiteLLM was not measured")
        for count in callers:
            for is_stream in (False, True):
                for _ in range(bench.sized(full=ROUNDS, quick=1, smoke=1)):
                    for way in ways:
                        way.run(bench, count, is_stream)
        for is_stream in (False, True):
            bench.table("Streams of 62 events" if is_stream else "Whole answers")
            for count in callers:
                for way in ways:
                    bench.row(callers=count, way=way.name, **_figures(way, direct, count, is_stream))
        bench.table("Recorded of what went through")
        for way in ours:
            bench.row(way=way.name, **_recorded(way))
        _compare(bench, ways, callers)


def _figures(way: Way, direct: Way, callers: int, is_stream: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "p50 ms": way.p(callers, is_stream, 50),
        "p99 ms": way.p(callers, is_stream, 99),
        "per second": way.per_second(callers, is_stream),
    }
    if way is not direct:
        figures["added p50 ms"] = figures["p50 ms"] - direct.p(callers, is_stream, 50)
        figures["added p99 ms"] = figures["p99 ms"] - direct.p(callers, is_stream, 99)
    return figures


def _compare(bench: Bench, ways: list[Way], all_callers: tuple[int, ...]) -> None:
    direct, *others = ways
    peer = next((way for way in others if way.name == PEER), None)
    for way in others:
        if way is peer:
            continue
        for is_stream in (False, True):
            kind = "streams" if is_stream else "whole answers"
            for callers in all_callers:
                added = more = None
                if peer is not None:
                    here = way.p(callers, is_stream, 50) - direct.p(callers, is_stream, 50)
                    added = (peer.p(callers, is_stream, 50) - direct.p(callers, is_stream, 50)) / here
                    more = way.per_second(callers, is_stream) / peer.per_second(callers, is_stream)
                about = f"{way.name}, {callers} at once, {kind}"
                bench.goal(f"{about}: added p50, LiteLLM's / ours", added, at_least=TIMES_LESS_ADDED, unit="×")
                bench.goal(f"{about}: requests/s, ours / LiteLLM's", more, at_least=TIMES_MORE_REQUESTS, unit="×")


def _recorded(way: Way) -> dict[str, Any]:
    """Wait until all that went through is recorded, and count it."""
    service = way.service
    if service is None:
        raise LookupError("only ours record")
    service.stop()  # which records what waits
    with service.instance() as instance, instance.database.reading() as db:
        stored = db.scalar(select(func.count()).select_from(Response)) or 0
    return {"sent": way.sent, "captured": stored}


@contextmanager
def _our_gateway(kind: str, model_port: int) -> Iterator[Way]:
    with own_service(kind) as service:
        service.settings = service.settings.model_copy(update={"private_hosts": "127.0.0.1"})
        with service.instance() as instance:
            desk = open_desk(instance.database, "desk", 1)
            with instance.database.writing() as db:
                terms = {"name": "model", "base_url": f"http://127.0.0.1:{model_port}/v1"}
                add_upstream(db, db.get_one(Project, desk.project_id), terms, "sk-of-the-model")
                (key,) = keys_of_people(db, desk.project_id, _admins(db, desk.project_id), "capture")
        service.start()
        yield Way(f"hitl on {kind}", service.port, f"/gateway/desk{PATH}", key, service)


def _admins(db: Any, project_id: Any) -> list[Any]:
    """Make an administrator, whose key may capture."""
    project = db.get_one(Project, project_id)
    admin = create_user(db, "admin@example.org", "Admin")
    add_member(db, project, admin, "admin")
    return [admin.id]


if __name__ == "__main__":
    main("gateway", "What the gateway adds to a call", measure)
