"""What was in one database is in the other: every row of every table, every file, and work goes on."""

import json
import os
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, inspect, select, update

from hitl.accounts.models import Project
from hitl.backup import commands
from hitl.backup.archive import MANIFEST
from hitl.backup.errors import (
    BackupDamaged,
    BackupExists,
    BackupFailed,
    BackupOfOtherSecret,
    BackupOfOtherVersion,
    DatabaseNotEmpty,
    RowUnfit,
    StorageNotEmpty,
)
from hitl.backup.making import back_up
from hitl.backup.restoring import restore
from hitl.backup.rows import kept_tables
from hitl.core import schema
from hitl.core.instance import open_instance
from hitl.core.settings import Settings
from hitl.datasets.storage import Storage
from tests.hitl.backup.conftest import SECRET, Installation, make_tables
from tests.hitl.queue.conservation import ensure_conserved

BOTH_WAYS = [("sqlite", "postgresql"), ("postgresql", "sqlite")]


@pytest.mark.parametrize(("here", "there"), BOTH_WAYS)
def test_everything_is_there_on_the_other_database_and_work_goes_on(install, tmp_path, here, there):
    old, new = install(here), install(there, is_bare=True)
    old.fill()
    followed = {feed: old.program("kim").ask("GET", f"/projects/desk/{feed}")["resume_cursor"] for feed in FEEDS}

    file, manifest = back_up(old.instance, tmp_path)
    restore(new.instance, file)

    before, after = everything(old.instance), everything(new.instance)
    for table in before:
        assert after[table] == before[table], table
    assert {table: len(rows) for table, rows in before.items()} == manifest.rows
    lively = {table for table, rows in before.items() if rows}
    assert lively >= {"reviews", "revisions", "evidence", "verdicts", "drafts", "jobs", "api_keys", "version_exports"}
    assert files_of(new.instance) == files_of(old.instance) != {}
    new.tokens = old.tokens
    go_on(new, followed)


# How many rows of each feed are new after `go_on`.
FEEDS = {
    "responses": 1,
    "feedback": 0,
    "items/changes": 2,
    "reviews": 2,
    "evidence": 2,
    "verdicts": 2,
    "demonstrations": 2,
}


def go_on(new: Any, followed: dict[str, str]) -> None:
    """Claim, submit, capture and freeze where the others left off; cursors from there go on."""
    kim, lee = new.program("kim"), new.program("lee")
    assert not any(news(kim, feed, at) for feed, at in followed.items())
    repeated = {"responses": [{"client_id": "new", "output": {"role": "assistant", "content": "New."}}]}
    asked = {"input": {"messages": [{"role": "user", "content": "New?"}]}}
    repeated["responses"][0].update(asked)
    kim.ask("POST", "/projects/desk/responses", repeated)
    new.work()
    held = lee.ask("GET", "/projects/desk/leases")["leases"]
    assert [lee.ask("GET", f"/leases/{lease['id']}/draft")["answers"] for lease in held] == [{"helpful": "3"}]
    given = {"helpful": 1, "correct": 1, "correction": "Written after the restore."}
    review = lee.ask("POST", f"/leases/{held[0]['id']}/review", {"answers": given})
    assert review["counted"]
    kim.review("Also afterwards.")
    assert {feed: len(news(kim, feed, at)) for feed, at in followed.items()} == FEEDS
    first = kim.ask("GET", "/projects/desk/datasets/pairs/versions/1")
    again = new.freeze("pairs", "preference")
    assert again["version"] == 2
    assert again["content_hash"] != first["content_hash"]
    rows = kim.ask("GET", "/projects/desk/datasets/pairs/versions/1/rows")["rows"]
    assert rows
    assert kim.ask("GET", f"/projects/desk/datasets/pairs/versions/1/rows/{rows[0]['id']}")["reviews"]
    with new.instance.database.reading() as db:
        ensure_conserved(db, db.scalars(select(Project.id)).one())


def news(program: Any, feed: str, cursor: str) -> list[Any]:
    return list(program.ask("GET", f"/projects/desk/{feed}?cursor={cursor}")[feed.split("/")[0]])


class TestBackUp:
    def test_it_shows_one_moment_whatever_is_committed_meanwhile(self, install, tmp_path, kind):
        old = install(kind)
        old.open_desk()
        with old.instance.database.snapshot() as db:
            projects = select(func.count()).select_from(Project)
            assert db.scalar(projects) == 1
            with old.instance.database.writing() as other:
                other.add(Project(slug="second", name="Second"))

            assert db.scalar(projects) == 1

    def test_the_same_installation_twice_gives_the_same_tables(self, install, tmp_path, kind):
        old = install(kind)
        old.open_desk()

        _, first = back_up(old.instance, tmp_path / "a.zip")
        _, second = back_up(old.instance, tmp_path / "b.zip")

        assert first.members == second.members

    def test_it_keeps_the_file_from_others_and_never_overwrites_one(self, install, tmp_path):
        old = install("sqlite")
        file, _ = back_up(old.instance, tmp_path / "a.zip")

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(BackupExists):
            back_up(old.instance, file)
        assert [one.name for one in tmp_path.iterdir()] == ["a.zip"]

    def test_it_leaves_nothing_where_it_cannot_write(self, install, tmp_path):
        with pytest.raises(BackupFailed, match="no/such"):
            back_up(install("sqlite").instance, tmp_path / "no/such/a.zip")

    def test_it_holds_the_secret_only_when_asked(self, install, tmp_path):
        old = install("sqlite")
        without, _ = back_up(old.instance, tmp_path / "without.zip")
        with_it, _ = back_up(old.instance, tmp_path / "with.zip", SECRET)

        assert SECRET.encode() not in b"".join(contents(without).values())
        assert contents(with_it)["secret"] == SECRET.encode()

    def test_it_names_files_that_the_storage_lost(self, install, tmp_path):
        old = install("sqlite")
        old.fill()
        storage = Storage(old.instance.settings.storage_url)
        lost = storage.names()[0].rpartition("/")[0]
        storage.remove_folder(lost)

        _, manifest = back_up(old.instance, tmp_path / "a.zip")

        assert any(place.startswith(lost) for place in manifest.missing_files)


class TestRestore:
    def test_it_refuses_a_database_that_holds_something(self, install, backup, kind):
        new = install(kind)
        with new.instance.database.writing() as db:
            db.add(Project(slug="mine", name="Mine"))

        with pytest.raises(DatabaseNotEmpty, match="projects"):
            restore(new.instance, backup)

        assert [row["slug"] for row in everything(new.instance)["projects"]] == ["mine"]

    def test_it_refuses_a_storage_that_holds_something(self, install, backup, kind):
        new = install(kind)
        with Storage(new.instance.settings.storage_url).writing("mine/file") as stream:
            stream.write(b"mine")

        with pytest.raises(StorageNotEmpty):
            restore(new.instance, backup)

        assert files_of(new.instance) == {"mine/file": b"mine"}
        ensure_empty(new.instance)

    def test_it_refuses_another_schema(self, install, backup, kind):
        new = install(kind)
        rewrite_manifest(backup, schema_revision="0123")

        with pytest.raises(BackupOfOtherVersion, match="0123"):
            restore(new.instance, backup)

    def test_it_refuses_a_database_that_is_not_up_to_date(self, install, backup, kind):
        new = install(kind)
        schema.downgrade(new.instance.database, "-1")

        with pytest.raises(schema.SchemaOutOfDate):
            restore(new.instance, backup)

    def test_it_refuses_another_secret_and_says_what_would_be_lost(self, install, backup, kind):
        new = install(kind, secret="another secret, which is also long enough")

        with pytest.raises(BackupOfOtherSecret, match="pseudonyms"):
            restore(new.instance, backup)
        ensure_empty(new.instance)

        restore(new.instance, backup, with_new_secret=True)

        new.tokens = backup_tokens(backup)
        assert new.program("kim").ask("GET", "/key")["project"]

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
    def test_it_refuses_a_file_cut_short(self, install, backup, share):
        whole = backup.read_bytes()
        backup.write_bytes(whole[: int(len(whole) * share)])

        with pytest.raises(BackupDamaged):
            restore(install("sqlite").instance, backup)

    def test_it_refuses_any_changed_byte_that_matters_and_leaves_nothing(self, install, backup, tmp_path):
        new = install("sqlite")
        whole = backup.read_bytes()
        for place in places_in_members(backup):
            backup.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            with pytest.raises(BackupDamaged):
                restore(new.instance, backup)
            ensure_empty(new.instance)

    @pytest.mark.parametrize("name", ["tables/users.jsonl", "files/../../outside", "files/more"])
    def test_it_refuses_members_that_are_missing_or_too_many(self, install, backup, name):
        members = contents(backup)
        if name in members:
            del members[name]
        else:
            members[name] = b"more"
        write(backup, members)

        with pytest.raises(BackupDamaged):
            restore(install("sqlite").instance, backup)

    @pytest.mark.parametrize("what", [b"", b"no archive", b"PK\x05\x06" + b"\0" * 18])
    def test_it_refuses_what_is_no_backup(self, install, tmp_path, what):
        file = tmp_path / "no.zip"
        file.write_bytes(what)

        with pytest.raises(BackupDamaged):
            restore(install("sqlite").instance, file)

    def test_it_names_a_row_that_the_other_database_cannot_hold_and_leaves_nothing(self, install, tmp_path):
        old, new = install("sqlite"), install("postgresql")
        old.fill()
        with old.instance.database.writing() as db:  # past the application, which refuses it
            db.execute(update(Project).values(guidelines="A NUL: \0"))
        file, _ = back_up(old.instance, tmp_path)

        with pytest.raises(RowUnfit, match="projects"):
            restore(new.instance, file)

        ensure_empty(new.instance)
        assert files_of(new.instance) == {}

    def test_a_file_that_cannot_be_written_leaves_neither_rows_nor_files(self, install, backup, kind):
        new = install(kind)
        folder = Path(new.instance.settings.storage_url)
        names = [name.removeprefix("files/") for name in contents(backup) if name.startswith("files/")]
        (folder / names[-1]).mkdir(parents=True)  # a folder where the last file belongs

        with pytest.raises(OSError, match="directory"):
            restore(new.instance, backup)

        ensure_empty(new.instance)
        assert files_of(new.instance) == {}


class TestCommands:
    def test_backup_and_restore_with_the_secret_onto_a_laptop(self, tmp_path, monkeypatch):
        for name in [name for name in os.environ if name.startswith("HITL_")]:
            monkeypatch.delenv(name)
        old, new = tmp_path / "old", tmp_path / "new"
        old.mkdir()
        new.mkdir()
        monkeypatch.chdir(old)
        instance = open_instance()
        make_tables(instance.database)
        with instance.database.writing() as db:
            db.add(Project(slug="desk", name="Desk"))

        assert "rows" in run(commands.backup, ".", "--with-secret")
        [file] = old.glob("hitl-*.zip")
        monkeypatch.chdir(new)
        assert "2 rows restored" in run(commands.restore_backup, str(file))

        assert (new / "hitl.sqlite3.secret").read_text() == (old / "hitl.sqlite3.secret").read_text()
        assert stat.S_IMODE((new / "hitl.sqlite3.secret").stat().st_mode) == 0o600
        with pytest.raises(DatabaseNotEmpty):
            run(commands.restore_backup, str(file))
        with pytest.raises(BackupDamaged, match="none"):
            run(commands.restore_backup, "none.zip")
        instance.database.close()

    def test_a_secret_that_was_laid_down_for_nothing_is_taken_away(self, tmp_path, monkeypatch, install):
        file, _ = back_up(install("sqlite").instance, tmp_path / "a.zip", SECRET)
        rewrite_manifest(file, schema_revision="0123")
        monkeypatch.chdir(tmp_path)

        with pytest.raises(BackupOfOtherVersion):
            run(commands.restore_backup, str(file))

        assert not (tmp_path / "hitl.sqlite3.secret").exists()


def run(command: Any, *arguments: str) -> str:
    return CliRunner().invoke(command, arguments, catch_exceptions=False).output


def everything(instance: Any) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table, as Python sees it; not the secret's fingerprint of an unused database."""
    with instance.database.reading() as db:
        return {
            table.name: [dict(row._mapping) for row in db.execute(select(table).order_by(*table.primary_key.columns))]
            for table in kept_tables()
        }


def files_of(instance: Any) -> dict[str, bytes]:
    storage = Storage(instance.settings.storage_url)
    found = {}
    for name in storage.names():
        with storage.reading(name) as file:
            found[name] = file.read()
    return found


def ensure_empty(instance: Any) -> None:
    with instance.database.reading() as db:
        has_tables = "projects" in inspect(db.connection()).get_table_names()
    if has_tables:
        rows = everything(instance)
        rows.pop("instance")
        assert not any(rows.values())


def places_in_members(file: Path) -> list[int]:
    """Return where each member that is not empty has a byte in its middle."""
    with zipfile.ZipFile(file) as archive:
        infos = [info for info in archive.infolist() if info.file_size]
    raw = file.read_bytes()

    def start(info: zipfile.ZipInfo) -> int:  # 30 bytes, then name and extra, whose lengths stand at 26 and 28
        name, extra = struct.unpack_from("<HH", raw, info.header_offset + 26)
        return info.header_offset + 30 + int(name) + int(extra)

    return [start(info) + info.compress_size // 2 for info in infos]


def contents(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(file: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def rewrite_manifest(file: Path, **changes: Any) -> None:
    members = contents(file)
    members[MANIFEST] = json.dumps({**json.loads(members[MANIFEST]), **changes}).encode()
    write(file, members)


_tokens: dict[Path, dict[str, str]] = {}


def backup_tokens(file: Path) -> dict[str, str]:
    return _tokens[file]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def made(make_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A backup of a filled SQLite installation, made once."""
    folder = tmp_path_factory.mktemp("made")
    settings = Settings(database_url=make_database("sqlite"), storage_url=str(folder / "files"), secret=SECRET)  # type: ignore[arg-type]
    old = Installation(open_instance(settings))
    make_tables(old.instance.database)
    old.fill()
    file, _ = back_up(old.instance, folder / "backup.zip")
    old.instance.database.close()
    return file, old.tokens


@pytest.fixture
def backup(made: Any, tmp_path: Path) -> Path:
    """A copy of that backup, to do with as one likes."""
    file, tokens = made
    mine = tmp_path / "backup.zip"
    mine.write_bytes(file.read_bytes())
    _tokens[mine] = tokens
    return mine
