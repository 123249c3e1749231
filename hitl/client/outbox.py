"""The rows that wait: bounded, in order, and each of them counted until something became of it."""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import uuid4

from hitl.client.limits import Limits
from hitl.client.problems import NAMES_SHOWN, Problem
from hitl.client.rows import Kind, Row
from hitl.client.statistics import Statistics

KINDS: tuple[Kind, ...] = ("responses", "feedback")
PROBLEMS_KEPT = 1_000  # until the thread in the background has told them

Outcome: TypeAlias = tuple[str, Problem | None]  # stored, repeated, rejected or dropped; why, if the row is lost


@dataclass
class Batch:
    """Rows that go out in one request. However often it is sent, its key and its bytes stay the same."""

    kind: Kind
    rows: list[Row]
    key: str = field(default_factory=lambda: uuid4().hex)
    failure_count: int = 0
    not_before: float = 0.0  # by the monotonic clock
    stored_before: int | None = None  # how many rows the service had stored when it first failed at this batch

    @property
    def body(self) -> bytes:
        """The request's body."""
        return b'{"%s":[%s]}' % (self.kind.encode(), b",".join(row.text for row in self.rows))

    def halves(self) -> "list[Batch]":
        """Return two batches with keys of their own."""
        middle = len(self.rows) // 2
        return [Batch(self.kind, self.rows[:middle]), Batch(self.kind, self.rows[middle:])]


class Outbox:
    """Where the callers' threads meet the one that sends.

    When it is full, what comes next is dropped, not what is there: a row once taken in stays until something became of
    it, a burst cannot push out what waited for an hour, and dropping costs the caller nothing.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: dict[Kind, deque[Row]] = {kind: deque() for kind in KINDS}
        self._waiting_bytes: Counter[Kind] = Counter()
        self._in_flight: Batch | None = None
        self._put_back: list[Batch] = []
        self._pending_of_epoch: Counter[int] = Counter()  # rows without an outcome, by the flushes asked for before
        self._epoch = 0
        self._hurried_epoch = -1  # rows up to this epoch wait for no company
        self._pending_rows = self._pending_bytes = 0
        self._counts: Counter[str] = Counter()
        self._last_failure: str | None = None
        self._problems: deque[Problem] = deque(maxlen=PROBLEMS_KEPT)
        self._dropped: dict[tuple[Kind, str], tuple[int, list[str]]] = {}
        self._is_closing = self._is_closed = False

    # What callers do. Nothing here waits for anything but the few instructions of another thread.

    def put(self, row: Row) -> None:
        """Take a row in, or count it as dropped."""
        with self._changed:
            self._counts["given"] += 1
            if self._is_closing:
                self._drop(row.kind, "closed", [row.name])
            elif self._is_full(row):
                self._drop(row.kind, "queue_full", [row.name])
            else:
                self._take_in(row)

    def refuse(self, problem: Problem) -> None:
        """Count a row that could not be made."""
        with self._changed:
            self._counts["given"] += 1
            self._counts["rejected"] += 1
            self._problems.append(problem)

    def statistics(self) -> Statistics:
        """Return the counts of this moment."""
        with self._changed:
            return Statistics(
                **{f"{name}_count": self._counts[name] for name in _COUNTED},
                pending_count=self._pending_rows,
                pending_bytes=self._pending_bytes,
                last_failure=self._last_failure,
            )

    def flush(self, seconds: float) -> bool:
        """Have everything that is here sent at once; return whether all of it has an outcome in time."""
        with self._changed:
            epoch = self._hurry()
            return self._changed.wait_for(lambda: not self._has_pending_up_to(epoch), seconds)

    def begin_to_close(self) -> None:
        """Take nothing in any more, and let the rest be sent at once."""
        with self._changed:
            self._is_closing = True
            self._hurry()

    def wait_until_over(self, seconds: float) -> None:
        """Wait until nothing is left, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over, seconds)

    def close(self) -> None:
        """Drop what still has no outcome."""
        with self._changed:
            if self._is_closed:
                return
            for kind, rows in self._pending_by_kind():
                self._drop(kind, "closed", [row.name for row in rows[:NAMES_SHOWN]], len(rows))
            self._pending_rows = self._pending_bytes = 0
            self._pending_of_epoch.clear()
            self._is_closed = True
            self._changed.notify_all()

    # What the sender does.

    def next_batch(self) -> Batch | None:
        """Wait for rows that are due and return them; None when there is nothing more to do."""
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                self._in_flight = self._due_batch(now)
                if self._in_flight is not None:
                    return self._in_flight
                if self._problems or self._dropped or (self._is_closing and not self._pending_rows):
                    return None
                self._changed.wait(self._seconds_until_due(now))
            return None

    def pause(self, seconds: float, flushes: int) -> None:
        """Wait before the next attempt, but no longer than until a flush or the end asks for one.

        flushes: `flush_count` before the attempt that failed, so that a flush during it is not overlooked.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self.flush_count != flushes, seconds)

    @property
    def flush_count(self) -> int:
        """How often a flush or the end has asked for everything to be sent."""
        return self._epoch

    def settle(self, batch: Batch, outcomes: Iterable[Outcome]) -> None:
        """Count what became of each row of a batch, and keep the reasons of losses to be told."""
        with self._changed:
            if self._is_closed:
                return  # was counted as dropped when the time to close was over
            self._in_flight = None
            for row, (outcome, problem) in zip(batch.rows, outcomes, strict=True):
                self._settle(row, outcome)
                if problem is not None:
                    self._problems.append(problem)
            self._changed.notify_all()

    def put_back(self, batches: Iterable[Batch]) -> None:
        """Keep what was taken out for a later time, while others go on."""
        with self._changed:
            self._in_flight = None
            self._put_back.extend(batches)

    def note_request(self, failure: str | None = None) -> None:
        """Count a request, and why it failed if it did."""
        with self._changed:
            self._counts["request"] += 1
            if failure is not None:
                self._counts["failure"] += 1
                self._last_failure = failure

    def take_problems(self) -> list[Problem]:
        """Return what was not told yet."""
        with self._changed:
            found = [*self._problems]
            found += [
                Problem(code, _WHY_DROPPED[code], kind, count, tuple(names))
                for (kind, code), (count, names) in self._dropped.items()
            ]
            self._problems.clear()
            self._dropped.clear()
            return found

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come and nothing is left."""
        return self._is_closed or (self._is_closing and not self._pending_rows)

    @property
    def stored_count(self) -> int:
        """How many rows the service has stored."""
        return self._counts["stored"] + self._counts["repeated"]

    # Below, the lock is held.

    def _is_full(self, row: Row) -> bool:
        return self._pending_rows >= self._limits.rows or self._pending_bytes + row.size > self._limits.bytes

    def _take_in(self, row: Row) -> None:
        queue, was_batch = self._waiting[row.kind], self._is_batch(row.kind)
        row.epoch = self._epoch
        queue.append(row)
        self._waiting_bytes[row.kind] += row.size
        self._pending_rows += 1
        self._pending_bytes += row.size
        self._pending_of_epoch[row.epoch] += 1
        # The sender sleeps until the first row is due; waking it for every row would slow the callers down.
        if len(queue) == 1 or (not was_batch and self._is_batch(row.kind)):
            self._changed.notify_all()

    def _drop(self, kind: Kind, code: str, names: list[str], count: int = 1) -> None:
        self._counts["dropped"] += count
        known, shown = self._dropped.setdefault((kind, code), (0, []))
        self._dropped[kind, code] = (known + count, [*shown, *names][:NAMES_SHOWN])
        if known == 0:
            self._changed.notify_all()

    def _hurry(self) -> int:
        epoch, self._epoch = self._epoch, self._epoch + 1
        self._hurried_epoch = epoch
        self._changed.notify_all()
        return epoch

    def _has_pending_up_to(self, epoch: int) -> bool:
        return any(count and given <= epoch for given, count in self._pending_of_epoch.items())

    def _pending_by_kind(self) -> Iterator[tuple[Kind, list[Row]]]:
        for kind in KINDS:
            taken_out = [self._in_flight] if self._in_flight else []
            batches = [batch for batch in (*taken_out, *self._put_back) if batch.kind == kind]
            rows = [*(row for batch in batches for row in batch.rows), *self._waiting[kind]]
            if rows:
                yield kind, rows

    def _is_batch(self, kind: Kind) -> bool:
        return (
            len(self._waiting[kind]) >= self._limits.batch_rows or self._waiting_bytes[kind] >= self._limits.batch_bytes
        )

    def _due_batch(self, now: float) -> Batch | None:
        for batch in self._put_back:
            if batch.not_before <= now or self._is_closing:
                self._put_back.remove(batch)
                return batch
        due = [kind for kind in KINDS if self._waiting[kind] and self._due_at(kind) <= now]
        # The longest waiting first, so that neither kind can keep the other out.
        return self._cut_batch(min(due, key=lambda kind: self._waiting[kind][0].since)) if due else None

    def _due_at(self, kind: Kind) -> float:
        first = self._waiting[kind][0]
        if self._is_batch(kind) or first.epoch <= self._hurried_epoch:
            return 0.0
        return first.since + self._limits.batch_seconds

    def _cut_batch(self, kind: Kind) -> Batch:
        queue, rows, size = self._waiting[kind], list[Row](), 0
        while queue and len(rows) < self._limits.batch_rows:
            if rows and size + queue[0].size > self._limits.batch_bytes:
                break
            row = queue.popleft()
            rows.append(row)
            size += row.size
        self._waiting_bytes[kind] -= size
        return Batch(kind, rows)

    def _seconds_until_due(self, now: float) -> float | None:
        moments = [batch.not_before for batch in self._put_back]
        moments += [self._due_at(kind) for kind in KINDS if self._waiting[kind]]
        return max(0.0, min(moments) - now) if moments else None

    def _settle(self, row: Row, outcome: str) -> None:
        self._counts[outcome] += 1
        self._pending_rows -= 1
        self._pending_bytes -= row.size
        self._pending_of_epoch[row.epoch] -= 1
        if not self._pending_of_epoch[row.epoch]:
            del self._pending_of_epoch[row.epoch]


_COUNTED = ("given", "stored", "repeated", "rejected", "dropped", "request", "failure")
_WHY_DROPPED = {
    "queue_full": "No room: they come faster than they can be sent, or the service is away.",
    "closed": "The client was closed before they could be sent.",
    "given_up": "The service did not take them in time.",
}
