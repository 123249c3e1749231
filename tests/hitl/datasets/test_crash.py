"""A freeze that is killed leaves a version to freeze again, or none; and the same data freezes alike everywhere."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from hitl.accounts.models import Project
from hitl.core import jobs, schema
from hitl.datasets import gathering, second_pass
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import DatasetVersion
from hitl.datasets.selection import Selection
from tests.hitl.datasets.conftest import Desk, open_database

pytestmark = pytest.mark.timeout(300)

# Freezes in a process of its own, slowly, so that there is a middle to be killed in.
WORKER = """
import sys, time
from pathlib import Path
from hitl.core import jobs
from hitl.datasets import gathering
from hitl.datasets.jobs import freeze_version
from tests.hitl.datasets.conftest import open_database
gathering.WIDE_BATCH = 5
read = gathering._read
def slowly(*arguments):
    print("read a batch", flush=True)
    time.sleep(0.2)
    return read(*arguments)
gathering._read = slowly
jobs.Worker(open_database(sys.argv[1], Path(sys.argv[2])), lease_seconds=1.0).run()
"""


def test_a_killed_freeze_is_finished_by_the_next_worker(desk):
    for n in range(60):
        desk.corrects(desk.response(f"{n}?", "wrong"), "right")
    version = started(desk)
    url, storage = desk.database.url.render_as_string(hide_password=False), desk.database.session_info["storage_url"]
    process = subprocess.Popen([sys.executable, "-c", WORKER, url, storage], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "read a batch\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert desk.version(version.id).state == "freezing"
    assert list(folder(desk, version).iterdir())  # what the dead attempt wrote

    deadline = time.monotonic() + 120
    while desk.version(version.id).state == "freezing" and time.monotonic() < deadline:
        jobs.Worker(desk.database).run_until_idle()
        time.sleep(0.2)

    done = desk.version(version.id)
    assert (done.state, done.statistics["rows"]) == ("frozen", 60)
    assert [path.name for path in folder(desk, version).iterdir()] == ["2"]


def started(desk):
    return desk.write(
        lambda db: start_freeze(db, db.get_one(Project, desk.project.id), "desk", None, Selection(include_unknown=True))
    )


def folder(desk, version):
    return Path(desk.database.session_info["storage_url"]) / "datasets" / str(version.id)


def test_an_attempt_that_was_overtaken_leaves_nothing_behind(desk, monkeypatch):
    for n in range(3):
        desk.corrects(desk.response(f"{n}?", "wrong"), "right")
    version = started(desk)
    slow, taken_over = gathering._read, []

    def overtake(*arguments):
        if not taken_over:  # the first attempt fell asleep here; another worker does the job meanwhile
            taken_over.append(True)
            desk.write(lambda db: db.execute(update(jobs.Job).where(jobs.Job.id == version.job_id).values(due=0.0)))
            assert jobs.Worker(desk.database).run_one()
            assert desk.version(version.id).state == "frozen"
        return slow(*arguments)

    monkeypatch.setattr(gathering, "_read", overtake)
    jobs.Worker(desk.database).run_one()

    done = desk.version(version.id)
    assert (done.state, done.statistics["rows"]) == ("frozen", 3)
    assert [path.name for path in folder(desk, version).iterdir()] == ["2"]


def test_a_freeze_that_breaks_down_for_good_leaves_nothing_behind(desk, monkeypatch):
    desk.corrects(desk.response("One?", "1"), "One.")
    version = started(desk)
    desk.write(lambda db: db.execute(update(jobs.Job).where(jobs.Job.id == version.job_id).values(max_attempts=1)))
    monkeypatch.setattr(second_pass, "hash_of_all", lambda _: 1 / 0)

    jobs.Worker(desk.database).run_until_idle()

    assert desk.version(version.id).state == "failed"
    assert not folder(desk, version).exists()


@pytest.mark.parametrize("url", ["s4://key:secret@nowhere/rows", "s3://key:secret@rows?nonsense=secret"])
def test_a_storage_that_cannot_be_opened_is_named_without_its_credentials(desk, monkeypatch, url):
    desk.corrects(desk.response("One?", "1"), "One.")
    monkeypatch.setitem(desk.database.session_info, "storage_url", url)

    failed = desk.freeze(include_unknown=True)

    assert failed.state == "failed"
    assert "HITL_STORAGE_URL" in failed.error
    assert "secret" not in failed.error


def test_a_version_whose_job_was_given_up_fails_and_can_be_frozen_again(desk):
    desk.corrects(desk.response("One?", "1"), "One.")
    version = started(desk)
    left = folder(desk, version)
    (left / "3").mkdir(parents=True)
    (left / "3" / "scratch.parquet").write_bytes(b"half of it")
    desk.write(
        lambda db: db.execute(update(jobs.Job).where(jobs.Job.id == version.job_id).values(state="failed", due=None))
    )

    again = desk.freeze()

    assert (again.state, again.number) == ("frozen", 1)
    assert not left.exists()
    with desk.database.reading() as db:
        assert db.scalar(select(DatasetVersion.id).where(DatasetVersion.id == version.id)) is None


def test_the_same_data_has_the_same_content_hash_in_both_databases(make_database, tmp_path):
    hashes = set()
    for kind in ("sqlite", "postgresql"):
        database = open_database(make_database(kind), tmp_path / kind)
        schema.upgrade(database)
        desk = Desk.open(database)
        for n in range(40):
            # Real text: another alphabet, an astral character, a float and line breaks.
            asked = {
                "messages": [{"role": "user", "content": f"Haben Sie am {n}. ein Zimmer frei? 😀\r\n\tДа"}],
                "tools": [{"type": "function", "function": {"name": "find", "parameters": {"z": 0.1 * n, "a": 1e21}}}],
            }
            response = desk.response("", f"Nein, {n}", input=asked, end_user=f"guest-{n // 3}")
            desk.corrects(response, f"Leider nein: {n} \u00fc", by="kim")
            desk.corrects(response, f"Leider nein: {n} u\u0308", by="lee")
        version = desk.freeze("hotel", include_unknown=True)
        assert version.state == "frozen", version.error
        hashes.add((version.content_hash, str(version.statistics["rows_per_split"])))
        database.close()

    assert len(hashes) == 1
