"""How long something takes: percentiles, and many at once."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed. NaN of no values."""
    if not values:
        return math.nan
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


@dataclass
class Timings:
    """How long each of many calls took, in seconds, and how long all of them took together."""

    seconds: list[float] = field(default_factory=list)
    wall_seconds: float = math.nan
    problems: list[BaseException] = field(default_factory=list)

    def p(self, percent: float) -> float:
        """Return a percentile in milliseconds."""
        return 1000 * percentile(self.seconds, percent / 100)

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.wall_seconds

    def columns(self) -> dict[str, float]:
        """Return what a table shows of it."""
        return {"p50 ms": self.p(50), "p99 ms": self.p(99), "max ms": self.p(100), "per second": self.per_second}


@contextmanager
def timed(timings: Timings) -> Iterator[None]:
    """Add how long something took. Threads may share the timings."""
    began = time.perf_counter()
    yield
    timings.seconds.append(time.perf_counter() - began)


def time_calls(call: Callable[[], object], times: int) -> Timings:
    """Call something again and again. It stops early when the call returns False: nothing is left to do."""
    timings = Timings()
    began = time.perf_counter()
    for _ in range(times):
        start = time.perf_counter()
        answer = call()
        timings.seconds.append(time.perf_counter() - start)
        if answer is False:
            break
    timings.wall_seconds = time.perf_counter() - began
    return timings


def time_at_once(calls: Sequence[Callable[[], object]], times: int, *, warm_up: int = 0) -> Timings:
    """Let several threads call at once, each its own function so many times; return the timings of all.

    warm_up: how often each calls before, when nothing is timed yet.
    Raises the first problem that any of them met.
    """
    start, lock, together = threading.Barrier(len(calls) + 1), threading.Lock(), Timings()

    def work(call: Callable[[], object]) -> None:
        try:
            for _ in range(warm_up):
                call()
        except BaseException as problem:
            together.problems.append(problem)
        start.wait()
        if together.problems:
            return
        try:
            own = time_calls(call, times)
        except BaseException as problem:
            with lock:
                together.problems.append(problem)
            return
        with lock:
            together.seconds.extend(own.seconds)

    threads = [threading.Thread(target=work, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    together.wall_seconds = time.perf_counter() - began
    if together.problems:
        raise together.problems[0]
    return together
