"""Later work, as rows of the main database.

A job is enqueued in the transaction of the change that needs it. A worker takes it for a while (a lease, prolonged by
heartbeats); if the worker dies, another takes the job over when the lease ends. Every write of a worker is guarded by
the attempt number, so a worker that was thought dead cannot finish what another has taken over. Jobs run at least
once: make them safe to run twice.
"""

import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from os import getpid
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import (
    JSON,
    Double,
    Index,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from hitl.core import clock
from hitl.core.database import Base, Database, one_of, partial_index_where
from hitl.core.ids import Id, new_id
from hitl.core.prepared import Prepared

log = structlog.get_logger()

JOB_STATES = ("queued", "running", "done", "failed", "cancelled")
LEASE_SECONDS = 30.0
POLL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0  # between tries while the database is away
MAX_ATTEMPTS = 5


class database_now(FunctionElement[float]):
    """The database's clock in seconds since 1970: one clock for all workers, whatever their machines say."""

    type = Double()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _postgresql_now(_element: Any, _compiler: Any, **_: Any) -> str:
    # The statement's time, not the transaction's: stable within the statement, so the index on `due` is used.
    return "extract(epoch from statement_timestamp())::float8"


@compiles(database_now, "sqlite")
def _sqlite_now(_element: Any, _compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Job(Base):
    """One piece of later work."""

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("state", JOB_STATES),
        Index("ix_jobs_due", "due", **partial_index_where(text("due IS NOT NULL"))),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    key: Mapped[str | None] = mapped_column(unique=True)  # at most one job with this key
    state: Mapped[str] = mapped_column(default="queued")
    due: Mapped[float | None] = mapped_column(Double)  # queued: run at; running: lease end; else null. Database's clock
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=MAX_ATTEMPTS)
    every_seconds: Mapped[float | None]  # a periodic job re-arms itself
    worker: Mapped[str | None]
    progress: Mapped[float] = mapped_column(default=0.0)  # from 0 to 1
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


_jobs: Table = Job.__table__  # type: ignore[assignment]


class Superseded(Exception):
    """Another worker has taken this job over; whatever this attempt still does must not be stored."""


@dataclass
class Run:
    """One attempt at a job, as its handler sees it."""

    database: Database
    job: "ClaimedJob"

    def report_progress(self, share: float) -> None:
        """Store how far the work is, from 0 to 1. Raises Superseded when the job was taken over."""
        self.write(progress=share)

    def write(self, **values: Any) -> None:
        """Change the job's row while this attempt still holds it. Raises Superseded otherwise."""
        with self.database.writing() as db:
            self.write_within(db, **values)

    def write_within(self, db: Session, **values: Any) -> None:
        """The same, as part of a transaction that does the work too."""
        held = and_(Job.id == self.job.id, Job.attempt == self.job.attempt, Job.state == "running")
        if db.scalar(update(_jobs).where(held).values(**values).returning(Job.id)) is None:
            raise Superseded


@dataclass(frozen=True)
class ClaimedJob:
    """What a worker knows of the job it took."""

    id: Any
    kind: str
    arguments: dict[str, Any]
    attempt: int
    max_attempts: int
    every_seconds: float | None


Handler = Callable[[Run], None]
_handlers: dict[str, Handler] = {}
_periodic: dict[str, float] = {}


def transactional(kind: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `f(db, **arguments)`: it runs in one transaction, together with the note that it is done."""

    def register(work: Callable[..., None]) -> Callable[..., None]:
        def handle(run: Run) -> None:
            with run.database.writing() as db:
                work(db, **run.job.arguments)
                run.write_within(db, **_ending(run.job))

        _handlers[kind] = handle
        return work

    return register


def long(kind: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `f(run, **arguments)`: long work with transactions of its own, safe to run twice."""

    def register(work: Callable[..., None]) -> Callable[..., None]:
        def handle(run: Run) -> None:
            work(run, **run.job.arguments)
            run.write(**_ending(run.job))

        _handlers[kind] = handle
        return work

    return register


def periodic(kind: str, *, every_seconds: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register `f(db)`, run in one transaction about this often by whichever worker is free."""

    def register(work: Callable[..., None]) -> Callable[..., None]:
        _periodic[kind] = every_seconds
        return transactional(kind)(work)

    return register


def enqueue(
    db: Session,
    kind: str,
    arguments: dict[str, Any],
    *,
    delay_seconds: float = 0.0,
    key: str | None = None,
    every_seconds: float | None = None,
) -> UUID:
    """Ask for later work in the caller's transaction, and return the job's id."""
    job_id = new_id()
    given = {"kind": kind, "arguments": arguments, "delay": delay_seconds, "key": key, "every_seconds": every_seconds}
    _ENQUEUE.run(db.connection(), {**_FRESH, "id": job_id, "created_at": clock.now(), **given})
    return job_id


_FRESH = {"state": "queued", "attempt": 0, "max_attempts": MAX_ATTEMPTS, "progress": 0.0}
_ENQUEUE = Prepared(
    insert(Job).values(due=database_now() + bindparam("delay", type_=Double)),
    ("id", "kind", "arguments", "key", "every_seconds", "created_at", *_FRESH),
)


def arm_periodic(db: Session) -> None:
    """Make sure each periodic job has its one row."""
    present = set(db.scalars(select(Job.key).where(Job.key.in_([f"periodic:{kind}" for kind in _periodic]))))
    for kind, seconds in _periodic.items():
        if f"periodic:{kind}" not in present:
            # Processes that start together all find no row; the key lets only one of them make it.
            with suppress(IntegrityError), db.begin_nested():
                enqueue(db, kind, {}, key=f"periodic:{kind}", every_seconds=seconds)


@periodic("core.forget_ended_jobs", every_seconds=3600)
def forget_ended_jobs(db: Session) -> None:
    """Delete jobs that ended well a week ago, or otherwise a month ago: the failed ones say why for longer."""
    for states, kept in ((("done",), timedelta(days=7)), (("failed", "cancelled"), timedelta(days=30))):
        db.execute(delete(Job).where(Job.state.in_(states), Job.created_at < clock.now() - kept))


class Worker:
    """Takes due jobs one after another until told to stop."""

    def __init__(
        self, database: Database, *, lease_seconds: float = LEASE_SECONDS, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self.database = database
        self.lease_seconds = lease_seconds
        self.poll_seconds = poll_seconds
        self.name = f"{socket.gethostname()}:{getpid()}"
        self._stopping = threading.Event()
        self._current: Run | None = None

    def run(self) -> None:
        """Work until `stop`. A database that goes away is waited for."""
        threading.Thread(target=self._beat, name="job-heartbeat", daemon=True).start()
        armed = False
        trouble_count = 0
        while not self._stopping.is_set():
            try:
                if not armed:
                    with self.database.writing() as db:
                        arm_periodic(db)
                    armed = True
                worked = self.run_one()
                trouble_count = 0
            except Exception as error:
                _say_trouble(error)
                worked = False
                trouble_count = min(trouble_count + 1, 10)
            if not worked:
                self._stopping.wait(min(self.poll_seconds * 2**trouble_count, LONGEST_PAUSE_SECONDS))

    def stop(self) -> None:
        """Finish the job at hand, take no other."""
        self._stopping.set()

    def run_one(self) -> bool:
        """Do the next due job, if there is one, and say whether there was."""
        claimed = self._claim()
        if claimed is None:
            return False
        run = self._current = Run(self.database, claimed)
        try:
            if claimed.attempt > claimed.max_attempts:
                raise RuntimeError("its worker died each time")
            _handlers[claimed.kind](run)
        except Superseded:
            log.warning("job_superseded", kind=claimed.kind, job=str(claimed.id))
        except Exception:
            log.exception("job_failed", kind=claimed.kind, job=str(claimed.id), attempt=claimed.attempt)
            self._note_failure(run, traceback.format_exc()[-4000:])
        finally:
            self._current = None
        return True

    def run_until_idle(self) -> None:
        """Do all that is due now (for tests and one-shot commands)."""
        while self.run_one():
            pass

    def _claim(self) -> ClaimedJob | None:
        if not self._anything_due():
            return None
        claim = _claim_of(tuple(_handlers))
        with self.database.writing() as db:
            row = claim.first(db.connection(), {"worker": self.name, "seconds": self.lease_seconds})
        return None if row is None else ClaimedJob(*row)

    def _anything_due(self) -> bool:
        """Look first without the write lock: an idle worker must not stand in the writers' way on SQLite."""
        with self.database.reading() as db:
            return _next_of(tuple(_handlers)).first(db.connection(), {}) is not None

    def _note_failure(self, run: Run, error: str) -> None:
        job = run.job
        if job.attempt < job.max_attempts:
            ending: dict[str, Any] = {"state": "queued", "due": database_now() + 2.0**job.attempt}
        elif job.every_seconds is not None:
            ending = _ending(job)
        else:
            ending = {"state": "failed", "due": None}
        try:
            run.write(**{**ending, "error": error})
        except Superseded:
            log.warning("job_superseded", kind=job.kind, job=str(job.id))

    def _beat(self) -> None:
        while not self._stopping.wait(self.lease_seconds / 4):
            run = self._current
            if run is not None:
                try:
                    run.write(due=database_now() + self.lease_seconds)
                except Superseded:
                    pass  # the attempt itself finds out at its next write
                except Exception as error:
                    _say_trouble(error)


@cache
def _next_of(kinds: tuple[str, ...]) -> Prepared:
    return Prepared(_due(kinds))


@cache
def _claim_of(kinds: tuple[str, ...]) -> Prepared:
    claim = update(_jobs).where(_jobs.c.id == _due(kinds).with_for_update(skip_locked=True).scalar_subquery())
    until = database_now() + bindparam("seconds", type_=Double)
    claim = claim.values(state="running", attempt=_jobs.c.attempt + 1, worker=bindparam("worker"), due=until)
    return Prepared(claim.returning(*(_jobs.c[known.name] for known in fields(ClaimedJob))))


def _due(kinds: tuple[str, ...]) -> Select[Any]:
    """The next job of those that this program can do; those of a newer program wait for it."""
    of_ours = or_(*(_jobs.c.kind == kind for kind in kinds))
    return select(_jobs.c.id).where(_jobs.c.due <= database_now(), of_ours).order_by(_jobs.c.due).limit(1)


def _say_trouble(error: Exception) -> None:
    if isinstance(error, OperationalError | InterfaceError):
        log.warning("worker_waits_for_the_database", error=str(error.orig))
    else:
        log.error("worker_trouble", exc_info=error)


def _ending(job: ClaimedJob) -> dict[str, Any]:
    """What the row says once the work is done: a periodic job waits for its next time."""
    if job.every_seconds is None:
        return {"state": "done", "due": None, "progress": 1.0, "error": None}
    return {"state": "queued", "attempt": 0, "due": database_now() + job.every_seconds, "error": None}
