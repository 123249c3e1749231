import contextlib
import gzip
import io
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import orjson
import pytest
from sqlalchemy import func, select

from hitl.accounts.models import Project
from hitl.accounts.projects import create_project
from hitl.capture import files
from hitl.capture.errors import CaptureStopped, FileUnreadable
from hitl.capture.files import RejectedLines, Tally, capture_lines, open_source
from hitl.capture.models import Response
from hitl.core import schema
from hitl.core.database import Database
from hitl.core.instance import open_instance
from hitl.core.secrets import keys_of
from hitl.core.settings import Settings
from tests.hitl.capture.rows import response_row


class TestCaptureLines:
    def test_it_captures_each_line(self, run, jsonl):
        tally = run(jsonl(response_row("a"), response_row("b")))

        assert tally == Tally(lines=2, created=2)

    def test_a_second_run_finds_all_in_already(self, run, jsonl):
        path = jsonl(response_row("a"), response_row(None), response_row(None), response_row(None, said="Lost."))
        assert run(path).created == 4

        assert run(path) == Tally(lines=4, duplicates=4)

    def test_a_file_that_has_grown_adds_only_what_is_new(self, run, jsonl):
        run(jsonl(response_row(None), response_row(None)))

        tally = run(jsonl(response_row(None), response_row(None), response_row(None), response_row("new")))

        assert (tally.created, tally.duplicates) == (2, 2)

    def test_gzip_is_recognised_whatever_the_name(self, run, tmp_path):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(gzip.compress(orjson.dumps(response_row())))

        assert run(path).created == 1

    def test_it_reads_a_stream(self, run, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(orjson.dumps(response_row())))))

        assert run("-").created == 1

    def test_a_byte_order_mark_and_blank_lines_are_no_trouble(self, run, tmp_path):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"\xef\xbb\xbf" + orjson.dumps(response_row()) + b"\r\n\r\n  \n")

        assert run(path) == Tally(lines=1, created=1)

    def test_refused_lines_are_kept_with_number_and_reason(self, run, tmp_path, rejected):
        good = orjson.dumps(response_row())
        clash = orjson.dumps(response_row(said="Lost."))
        bad_role = orjson.dumps(response_row("b", input={"messages": [{"role": "bot", "content": "Hi"}]}))
        lines = [good, b"{nonsense", b'"\xff\xfe"', bad_role, b'{"client_id": "\\ud800"}', clash, b"[" * 5_000]
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"\n".join(lines))

        assert run(path) == Tally(lines=7, created=1, rejected=6)
        kept = [json.loads(line) for line in rejected.read_text().splitlines()]
        assert [line["line"] for line in kept] == [2, 3, 4, 5, 6, 7]
        assert kept[0]["text"] == "{nonsense"
        assert "not valid JSON" in kept[0]["reason"]
        assert "not UTF-8: byte 2" in kept[1]["reason"]
        assert kept[1]["base64"]
        assert kept[2]["param"] == "/input/messages/0/role"
        assert kept[3]["param"] == "/client_id"
        assert kept[4]["code"] == "id_taken"

    def test_a_line_that_is_too_long_is_refused_and_the_next_one_read(self, run, jsonl, rejected):
        path = jsonl(response_row("a", said="x" * 5_000), response_row("b"))

        assert run(path, max_line_bytes=1_000) == Tally(lines=2, created=1, rejected=1)
        assert "longer than 1,000 bytes" in rejected.read_text()

    def test_rows_before_damaged_gzip_are_in(self, run, tmp_path):
        path = tmp_path / "rows.jsonl.gz"
        rows = b"".join(orjson.dumps(response_row(f"r-{n}", said=str(n) * 99)) + b"\n" for n in range(3_000))
        path.write_bytes(gzip.compress(rows)[:-4_000])
        tally = Tally()

        with pytest.raises(FileUnreadable, match=r"break off after line \d+"):
            run(path, tally=tally)

        assert 0 < tally.lines == tally.created < 3_000

    def test_a_database_that_goes_away_is_named_with_how_far_it_came(self, run, jsonl, monkeypatch, stored):
        monkeypatch.setattr(files, "ROWS_A_BATCH", 2)
        path = jsonl(*(response_row(f"r-{n}") for n in range(6)))
        tally = Tally()

        def pull_the_plug(tally: Tally) -> None:
            if tally.lines == 4:
                stored.lock()

        with pytest.raises(CaptureStopped, match=r"up to line 4.*Run the same command again"):
            run(path, tally=tally, tell=pull_the_plug)

        stored.unlock()
        assert run(path) == Tally(lines=6, created=2, duplicates=4)

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("missing.jsonl", None, "There is no file"),
            ("empty.jsonl", b"", "is empty"),
            ("empty.jsonl.gz", b"", "not gzip data"),
            ("plain.jsonl.gz", b"{}", "not gzip data"),
            ("wide.jsonl", "{}".encode("utf-16"), "UTF-16"),
            ("list.jsonl", b"[\n{}]", "one JSON list"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_named(self, run, tmp_path, name, content, told):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)

        with pytest.raises(FileUnreadable, match=told) as refused:
            run(path)

        assert name in refused.value.message

    def test_a_folder_is_named(self, run, tmp_path):
        with pytest.raises(FileUnreadable, match="is a folder"):
            run(tmp_path)

    def test_a_place_for_refused_lines_that_cannot_be_written_is_named(self, run, jsonl, tmp_path):
        with pytest.raises(FileUnreadable, match="Choose another place with --rejected"):
            run(jsonl({}), rejected_path=tmp_path / "missing" / "rejected.jsonl")


class TestCommand:
    def test_it_captures_and_tells(self, installed, jsonl, tmp_path):
        path = jsonl(response_row("a"), {"client_id": "b"})

        done = installed("capture", str(path), "--project", "desk", "--json")

        assert done.returncode == 1
        told = json.loads(done.stdout)
        assert (told["created"], told["rejected"]) == (1, 1)
        assert told["rejected_file"] == f"{path}.rejected.jsonl"

    def test_a_second_run_without_refusals_leaves_no_old_file(self, installed, jsonl):
        path = jsonl(response_row("a"), {"client_id": "b"})
        installed("capture", str(path), "--project", "desk")
        jsonl(response_row("a"))

        done = installed("capture", str(path), "--project", "desk")

        assert (done.returncode, done.stdout) == (0, "0 captured, 1 were in already, 0 refused.\n")
        assert not path.with_name(path.name + ".rejected.jsonl").exists()

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            (["missing.jsonl", "--project", "desk"], 1, "There is no file missing.jsonl"),
            (["missing.jsonl", "--project", "other"], 1, "project"),
            (["missing.jsonl"], 2, "--project"),
        ],
    )
    def test_it_refuses_with_a_reason(self, installed, arguments, code, told):
        done = installed("capture", *arguments)

        assert done.returncode == code
        assert told in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_table_is_shown_first_and_stored_only_when_told(self, installed, tmp_path):
        path = tmp_path / "answers.csv"
        path.write_text("prompt,answer,mood\nWhere?,There.,glad\n")

        asked = installed("capture", str(path), "--project", "desk")
        looked = installed("capture", str(path), "--project", "desk", "--dry-run", "--map", "model=mood")
        stored = installed("capture", str(path), "--project", "desk", "--yes", "--json")

        assert (asked.returncode, looked.returncode, stored.returncode) == (2, 0, 0)
        for said in ("input ← prompt", "output ← answer", "not stored: mood", '"content":"There."', "--yes"):
            assert said in asked.stderr
        assert "model ← mood" in looked.stdout
        assert json.loads(stored.stdout)["created"] == 1

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            (["answers.csv", "--map", "mood"], 2, "--map takes FIELD=COLUMN"),
            (["answers.csv", "--map", "model=mood"], 1, "There is no column mood"),
            (["rows.jsonl", "--dry-run"], 2, "are about tables"),
        ],
    )
    def test_what_makes_no_sense_for_a_table_is_said(self, installed, tmp_path, arguments, code, told):
        (tmp_path / "answers.csv").write_text("prompt,answer\nWhere?,There.\n")

        done = installed("capture", *arguments, "--project", "desk")

        assert (done.returncode, told in done.stderr) == (code, True)

    def test_an_interrupt_says_how_far_it_came(self, installed, tmp_path):
        running = installed("capture", "-", "--project", "desk", wait=False)
        for n in range(files.ROWS_A_BATCH):
            running.stdin.write(orjson.dumps(response_row(f"r-{n}")).decode() + "\n")
        running.stdin.flush()
        while responses_in(tmp_path / "hitl.sqlite3") < files.ROWS_A_BATCH:
            time.sleep(0.05)

        running.send_signal(signal.SIGINT)  # while it waits for more lines
        _out, told = running.communicate(timeout=100)

        assert running.returncode == 130
        # A batch is counted just after it is in, so that one moment may tell of the batch before.
        assert "Stopped at line 500. 500 captured" in told or "Stopped at line 0. 0 captured" in told
        assert "Run the same command again" in told

    @pytest.fixture
    def installed(self, tmp_path, new_installation):
        """The command line on a database file of its own."""
        shutil.copytree(new_installation, tmp_path, dirs_exist_ok=True)
        environment = {"HITL_DATABASE_URL": f"sqlite:///{tmp_path}/hitl.sqlite3", "PATH": "/usr/bin:/bin"}

        def run(*arguments, wait=True):
            command = [sys.executable, "-c", "from hitl.cli import main; main()", *arguments]
            running = subprocess.Popen(
                command,
                cwd=tmp_path,
                env={**environment, "PYTHONPATH": ":".join(sys.path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=hear_interrupts,
            )
            if not wait:
                return running
            out, err = running.communicate(timeout=100)
            return subprocess.CompletedProcess(command, running.returncode, out, err)

        return run


def hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore them, this run of the tests and all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def responses_in(path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT count(*) FROM responses").fetchone()[0]


@pytest.fixture(scope="module")
def new_installation(tmp_path_factory):
    """A folder with a database that has one project, and the secret beside it."""
    folder = tmp_path_factory.mktemp("installation")
    instance = open_instance(Settings(database_url=f"sqlite:///{folder}/hitl.sqlite3"))
    schema.upgrade(instance.database)
    with instance.database.writing() as db:
        create_project(db, "desk", "Desk")
    instance.database.close()
    return folder


class StoredIn:
    """A database with one project, whose door can be locked."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.writing() as db:
            project = Project(slug="desk", name="Desk")
            db.add(project)
            db.flush()
            self.project_id, self.keys = project.id, keys_of(db)

    def lock(self) -> None:
        """Let every new connection fail, as when the server is gone."""
        self.database.engine.dispose()
        self._right = self.database.engine.pool._creator
        self.database.engine.pool._creator = self._refuse

    def unlock(self) -> None:
        self.database.engine.pool._creator = self._right

    def _refuse(self, *_: object):
        driver = self.database.engine.dialect.loaded_dbapi
        raise driver.OperationalError("the server is gone")


@pytest.fixture
def stored(shared_database):
    return StoredIn(shared_database)


@pytest.fixture
def rejected(tmp_path):
    return tmp_path / "rejected.jsonl"


@pytest.fixture
def run(stored, rejected):
    def run(path, *, tally=None, tell=lambda _tally: None, max_line_bytes=1_000_000, rejected_path=rejected) -> Tally:
        tally = tally or Tally()
        with open_source(str(path), max_line_bytes=max_line_bytes) as source, RejectedLines(rejected_path) as lines:
            capture_lines(stored.database, stored.project_id, stored.keys, source, lines, tally, tell)
        with stored.database.reading() as db:
            assert db.scalar(select(func.count()).select_from(Response)) >= tally.created
        return tally

    return run


@pytest.fixture
def jsonl(tmp_path):
    def write(*rows):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        return path

    return write
