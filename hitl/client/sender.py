"""The thread in the background: takes batches, sends them, and tries again until something became of each row."""

import logging
import math
import random
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

from hitl.client.answers import REJECTED, REPEATED, Delivered, Later, Refused, RowAnswer, Verdict, judge
from hitl.client.limits import Limits
from hitl.client.outbox import Batch, Outbox, Outcome
from hitl.client.problems import OnProblem, Problem, tell
from hitl.client.rows import Row
from hitl.client.transport import Transport, Unreachable

log = logging.getLogger("hitl.client")

FAILURES_OF_ONE_BATCH = 5  # that the service had with it alone, before others go first


class Sender:
    """Empties one outbox into one project."""

    def __init__(
        self, outbox: Outbox, transport: Transport, project: str, limits: Limits, on_problem: OnProblem | None
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._path = f"/api/v1/projects/{quote(project, safe='')}/"
        self._limits = limits
        self._on_problem = on_problem
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._failures_in_a_row = 0

    def ensure_running(self) -> None:
        """Start the thread if there is none. At the end of the program that may fail; `finish` then does the work."""
        if self._is_running:
            return
        with self._starting:
            if self._is_running:
                return
            thread = threading.Thread(target=self.run, name="hitl-client", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            self._thread = thread

    def finish(self, seconds: float) -> None:
        """Send what is left, but for no longer than this."""
        until = time.monotonic() + seconds
        self._outbox.begin_to_close()
        if self._thread is None or not self._is_running:
            self.run(until)
        elif self._thread is not threading.current_thread():  # a callback may close the client, too
            self._outbox.wait_until_over(seconds)
            self._thread.join(max(0.0, until - time.monotonic()))  # it may still be telling what was lost
        self._outbox.close()
        self._tell()

    def run(self, until: float = math.inf) -> None:
        """Send until the outbox is closed and empty, or this moment of the monotonic clock has come."""
        while not self._outbox.is_over and time.monotonic() < until:
            batch = self._outbox.next_batch()
            try:
                if batch is not None:
                    self._deliver(batch, until)
                self._tell()
            except Exception:  # a mistake of ours must not end the thread, nor lose the batch
                log.exception("Sending failed in an unexpected way")
                self._set_aside(batch)

    @property
    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _deliver(self, batch: Batch, until: float) -> None:
        while not self._outbox.is_over and time.monotonic() < until:
            if self._is_too_old(batch):
                return self._give_up(batch)
            flushes = self._outbox.flush_count
            verdict = self._ask(batch, until)
            if isinstance(verdict, Delivered):
                return self._outbox.settle(batch, self._outcomes(batch, verdict.rows))
            if isinstance(verdict, Refused):
                return self._accept_refusal(batch, verdict)
            batch.failure_count += verdict.is_about_the_batch
            if verdict.is_about_the_batch and batch.failure_count % FAILURES_OF_ONE_BATCH == 0:
                return self._let_others_go_first(batch)
            self._tell()
            self._outbox.pause(min(self._pause_seconds(verdict), until - time.monotonic()), flushes)
        return None

    def _ask(self, batch: Batch, until: float) -> Verdict:
        try:
            answer = self._transport.post(self._path + batch.kind, batch.body, batch.key, until)
            verdict = judge(answer, len(batch.rows))
        except Unreachable as trouble:
            verdict = Later(str(trouble))
        failure = verdict.reason if isinstance(verdict, Later) else None
        self._outbox.note_request(failure)
        self._note_state(failure)
        return verdict

    def _note_state(self, failure: str | None) -> None:
        """Say once that the service is away, and once that it is back."""
        if failure is not None:
            if self._failures_in_a_row == 0:
                log.warning("Rows cannot be delivered just now and are kept: %s", failure)
            self._failures_in_a_row += 1
        elif self._failures_in_a_row:
            log.warning("The service answers again after %d failed requests.", self._failures_in_a_row)
            self._failures_in_a_row = 0

    def _pause_seconds(self, verdict: Later) -> float:
        """Return how long to wait, drawn at random so that many clients do not come back at one moment."""
        doubled = self._limits.first_pause_seconds * 2.0 ** min(self._failures_in_a_row - 1, 30)
        pause = min(doubled, self._limits.longest_pause_seconds) * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        if verdict.retry_after_seconds is None:
            return pause
        asked = min(verdict.retry_after_seconds, self._limits.longest_retry_after_seconds)
        return max(pause, asked * random.uniform(1.0, 1.1))  # noqa: S311

    def _is_too_old(self, batch: Batch) -> bool:
        return time.monotonic() - batch.rows[-1].since > self._limits.keep_seconds

    def _give_up(self, batch: Batch) -> None:
        self._outbox.settle(batch, [("dropped", _problem(row, "given_up", _TOO_OLD)) for row in batch.rows])

    def _outcomes(self, batch: Batch, answers: list[RowAnswer]) -> Iterator[Outcome]:
        for row, answer in zip(batch.rows, answers, strict=True):
            if answer.status == REJECTED:
                yield "rejected", _problem(row, answer.code, answer.message, answer.param)
            else:
                yield ("repeated" if answer.status == REPEATED else "stored"), None

    def _accept_refusal(self, batch: Batch, refused: Refused) -> None:
        """Find the row that is the cause by halving; what is refused alone is lost."""
        if refused.is_about_the_body and len(batch.rows) > 1:
            self._outbox.put_back(batch.halves())
            return
        problems = [_problem(row, refused.code, refused.message) for row in batch.rows]
        self._outbox.settle(batch, [("rejected", problem) for problem in problems])

    def _let_others_go_first(self, batch: Batch) -> None:
        """Keep one row at which the service fails from holding up all others.

        It is given up only when the service took others in the meantime: then it is the row, not the service.
        """
        if len(batch.rows) > 1:
            self._outbox.put_back(batch.halves())
        elif batch.stored_before is not None and self._outbox.stored_count > batch.stored_before:
            self._outbox.settle(batch, [("rejected", _problem(batch.rows[0], "internal_error", _FAILS_AT_IT))])
        else:
            batch.stored_before = self._outbox.stored_count
            self._set_aside(batch)

    def _set_aside(self, batch: Batch | None) -> None:
        if batch is not None:
            batch.not_before = time.monotonic() + self._limits.longest_pause_seconds
            self._outbox.put_back([batch])

    def _tell(self) -> None:
        for problem in self._outbox.take_problems():
            tell(problem, self._on_problem)


_TOO_OLD = "The service did not take it in time."
_FAILS_AT_IT = "The service failed at this row again and again, and took others."


def _problem(row: Row, code: str, message: str, param: str | None = None) -> Problem:
    return Problem(code, message, row.kind, names=(row.name,), param=param)
