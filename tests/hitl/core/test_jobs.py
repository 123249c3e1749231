import contextlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hitl.core import clock, jobs
from hitl.core.database import Database
from hitl.core.jobs import Job, Run, Worker, database_now
from hitl.core.logs import configure_logs


class TestWorker:
    def test_it_does_a_job_in_the_transaction_that_marks_it_done(
        self, shared_database: Database, seen: list[Any]
    ) -> None:
        enqueue(shared_database, "tests.note", {"word": "hello"})

        Worker(shared_database).run_until_idle()

        assert seen == ["hello"]
        assert the_job(shared_database).state == "done"

    def test_it_forgets_a_job_whose_change_was_rolled_back(self, shared_database: Database, seen: list[Any]) -> None:
        with contextlib.suppress(RuntimeError), shared_database.writing() as db:
            jobs.enqueue(db, "tests.note", {"word": "never"})
            raise RuntimeError

        Worker(shared_database).run_until_idle()

        assert seen == []

    def test_it_tries_a_failed_job_again_later_and_gives_up_at_last(self, shared_database: Database) -> None:
        enqueue(shared_database, "tests.fail", {})
        worker = Worker(shared_database)

        worker.run_one()
        first = the_job(shared_database)
        for _ in range(jobs.MAX_ATTEMPTS):
            make_due(shared_database)
            worker.run_one()

        assert (first.state, first.attempt) == ("queued", 1)
        assert "no luck" in (first.error or "")
        assert (the_job(shared_database).state, the_job(shared_database).attempt) == ("failed", jobs.MAX_ATTEMPTS)

    def test_it_takes_over_a_job_whose_worker_died(self, shared_database: Database, seen: list[Any]) -> None:
        enqueue(shared_database, "tests.note", {"word": "taken over"})
        dead = Worker(shared_database)
        assert dead._claim() is not None
        assert not Worker(shared_database).run_one()  # still leased

        make_due(shared_database)
        Worker(shared_database).run_one()

        assert seen == ["taken over"]
        assert the_job(shared_database).attempt == 2

    def test_it_cannot_finish_what_another_has_taken_over(self, shared_database: Database, seen: list[Any]) -> None:
        enqueue(shared_database, "tests.note", {"word": "late"})
        slow = Worker(shared_database)._claim()
        assert slow is not None
        make_due(shared_database)
        Worker(shared_database).run_one()

        with pytest.raises(jobs.Superseded):
            Run(shared_database, slow).report_progress(0.5)
        assert the_job(shared_database).state == "done"

    def test_it_arms_a_periodic_job_once_and_again_after_each_run(
        self, shared_database: Database, seen: list[Any]
    ) -> None:
        for _ in range(2):
            with shared_database.writing() as db:
                jobs.arm_periodic(db)
        with shared_database.writing() as db:
            db.execute(update(Job).where(Job.kind != "tests.tick").values(due=None))

        Worker(shared_database).run_until_idle()

        assert seen == ["tick"]
        with shared_database.reading() as db:
            tick = db.scalars(select(Job).where(Job.kind == "tests.tick")).one()
        assert (tick.state, tick.attempt) == ("queued", 0)

    def test_it_arms_a_periodic_job_once_when_processes_start_together(self, shared_database: Database) -> None:
        for number in range(20):
            jobs.periodic(f"tests.tick_{number}", every_seconds=60)(lambda db: None)
        together = threading.Barrier(2)
        troubles: list[BaseException] = []

        def start() -> None:
            together.wait()
            try:
                with shared_database.writing() as db:
                    jobs.arm_periodic(db)
            except Exception as error:
                troubles.append(error)

        starting = [threading.Thread(target=start) for _ in range(2)]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()

        assert troubles == []
        with shared_database.reading() as db:
            keys = db.scalars(select(Job.key).where(Job.every_seconds == 60)).all()
        assert len(keys) == len(set(keys)) == 21

    def test_it_leaves_a_job_alone_that_only_a_newer_program_can_do(self, shared_database: Database) -> None:
        enqueue(shared_database, "tests.from_the_future", {})

        assert not Worker(shared_database).run_one()

        with shared_database.reading() as db:
            assert db.scalars(select(Job)).one().state == "queued"

    def test_it_waits_for_a_database_that_is_away_without_an_alarm(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure_logs("text")
        worker = Worker(Database(f"sqlite:///{tmp_path}/no/such/folder/x.sqlite3"), poll_seconds=0.01)
        threading.Timer(0.3, worker.stop).start()

        worker.run()

        logged = capsys.readouterr().err
        assert "worker_waits_for_the_database" in logged
        assert "Traceback" not in logged

    def test_it_never_gives_one_job_to_two_workers(self, shared_database: Database, seen: list[Any]) -> None:
        with shared_database.writing() as db:
            for number in range(60):
                jobs.enqueue(db, "tests.note", {"word": str(number)})

        workers = [threading.Thread(target=Worker(shared_database).run_until_idle) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert sorted(seen, key=int) == [str(number) for number in range(60)]


class TestForgetEndedJobs:
    def test_it_keeps_what_waits_and_what_ended_lately_and_failures_for_longer(self, db: Session) -> None:
        def job(state: str, days: int) -> Job:
            ended = Job(kind="tests.note", arguments={}, state=state, created_at=clock.now() - timedelta(days=days))
            db.add(ended)
            db.flush()
            return ended

        kept = [job("done", 6), job("failed", 29), job("queued", 400), job("running", 400)]
        for state, days in (("done", 8), ("failed", 31), ("cancelled", 31)):
            job(state, days)

        jobs.forget_ended_jobs(db)

        assert set(db.scalars(select(Job.id))) == {each.id for each in kept}


def enqueue(database: Database, kind: str, arguments: dict[str, Any]) -> None:
    with database.writing() as db:
        jobs.enqueue(db, kind, arguments)


def the_job(database: Database) -> Job:
    with database.reading() as db:
        return db.scalars(select(Job)).one()


def make_due(database: Database) -> None:
    with database.writing() as db:
        db.execute(update(Job).where(Job.due.is_not(None)).values(due=database_now() - 1))


@pytest.fixture
def seen() -> list[Any]:
    _seen.clear()
    return _seen


_seen: list[Any] = []


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_handlers", {})
    monkeypatch.setattr(jobs, "_periodic", {})

    @jobs.transactional("tests.note")
    def note(db: Session, word: str) -> None:
        _seen.append(word)

    @jobs.transactional("tests.fail")
    def fail(db: Session) -> None:
        raise RuntimeError("no luck")

    @jobs.periodic("tests.tick", every_seconds=60)
    def tick(db: Session) -> None:
        _seen.append("tick")
