"""Whatever valid rows are: written and read back, they are the same."""

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exporters.arguments import survives_loading
from exporters.errors import NothingToExport
from exporters.registry import EXPORTERS, exporter
from exporters.rows import SPLITS, Demonstration, PreferencePair, Verdict
from tests.exporters.examples import call, pair
from tests.exporters.readers import load

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
integers = st.integers(-(2**63), 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | integers | numbers | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(text, json_values, max_size=3)
calls = st.fixed_dictionaries(
    {
        "id": text,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": text, "arguments": arguments.map(json.dumps)}),
    }
)
parts = st.fixed_dictionaries({"type": st.just("text"), "text": text})
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.none() | text | st.lists(parts)},
    optional={"name": text, "tool_calls": st.lists(calls, max_size=2), "tool_call_id": text, "refusal": text},
)
tools = st.none() | st.lists(st.fixed_dictionaries({"type": st.just("function"), "function": arguments}), max_size=2)
common = {"tools": tools, "split": st.sampled_from(SPLITS), "id": text, "origin": text}
pairs = st.builds(
    PreferencePair,
    prompt=st.lists(messages, max_size=4),
    chosen=messages,
    rejected=messages,
    agreement=st.floats(0, 1),
    margin=st.none() | numbers,
    **common,
)
demonstrations = st.builds(Demonstration, prompt=st.lists(messages, max_size=4), completion=messages, **common)
verdicts = st.builds(
    Verdict,
    prompt=st.lists(messages, max_size=4),
    completion=messages,
    is_good=st.booleans(),
    agreement=st.floats(0, 1),
    **common,
)
examples = st.one_of(st.lists(rows, min_size=1, max_size=6) for rows in (pairs, demonstrations, verdicts))


class TestRoundTrip:
    @settings(max_examples=60, deadline=None)
    @given(examples)
    def test_it_reads_jsonl_back_as_it_was(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            exporter("jsonl").write(rows, out)
            lines = [line for split in SPLITS for line in lines_of(out / f"{split}.jsonl")]

        assert [type(rows[0])(**json.loads(line)) for line in lines] == by_split(rows)

    @settings(max_examples=60, deadline=None)
    @given(examples)
    def test_it_reads_parquet_back_as_it_was(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            exporter("parquet").write(rows, out)
            files = [out / f"{split}.parquet" for split in SPLITS]
            read = [row for file in files if file.exists() for row in pq.read_table(file).to_pylist()]

        texts = {"prompt", "chosen", "rejected", "completion", "tools"} & set(asdict(rows[0]))
        for row in read:
            row.update({name: json.loads(row[name]) for name in texts if row[name] is not None})
        assert [type(rows[0])(**row) for row in read] == by_split(rows)

    @settings(max_examples=60, deadline=None)
    @given(examples, st.sampled_from(sorted(EXPORTERS)))
    def test_every_format_writes_each_row_as_it_made_it_or_names_why_not(self, rows, name):
        """Rows with one id each; a format's row is what `row` returns, and no file holds more or less."""
        known = exporter(name)
        assume(rows[0].kind in known.kind)
        rows = [replace(row, id=f"{n:064x}") for n, row in enumerate(rows)]
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            try:
                exported = known.write(rows, out)
            except NothingToExport:
                return  # all were refused
            read = [row for file in exported.files for row in rows_of(out / file.name)]

        refused = {row.id for row in exported.refused}
        made = [known.row(row) for row in by_split(rows) if row.id not in refused]
        assert all(row.code and row.reason for row in exported.refused)
        assert sum(exported.counts.values()) + len(refused) == len(rows)
        assert in_any_order(read) == in_any_order(made)

    @settings(max_examples=25, deadline=None)
    @given(st.lists(arguments, min_size=1, max_size=4))
    def test_it_hands_trl_the_tool_arguments_unchanged_or_not_at_all(self, given):
        rows = [pair(id=str(n), chosen=call("f", json.dumps(given[n]))) for n in range(len(given))]
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            exported = exporter("trl-preference").write([pair(id="kept"), *rows], out)
            loaded = list(load(out, Path(folder) / "cache")["train"])[1:]

        read = {row["id"]: row["chosen"][0]["tool_calls"][0]["function"]["arguments"] for row in loaded}
        refused = {row.id for row in exported.refused}
        assert exported.refused_by_code.keys() <= {"number_would_change"}
        assert read == {row.id: given[int(row.id)] for row in rows if row.id not in refused}
        assert refused == {row.id for row in rows if not all(map(survives_loading, floats(given[int(row.id)])))}


def rows_of(path):
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in lines_of(path)]


def in_any_order(rows):
    """The rows as text, sorted; without the columns that Parquet fills with null where a row has none."""
    present = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return sorted(json.dumps(row, sort_keys=True) for row in present)


def floats(value):
    if isinstance(value, float):
        return [value]
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [number for member in members for number in floats(member)]


def lines_of(path):
    return path.read_text().split("\n")[:-1] if path.exists() else []


def by_split(rows):
    return sorted(rows, key=lambda row: SPLITS.index(row.split))
