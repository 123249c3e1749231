"""docs/formats.md has every format, and its rows are the rows that are written."""

import ast
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from exporters.registry import EXPORTERS, exporter
from tests.exporters.examples import OF_KIND, assistant, demonstration, pair, user, verdict

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
EXPORTERS_FOLDER = Path(__file__).parents[2] / "exporters"
PARTS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE))
PLAIN = {"prompt": [user("Who?")], "tools": None}
ONE_OF_KIND = {
    "preference": pair(**PLAIN, chosen=assistant("John Smith."), rejected=assistant("I do not know.")),
    "demonstration": demonstration(**PLAIN, completion=assistant("John Smith.")),
    "verdict": verdict(**PLAIN, completion=assistant("John Smith.")),
}


class TestReadme:
    def test_it_names_every_reason_for_which_a_row_is_refused(self):
        calls = [
            node
            for path in EXPORTERS_FOLDER.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RowRefused"
        ]
        codes = {ast.literal_eval(call.args[1]) for call in calls}

        assert len(codes) > 20
        assert {code for code in codes if f"`{code}`" not in (EXPORTERS_FOLDER / "README.md").read_text()} == set()


class TestFormatsPage:
    def test_it_has_every_format_and_no_other(self):
        assert PARTS.keys() == EXPORTERS.keys()

    @pytest.mark.parametrize("name", EXPORTERS)
    def test_it_says_which_kinds_a_format_takes(self, name):
        taken = re.search(r"^Takes ([^.]+)\.", PARTS[name].strip()).group(1)

        assert {word for word in re.findall(r"\w+", taken) if word in OF_KIND} == EXPORTERS[name].kind

    @pytest.mark.parametrize("name", EXPORTERS)
    def test_it_shows_how_to_use_it(self, name):
        assert re.search(r"```(sh|python|yaml)\n", PARTS[name])

    @pytest.mark.parametrize("name", EXPORTERS)
    def test_its_rows_have_the_columns_that_are_written(self, name, tmp_path):
        shown = [json.loads(line) for line in re.search(r"```json\n(.*?)```", PARTS[name], re.DOTALL)[1].splitlines()]

        written = [columns(name, kind, tmp_path / kind) for kind in EXPORTERS[name].kind]
        assert len(shown) == len(written)
        for row in shown:
            optional = {"tools"} if "tools" in row else set()
            assert any(row.keys() - optional == one - optional for one in written), row

    @pytest.mark.parametrize("name", EXPORTERS)
    def test_the_list_of_formats_links_to_it(self, name):
        assert f"[`{name}`](#{name})" in PAGE.read_text()


def columns(name, kind, out):
    (file,) = exporter(name).write([ONE_OF_KIND[kind]], out).files
    path = out / file.name
    if path.suffix == ".parquet":
        return set(pq.read_schema(path).names)
    return set(json.loads(path.read_text()))
