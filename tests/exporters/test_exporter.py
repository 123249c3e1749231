import errno
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import orjson
import pytest

from exporters.errors import (
    ExportFailed,
    NothingToExport,
    OutputNotEmpty,
    UnknownFormat,
    WrongKind,
)
from exporters.exporter import REFUSALS_LISTED
from exporters.files import HashedFile
from exporters.folder import reporting
from exporters.registry import EXPORTERS, exporter
from tests.exporters.examples import DEMONSTRATION, OF_KIND, PAIR, PAIRS, assistant, pair, verdict

REPOSITORY = Path(__file__).parents[2]


class TestExporter:
    def test_it_writes_one_file_for_each_split_that_has_rows(self, out):
        exported = exporter("trl-preference").write(PAIRS, out)

        assert sorted(path.name for path in out.iterdir()) == [
            "README.md",
            "manifest.json",
            "test.jsonl",
            "train.jsonl",
        ]
        assert exported.counts == {"train": 2, "test": 1}

    def test_it_tells_the_size_and_hash_of_each_file(self, out):
        from hashlib import sha256

        for file in exporter("parquet").write(PAIRS, out).files:
            written = (out / file.name).read_bytes()
            assert (file.bytes, file.sha256) == (len(written), sha256(written).hexdigest())

    @pytest.mark.parametrize(
        ("name", "kind"), [(name, kind) for name in EXPORTERS for kind in sorted(EXPORTERS[name].kind)]
    )
    def test_it_writes_the_same_bytes_again(self, name, kind, tmp_path):
        rows = OF_KIND[kind]
        for folder in ("one", "two"):
            exporter(name).write(rows, tmp_path / folder, {"dataset": "support", "version": 3})

        assert contents(tmp_path / "one") == contents(tmp_path / "two")

    def test_it_lists_the_rows_it_refused_with_reasons(self, out):
        rows = [PAIR, pair(id="bad", chosen=assistant("")), pair(id="worse", prompt=[])]

        exported = exporter("trl-preference").write(rows, out)

        assert [(row.id, row.code) for row in exported.refused] == [("bad", "empty_answer"), ("worse", "empty_prompt")]
        manifest = orjson.loads((out / "manifest.json").read_bytes())
        assert manifest["refused"]["by_code"] == {"empty_answer": 1, "empty_prompt": 1}
        assert manifest["refused"]["rows"][0]["reason"] == "the chosen message is empty"

    def test_a_rehearsal_says_the_same_without_writing(self, out):
        rows = [PAIR, pair(id="bad", chosen=assistant("")), pair(id="worse", prompt=[])]

        rehearsed = exporter("trl-preference").rehearse(rows)

        assert not out.exists()
        written = exporter("trl-preference").write(rows, out)
        assert (rehearsed.counts, rehearsed.refused) == (written.counts, written.refused)

    def test_it_counts_all_refused_rows_but_lists_only_so_many(self, out):
        rows = (pair(prompt=[]) if n else PAIR for n in range(REFUSALS_LISTED + 6))

        exported = exporter("trl-preference").write(rows, out)

        assert (len(exported.refused), exported.refused_count) == (REFUSALS_LISTED, REFUSALS_LISTED + 5)

    @pytest.mark.parametrize(
        ("code", "changes"),
        [
            ("nul_character", {"chosen": assistant("a\0b")}),
            ("lone_surrogate", {"chosen": assistant("a\ud800b")}),
            ("number_not_finite", {"tools": [{"type": "function", "function": {"x": float("nan")}}]}),
            ("integer_too_large", {"tools": [{"type": "function", "function": {"x": 2**64}}]}),
            ("unknown_split", {"split": "dev"}),
            ("not_json", {"tools": [{"type": "function", "function": {"x": {1, 2}}}]}),
        ],
    )
    @pytest.mark.parametrize("name", ["trl-preference", "jsonl", "parquet"])
    def test_it_refuses_what_no_file_can_hold(self, name, code, changes, out):
        exported = exporter(name).write([PAIR, pair(**changes)], out)

        assert list(exported.refused_by_code) == [code]

    def test_it_refuses_a_row_without_end(self, out):
        deep = {}
        for _ in range(1000):
            deep = {"a": deep}
        tools = [{"type": "function", "function": deep}]

        assert exporter("jsonl").write([PAIR, pair(tools=tools)], out).refused_by_code == {"nested_too_deeply": 1}

    def test_it_says_so_when_there_is_no_row_left(self, out):
        with pytest.raises(NothingToExport, match="1 were refused") as error:
            exporter("trl-preference").write([pair(prompt=[])], out)

        assert error.value.refused[0].id == PAIR.id
        assert nothing_is_left(out)

    @pytest.mark.parametrize("rows", [[DEMONSTRATION], [PAIR, DEMONSTRATION]])
    def test_it_refuses_rows_of_another_kind(self, rows, out):
        with pytest.raises(WrongKind):
            exporter("trl-preference").write(rows, out)

        assert nothing_is_left(out)

    def test_it_does_not_mix_kinds_in_one_folder(self, out):
        with pytest.raises(
            WrongKind, match="jsonl takes rows of kind preference; it was given one of kind demonstration"
        ):
            exporter("jsonl").write([PAIR, DEMONSTRATION], out)

    @pytest.mark.parametrize("name", ["trl-preference", "parquet"])
    def test_it_keeps_its_memory_when_the_rows_are_many(self, name, out):
        long = assistant("All that was said. " * 500)
        rows = (pair(id=f"{n:064x}", chosen=long) for n in range(8_000))  # about 80 MB of text

        tracemalloc.start()
        exporter(name).write(rows, out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 60 * 2**20

    def test_it_keeps_its_memory_when_it_shuffles_the_rows(self, out):
        long = assistant("All that was said. " * 500)
        rows = (verdict(id=f"{n:064x}", completion=long) for n in range(8_000))  # about 80 MB of text

        tracemalloc.start()
        exporter("trl-unpaired-preference").write(rows, out)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert peak < 20 * 2**20

    def test_it_lists_the_known_formats_when_asked_for_another(self):
        with pytest.raises(UnknownFormat, match=", ".join(sorted(EXPORTERS))):
            exporter("csv")


class TestNewFolder:
    def test_it_refuses_a_folder_that_is_not_empty_and_leaves_it_alone(self, out):
        out.mkdir()
        (out / "mine.txt").write_text("keep me")

        with pytest.raises(OutputNotEmpty):
            exporter("jsonl").write(PAIRS, out)

        assert contents(out) == {"mine.txt": b"keep me"}

    def test_it_refuses_a_file_in_its_place(self, out):
        out.write_text("keep me")

        with pytest.raises(OutputNotEmpty):
            exporter("jsonl").write(PAIRS, out)

    def test_it_takes_an_empty_folder_and_one_that_is_not_there_yet(self, out):
        out.mkdir()
        exporter("jsonl").write(PAIRS, out)
        exporter("jsonl").write(PAIRS, out.parent / "deep" / "er")

        assert contents(out) == contents(out.parent / "deep" / "er")

    def test_it_notices_when_someone_else_was_faster(self, out):
        def rows():
            yield PAIR
            out.mkdir()
            (out / "theirs.txt").write_text("keep me")

        with pytest.raises(OutputNotEmpty):
            exporter("jsonl").write(rows(), out)

        assert [path.name for path in out.parent.iterdir()] == ["out"]
        assert contents(out) == {"theirs.txt": b"keep me"}

    @pytest.mark.parametrize("name", ["jsonl", "parquet"])
    def test_it_leaves_nothing_when_the_rows_break_off(self, name, out):
        def rows():
            yield PAIR
            raise OSError(errno.EIO, "the database is gone")

        with pytest.raises(OSError, match="the database is gone"):
            exporter(name).write(rows(), out)

        assert nothing_is_left(out)

    @pytest.mark.parametrize("name", ["jsonl", "parquet", "trl-preference"])
    def test_it_leaves_nothing_and_names_the_file_when_the_disk_takes_no_more(self, name, out):
        """A real limit of the operating system on the size of files, in a process of its own."""
        script = f"""
            import resource
            from pathlib import Path
            from exporters.errors import ExportFailed
            from exporters.registry import exporter
            from tests.exporters.examples import assistant, pair
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            rows = (pair(chosen=assistant(f"{{n * 7919}} is the number " + "%d" % n**40)) for n in range(20_000))
            try:
                exporter({name!r}).write(rows, Path({str(out)!r}))
            except ExportFailed as error:
                print(error)
        """
        done = run(script)

        assert f"Could not write {out}/train." in done.stdout, done.stderr
        assert "File too large" in done.stdout
        assert "Nothing was left behind" in done.stdout
        assert done.stderr == ""
        assert nothing_is_left(out)

    def test_it_shows_a_full_disk_as_a_failed_export(self, out):
        full = HashedFile(Path("/dev/full"))
        full.write(b"row")

        with pytest.raises(ExportFailed, match="No space left on device") as error, reporting(out / "train.jsonl"):
            full.close()

        assert error.value.__cause__.errno == errno.ENOSPC

    def test_it_leaves_no_finished_folder_when_the_process_is_killed(self, out):
        script = f"""
            import os, signal
            from pathlib import Path
            from exporters.registry import exporter
            from tests.exporters.examples import PAIR
            def rows():
                yield PAIR
                os.kill(os.getpid(), signal.SIGKILL)
            exporter("jsonl").write(rows(), Path({str(out)!r}))
        """
        assert run(script).returncode == -9
        assert not out.exists()

        (left,) = out.parent.iterdir()
        assert left.name.endswith(".part")

        exporter("jsonl").write(PAIRS, out)

        assert (out / "train.jsonl").exists()
        assert list(out.parent.iterdir()) == [out]  # what the killed one left is cleared away

    def test_it_leaves_an_export_alone_that_is_still_under_way(self, out):
        def rows():
            yield PAIR
            exporter("jsonl").write(PAIRS, out)  # a second one, meanwhile, is quicker
            yield PAIR

        with pytest.raises(OutputNotEmpty):
            exporter("jsonl").write(rows(), out)

        assert list(out.parent.iterdir()) == [out]

    def test_it_names_a_folder_that_cannot_be_made(self, out):
        out.write_text("a file where a folder should be")

        with pytest.raises(ExportFailed, match=f"Could not write {out}: File exists"):
            exporter("jsonl").write(PAIRS, out / "below")


class TestPurity:
    def test_it_imports_nothing_of_ours_nor_web_nor_database(self):
        script = """
            import sys
            import exporters.registry
            unwanted = {"hitl", "webui", "flask", "sqlalchemy", "datasets", "trl", "torch"}
            print(sorted(unwanted & {name.split(".")[0] for name in sys.modules}))
        """
        assert run(script).stdout == "[]\n"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nothing_is_left(out):
    return list(out.parent.iterdir()) == []


def run(script):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, env=environment, timeout=120
    )
