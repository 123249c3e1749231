"""`hitl dataset` and `hitl export`, as a person runs them."""

import json
import os
import random
import resource
import subprocess
import sys

import pytest

from tests.hitl.datasets.conftest import SECRET

pytestmark = pytest.mark.timeout(300)  # Python starts anew for each command: seconds apiece on a busy machine
HITL = [sys.executable, "-c", "from hitl.cli import main; main()"]


@pytest.fixture
def environment(desk):
    return {
        **os.environ,
        "HITL_DATABASE_URL": desk.database.url.render_as_string(hide_password=False),
        "HITL_SECRET": SECRET,
        "HITL_STORAGE_URL": desk.database.session_info["storage_url"],
    }


@pytest.fixture
def hitl(environment):
    """Run a command; it must end with the code that is expected."""

    def run(*arguments, code=0, **more):
        done = subprocess.run(
            [*HITL, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=240, **more
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def slug(desk):
    for n in range(5):
        desk.corrects(desk.response(f"{n}?", "wrong"), "right")
    return desk.project.slug


def test_freeze_show_list_and_export(hitl, slug, tmp_path):
    frozen = json.loads(hitl("dataset", "freeze", "desk", "--project", slug, "--include-unknown", "--json").stdout)
    assert (frozen["version"], frozen["statistics"]["rows"]) == (1, 5)

    assert "desk@1  preference, 5 rows" in hitl("dataset", "show", "desk", "--project", slug).stdout
    assert "desk@1" in hitl("dataset", "list", "--project", slug).stdout

    out = tmp_path / "dpo"
    arguments = ("export", "desk@1", "--project", slug, "--format", "trl-preference", "--out", out)
    exported = json.loads(hitl(*arguments, "--json").stdout)
    assert sum(exported["rows"].values()) == 5
    lines = [json.loads(line) for file in out.glob("*.jsonl") for line in file.read_text().splitlines()]
    assert len(lines) == 5
    assert {line["chosen"][0]["content"] for line in lines} == {"right"}

    hitl("project", "set", slug, "licence=cc-by-4.0")
    hitl("export", "desk", "--project", slug, "--format", "huggingface", "--out", tmp_path / "hub")
    assert 'license: "cc-by-4.0"\n' in (tmp_path / "hub" / "README.md").read_text()

    refused = hitl(*arguments, code=1)
    assert "not an empty folder" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_options_that_are_not_given_stay_as_they_were(hitl, slug, desk):
    hitl("dataset", "freeze", "desk", "--project", slug, "--include-unknown", "--shares", "0.5,0.25,0.25")
    desk.corrects(desk.response("one more?", "wrong"), "right")

    frozen = json.loads(hitl("dataset", "freeze", "desk", "--project", slug, "--policy", "each", "--json").stdout)

    assert frozen["selection"]["include_unknown"] is True
    assert frozen["selection"]["shares"] == {"train": 0.5, "validation": 0.25, "test": 0.25}
    assert frozen["selection"]["policy"] == "each"


@pytest.mark.parametrize("stored", ["sqlite"], indirect=True)  # each case starts Python anew: one database is enough
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["dataset", "freeze", "desk"], 1, "Left out: may train unknown 5"),
        (["dataset", "freeze", "desk", "--shares", "1,1"], 2, "three numbers"),
        (["dataset", "freeze", "desk", "--shares", "1,1,1"], 2, "sum to 1"),
        (["dataset", "freeze", "desk", "--since", "yesterday"], 2, "--since"),
        (["dataset", "freeze", "Desk"], 1, "lower-case"),
        (["dataset", "freeze", "desk", "--origin", "dream"], 1, "dream"),
        (["dataset", "show", "desk@7"], 1, "no version desk@7"),
        (["export", "desk", "--format", "trl-preference", "--out", "x"], 1, "no frozen version"),
        (["export", "desk", "--format", "doc", "--out", "x"], 2, "trl-preference"),
    ],
)
def test_what_cannot_be_done_is_said(hitl, slug, arguments, code, said):
    done = hitl(*arguments, "--project", slug, code=code)

    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stored", ["sqlite"], indirect=True)
def test_an_unknown_project_is_refused(hitl):
    assert "Traceback" not in hitl("dataset", "list", "--project", "nobody", code=1).stderr


def small_disk():
    """Let files grow to 100 kB only: the kernel then refuses writes as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def incompressible(length):
    return random.Random(7).randbytes(length // 2).hex()


class TestFullDisk:
    def test_an_export_leaves_nothing_behind(self, hitl, desk, tmp_path):
        desk.corrects(desk.response("Long?", incompressible(300_000)), "right")
        desk.freeze(include_unknown=True)

        out = tmp_path / "full" / "dpo"
        arguments = ("export", "desk", "--project", desk.project.slug, "--format", "jsonl", "--out", out)
        refused = hitl(*arguments, code=1, preexec_fn=small_disk)

        assert "Could not write" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert list(out.parent.iterdir()) == []

    # On SQLite the limit would hit the database's own files, too.
    @pytest.mark.parametrize("stored", ["postgresql"], indirect=True)
    def test_a_freeze_fails_with_the_reason_and_leaves_nothing_behind(self, hitl, desk, tmp_path, environment):
        desk.corrects(desk.response("Long?", incompressible(300_000)), "right")
        environment["HITL_STORAGE_URL"] = str(tmp_path / "storage")
        arguments = ("dataset", "freeze", "desk", "--project", desk.project.slug, "--include-unknown")
        refused = hitl(*arguments, code=1, preexec_fn=small_disk)

        assert "The storage refused to write" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert [file for file in (tmp_path / "storage").rglob("*") if file.is_file()] == []
        assert desk.freeze(include_unknown=True).number == 1

    def test_a_storage_that_is_no_folder_is_named(self, hitl, slug, tmp_path, environment):
        (tmp_path / "file").write_text("")
        environment["HITL_STORAGE_URL"] = str(tmp_path / "file")
        arguments = ("dataset", "freeze", "desk", "--project", slug, "--include-unknown")

        assert str(tmp_path / "file") in hitl(*arguments, code=1).stderr
