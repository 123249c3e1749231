"""What `hitl.client` costs the program that uses it: `python -m benchmarks.client`.

A call of `capture` is part of a request of somebody's production program, so its slowest calls count. Calls come a
millisecond apart, as requests do. The floor is what no client can do without, writing the row down as JSON, timed in
the same way; beside the clock stands processor time, which other work on the machine cannot lengthen.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.bench import Bench, main
from benchmarks.filling import open_desk
from benchmarks.serving import keys_of_people, own_service
from benchmarks.timing import Timings, time_at_once
from hitl.client import Client, Limits

P99_MS, IMPORT_SECONDS = 1.0, 0.2
SHAPES = {"one question": (1, 200), "a conversation": (20, 500), "a long document": (2, 100_000)}
PAUSE_SECONDS = 0.001
NOBODY = "http://127.0.0.1:9"
ROOMY = {"rows": 1_000_000, "bytes": 2**30, "exit_seconds": 120.0}


def measure(bench: Bench) -> None:
    """Capture beside a service that takes everything, one that is away, with one thread and many; then the import."""
    calls = bench.sized(full=5_000, quick=2_000, smoke=50)
    kind = bench.kinds[0]
    with own_service(kind) as service:
        with service.instance() as instance:
            desk = open_desk(instance.database, "desk", 1, role="admin")
            with instance.database.writing() as db:
                (key,) = keys_of_people(db, desk.project_id, desk.people, "capture")
        service.start()
        bench.table(f"One call of capture, {kind} behind it")
        for shape, (messages, characters) in SHAPES.items():
            each = max(10, calls // 20) if characters > 10_000 else calls
            for threads in (1, 8):
                with Client(service.address, key, desk.slug, limits=Limits(**ROOMY)) as client:
                    _row(bench, client, shape, "is there", _row_of(messages, characters), threads, each)
        with Client(NOBODY, key, desk.slug, limits=Limits(exit_seconds=0.1)) as client:
            _row(bench, client, "one question", "is away", _row_of(1, 200), 1, calls)
    bench.table("Importing hitl.client")
    _importing(bench, bench.sized(full=10, quick=5, smoke=1))


def _row(
    bench: Bench, client: Client, shape: str, service: str, row: dict[str, object], threads: int, calls: int
) -> None:
    clock, processor = _timed(lambda: client.capture(**row), threads, calls)
    if service == "is there":
        client.flush(120)
    floor, _ = _timed(lambda: json.dumps(row, ensure_ascii=False).encode(), 1, min(calls, 1_000))
    seen = client.statistics()
    bench.row(
        row=shape,
        service=service,
        threads=threads,
        **{"p50 ms": clock.p(50), "p99 ms": clock.p(99), "max ms": clock.p(100)},
        **{"processor p50": processor.p(50), "processor p99": processor.p(99)},
        **{"floor p50": floor.p(50), "floor p99": floor.p(99)},
        stored=seen.stored_count,
        dropped=seen.dropped_count,
    )
    if threads == 1 and shape != "a long document":
        bench.goal(f"{shape}, the service {service}: p99 of capture", clock.p(99), unit="ms", at_most=P99_MS)


def _timed(call: Callable[[], object], threads: int, calls: int) -> tuple[Timings, Timings]:
    """Return how long each call took, by the clock and in processor time of its own thread."""
    by_clock, by_processor = Timings(), Timings()

    def paced() -> None:
        for _ in range(max(1, calls // threads)):
            time.sleep(PAUSE_SECONDS)
            began, worked = time.perf_counter(), time.thread_time()
            call()
            by_processor.seconds.append(time.thread_time() - worked)
            by_clock.seconds.append(time.perf_counter() - began)

    time_at_once([paced] * threads, 1)
    return by_clock, by_processor


def _row_of(messages: int, characters: int) -> dict[str, object]:
    said = [{"role": ("user", "assistant")[n % 2], "content": "é" + "x" * (characters - 1)} for n in range(messages)]
    return {"messages": said, "output": "x" * characters, "model": "bot-4", "conversation_id": "chat-17"}


def _importing(bench: Bench, times: int) -> None:
    """Processor time of a fresh process, with the import and without."""
    seconds = {}
    for what in ("nothing", "http.client", "hitl.client"):
        code = "pass" if what == "nothing" else f"import {what}"
        seconds[what] = sorted(_processor_seconds(code) for _ in range(times))[times // 2]
    bench.row(**{f"{what} s": value for what, value in seconds.items()})
    bench.goal("import hitl.client", seconds["hitl.client"] - seconds["nothing"], unit="s", at_most=IMPORT_SECONDS)


def _processor_seconds(code: str) -> float:
    told = subprocess.run(
        [sys.executable, "-c", f"{code}; import time; print(time.process_time())"],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(told.stdout)


if __name__ == "__main__":
    main("client", "What the client costs its caller", measure)
