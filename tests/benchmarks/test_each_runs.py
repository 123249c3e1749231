"""Benchmarks are no part of continuous integration; that each still runs and prints its table is."""

import subprocess
import sys

import pytest

from benchmarks.all import names
from benchmarks.bench import Bench, as_text
from benchmarks.table import in_markdown, write_tables
from benchmarks.timing import percentile


@pytest.mark.parametrize("name", names())
@pytest.mark.timeout(180)
def test_it_runs_at_its_smallest_and_prints_its_table(name, tmp_path):
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--smoke", "--out", str(out)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "commit" in done.stdout
    assert out.exists()


class TestPercentile:
    @pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.99, 10), (1, 10), (0.1, 1)])
    def test_it_is_the_smallest_value_that_so_many_do_not_exceed(self, share, value):
        assert percentile(range(1, 11), share) == value


class TestAsText:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(None, "–"), (0.12345, "0.123"), (1234567, "1,234,567"), (1234.5, "1,234"), (float("nan"), "–"), ("a", "a")],
    )
    def test_it_writes_figures_for_people(self, value, text):
        assert as_text(value) == text


class TestTables:
    @pytest.fixture
    def result(self):
        bench = Bench("claim", "Claiming", "full")
        bench.table("Below HTTP")
        bench.row(database="sqlite", **{"p50 ms": 0.5})
        bench.row(database="postgresql", floor=2)
        bench.goal("p50", 0.5, unit="ms", at_most=0.4)
        bench.goal("ratio", None, unit="×", at_least=3)
        return bench.as_json()

    def test_they_show_each_column_and_each_goal(self, result):
        shown = in_markdown(result)

        assert "| database | p50 ms | floor |" in shown
        assert "| postgresql | – | 2 |" in shown
        assert "- p50: 0.5 ms (at most 0.4): MISSED" in shown
        assert "- ratio: – × (at least 3): not measured" in shown

    def test_they_say_what_was_not_measured(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("# Figures\n<!-- figures: claim -->\nold\n<!-- end: claim -->\nend\n")

        write_tables(page, tmp_path)

        assert page.read_text() == "# Figures\n<!-- figures: claim -->\nNot measured yet.\n<!-- end: claim -->\nend\n"
