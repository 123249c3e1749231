"""Each thing that the doctor looks at is broken once, and named."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import delete, select, update

from hitl.accounts.models import Project
from hitl.core import clock, feeds, jobs, schema
from hitl.core.database import Database
from hitl.core.ids import new_id
from hitl.core.instance import open_instance
from hitl.core.secrets import Instance
from hitl.core.settings import Settings
from hitl.datasets.models import Dataset, DatasetVersion
from hitl.datasets.storage import Storage
from hitl.doctor import server
from hitl.doctor.commands import doctor
from hitl.doctor.examination import examine
from hitl.doctor.machine import Surroundings, file_system_of
from hitl.queue.models import Item, Lease
from hitl.review.models import Review, Revision
from tests.hitl import factories
from tests.hitl.backup.conftest import SECRET, Installation, make_tables


class TestAWellInstallation:
    def test_nothing_is_found(self, patient):
        assert said(patient, "trouble") == {}
        assert {"slots", "counting", "jobs", "feeds", "files", "schema", "clock", "storage", "encoding"} <= set(
            said(patient, "fine")
        )

    def test_a_thorough_look_finds_nothing_either(self, patient):
        assert said(patient, "trouble", is_thorough=True) == {}

    def test_it_changes_nothing(self, patient):
        before = Storage(patient.instance.settings.storage_url).names()
        examine(Surroundings(patient.instance.settings))
        assert Storage(patient.instance.settings.storage_url).names() == before


class TestContents:
    """What is broken here is broken past the application, which does not let it happen."""

    def test_a_slot_too_many(self, patient):
        change(patient, update(Item).values(open_slots=Item.open_slots + 1))

        assert "3 items whose slots do not add up" in said(patient, "trouble")["slots"]

    def test_a_lease_that_ended_and_holds_a_slot(self, patient):
        change(patient, update(Lease).where(Lease.ended_as == "skipped").values(holds_slot=True))

        assert "leases that ended and hold a slot" in said(patient, "trouble")["slots"]

    def test_a_slot_kept_for_a_review_that_does_not_count(self, patient):
        change(patient, update(Review).values(standing="extra"))

        assert "do not count" in said(patient, "trouble")["slots"]

    @pytest.mark.parametrize("wrong", ["none", "unknown", "unblinded"])
    def test_a_wrong_revision_that_counts(self, patient, wrong):
        if wrong == "unblinded":
            change(patient, update(Revision).values(is_unblinded=True))
        else:
            change(patient, update(Review).values(counting_revision_id=None if wrong == "none" else new_id()))

        assert "1 reviews of which the wrong revision counts" in said(patient, "trouble")["counting"]

    def test_a_counted_review_without_a_slot(self, patient):
        change(patient, update(Lease).where(Lease.ended_as == "completed").values(holds_slot=False))

        assert "without a slot" in said(patient, "trouble")["counting"]

    def test_a_job_that_failed(self, patient):
        with patient.instance.database.writing() as db:
            job = db.get_one(jobs.Job, jobs.enqueue(db, "datasets.freeze", {}))
            job.state, job.due, job.error = "failed", None, "Traceback …\nZeroDivisionError: it broke"

        assert "it broke" in said(patient, "trouble")["jobs"]

    def test_a_job_that_nobody_does(self, patient):
        with patient.instance.database.writing() as db:
            jobs.enqueue(db, "datasets.freeze", {}, delay_seconds=-600.0)

        assert "five minutes" in said(patient, "trouble")["jobs"]

    def test_rows_above_the_feeds_number(self, patient):
        change(patient, update(Review).values(feed_number=feeds.GAP * 9))

        assert "miss rows" in said(patient, "trouble")["feeds"]

    def test_a_file_that_is_missing(self, patient):
        patient.frozen("desk/1")

        assert "desk/1/rows.parquet" in said(patient, "trouble")["files"]

    def test_a_file_that_no_version_names(self, patient, monkeypatch):
        with Storage(patient.instance.settings.storage_url).writing("left/over") as stream:
            stream.write(b"left")
        assert "left/over" not in said(patient, "note").get("files", "")  # it may just be being written
        monkeypatch.setattr("hitl.doctor.contents.ORPHAN_AGE", timedelta(seconds=-5))

        assert "left/over" in said(patient, "note")["files"]


class TestServer:
    def test_another_schema(self, patient):
        schema.downgrade(patient.instance.database, "-1")

        assert "this program" in said(patient, "trouble")["schema"]

    def test_another_secret(self, patient):
        change(patient, update(Instance).values(secret_fingerprint="0" * 16))

        assert "another HITL_SECRET" in said(patient, "trouble")["secret"]

    def test_a_clock_that_is_wrong(self, patient, monkeypatch):
        now = time.time
        monkeypatch.setattr(server.time, "time", lambda: now() + 100)

        assert "-100" in said(patient, "trouble")["clock"]

    def test_a_server_that_does_not_answer(self, tmp_path):
        settings = Settings(
            database_url="postgresql://127.0.0.1:1/none", secret=SECRET, storage_url=str(tmp_path / "files")
        )

        assert "does not answer" in of(examine(Surroundings(settings)), "trouble")["database"]

    def test_an_encoding_that_cannot_hold_every_text(self, postgresql, tmp_path):
        name = f"hitl_test_latin_{new_id().hex}"
        with psycopg.connect(postgresql.url, autocommit=True) as connection:
            connection.execute(
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
            )
        try:
            url = postgresql.url.rpartition("/")[0] + "/" + name
            settings = Settings(database_url=url, secret=SECRET, storage_url=str(tmp_path / "files"))
            assert "LATIN1" in of(examine(Surroundings(settings)), "trouble")["encoding"]
        finally:
            with psycopg.connect(postgresql.url, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def test_a_file_that_is_no_database(self, laptop):
        laptop.instance.database.close()
        Path(laptop.instance.database.url.database).write_bytes(b"something else " * 100)

        assert "not a database" in said(laptop, "trouble")["database"]

    def test_a_damaged_reference(self, laptop):
        with laptop.instance.database.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            connection.exec_driver_sql("COMMIT")
            raw.execute("PRAGMA foreign_keys=OFF")
            raw.execute("DELETE FROM users")
            raw.execute("PRAGMA foreign_keys=ON")

        assert "not there" in said(laptop, "trouble", is_thorough=True)["integrity"]


class TestMachine:
    def test_a_full_disk(self, patient):
        found = of(examine(Surroundings(patient.instance.settings, least_free_bytes=10**18)), "trouble")

        assert "free" in found["storage space"]

    def test_a_storage_that_cannot_be_written(self, patient, tmp_path):
        (tmp_path / "file").write_text("no folder")
        settings = patient.instance.settings.model_copy(update={"storage_url": str(tmp_path / "file")})

        assert "cannot be used" in of(examine(Surroundings(settings)), "trouble")["storage"]

    def test_a_network_file_system(self, laptop, tmp_path):
        mounts = tmp_path / "mountinfo"
        mounts.write_text(
            "1 0 8:1 / / rw - ext4 /dev/sda rw\n"
            f"2 1 0:44 / {tmp_path.parents[1]} rw shared:1 - nfs4 server:/export rw\n"
            "3 1 0:45 / /else\\040where rw - cifs //server rw\n"
        )

        found = of(examine(Surroundings(laptop.instance.settings, mounts=mounts)), "trouble")

        assert "nfs4" in found["file system"]
        assert file_system_of(Path("/else where/x"), mounts) == "cifs"
        assert file_system_of(Path("/x"), mounts) == "ext4"
        assert file_system_of(Path("/x"), tmp_path / "none") is None

    def test_no_database_and_no_secret_are_named_and_not_made(self, tmp_path):
        file = tmp_path / "none.sqlite3"
        settings = Settings(database_url=f"sqlite:///{file}", storage_url=str(tmp_path / "files"))

        found = of(examine(Surroundings(settings)), "trouble")

        assert {"database", "secret"} <= set(found)
        assert list(tmp_path.glob("none*")) == []

    def test_a_secret_that_others_may_read(self, laptop):
        kept = Path(laptop.instance.database.url.database + ".secret")
        kept.write_text(SECRET)
        kept.chmod(0o644)
        settings = laptop.instance.settings.model_copy(update={"secret": None})

        assert "chmod 600" in remedies(examine(Surroundings(settings)))["secret"]

    def test_settings_that_do_not_go_together(self, laptop):
        settings = laptop.instance.settings.model_copy(update={"web_processes": 2})

        assert "one process" in of(examine(Surroundings(settings)), "trouble")["settings"]

    def test_an_address_without_tls(self, laptop):
        settings = Settings(**{**laptop.instance.settings.model_dump(), "public_url": "http://review.example.com"})

        assert "https" in of(examine(Surroundings(settings)), "note")["settings"]


class TestCommand:
    def test_it_exits_with_1_and_tells_programs_in_json(self, patient, monkeypatch):
        say_settings(monkeypatch, patient)
        well = CliRunner().invoke(doctor, ["--json"])
        change(patient, delete(Review))
        ill = CliRunner().invoke(doctor, ["--json"])
        text_ = CliRunner().invoke(doctor, [])

        assert (well.exit_code, orjson.loads(well.stdout)["is_well"]) == (0, True), well.stdout
        assert (ill.exit_code, orjson.loads(ill.stdout)["is_well"]) == (1, False)
        assert text_.exit_code == 1
        assert "TROUBLE" in text_.stdout

    def test_it_names_a_setting_that_is_wrong(self, monkeypatch):
        monkeypatch.setenv("HITL_WEB_THREADS", "many")

        assert "HITL_WEB_THREADS" in CliRunner().invoke(doctor, []).stdout


class Patient(Installation):
    def frozen(self, place: str) -> None:
        """Store a frozen version whose files are nowhere."""
        with self.instance.database.writing() as db:
            project_id = db.scalars(select(Project.id)).one()
            dataset = Dataset(project_id=project_id, name="d", kind="preference", selection={}, seed="d")
            db.add(dataset)
            db.flush()
            version = {"number": 1, "state": "frozen", "selection": {}, "may_train_default": "no", "location": place}
            db.add(DatasetVersion(dataset_id=dataset.id, **version))


def of(findings: Any, state: str) -> dict[str, str]:
    """Return what was said in a state, by what it is about."""
    found: dict[str, str] = {}
    for finding in findings:
        if finding.state == state:
            found[finding.about] = f"{found.get(finding.about, '')} {finding.says}".strip()
            assert state != "trouble" or finding.remedy
    return found


def said(patient: Installation, state: str, *, is_thorough: bool = False) -> dict[str, str]:
    return of(examine(Surroundings(patient.instance.settings, least_free_bytes=0), is_thorough=is_thorough), state)


def remedies(findings: Any) -> dict[str, str]:
    return {finding.about: finding.remedy for finding in findings if finding.state == "trouble"}


def change(patient: Installation, statement: Any) -> None:
    with patient.instance.database.writing() as db:
        db.execute(statement)


def say_settings(monkeypatch: pytest.MonkeyPatch, patient: Installation) -> None:
    settings = patient.instance.settings
    monkeypatch.setenv("HITL_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("HITL_STORAGE_URL", settings.storage_url)
    monkeypatch.setenv("HITL_SECRET", SECRET)


def open_patient(url: str, folder: Path) -> Patient:
    settings = Settings(database_url=url, storage_url=str(folder / "files"), secret=SECRET)  # type: ignore[arg-type]
    patient = Patient(open_instance(settings))
    make_tables(patient.instance.database)
    fill(patient.instance.database)
    return patient


def fill(database: Database) -> None:
    """One item reviewed, one skipped, one open."""
    with database.writing() as db:
        db.add(Instance(id=1, secret_fingerprint=db.info["keys"].fingerprint))
        factories.bind(db)
        project = factories.Project()
        done, skipped, _ = (factories.Item(project=project, open_slots=slots) for slots in (0, 1, 1))
        lease = factories.Lease(item=done, ended_as="completed", ended_at=clock.now())
        factories.Lease(item=skipped, ended_as="skipped", holds_slot=False, ended_at=clock.now())
        review = Review(
            project_id=project.id, item_id=done.id, reviewer_id=lease.reviewer_id, lease_id=lease.id, standing="counted"
        )
        db.add(review)
        db.flush()
        revision = Revision(review_id=review.id, number=1)
        db.add(revision)
        db.flush()
        review.counting_revision_id = revision.id
        db.flush()
        factories.unbind()


@pytest.fixture
def patient(database_url: str, tmp_path: Path) -> Any:
    patient = open_patient(database_url, tmp_path)
    yield patient
    patient.instance.database.close()


@pytest.fixture
def laptop(make_database: Any, tmp_path: Path) -> Any:
    """An installation on SQLite."""
    patient = open_patient(make_database("sqlite"), tmp_path)
    yield patient
    patient.instance.database.close()
