"""The short way for plain rows writes what the long way does."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters import batches
from exporters.batches import JSON_COLUMNS, columns_of
from exporters.errors import NothingToExport
from exporters.plain import ensure_plain
from exporters.registry import EXPORTERS, exporter
from exporters.rows import SPLITS, Demonstration, PreferencePair, Verdict
from tests.exporters.examples import OF_KIND, assistant, call, pair, user
from tests.exporters.test_round_trip import messages, numbers, tools

EVERY = [(name, kind) for name in EXPORTERS for kind in sorted(EXPORTERS[name].kind)]
SHORT = [(name, kind) for name, kind in EVERY if exporter(name).line(kind)] + [
    ("parquet", "preference"),
    ("parquet", "verdict"),
    ("huggingface", "preference"),
    ("huggingface", "demonstration"),
]

# White space, what JSON escapes, what Unicode calls a space, and what no format takes.
words = st.text(st.sampled_from('aé🙂 \n\t\v\x1c\x1f\x7f\x85\xa0\u2028\u3000\ufeff"\\/{}[],:\0'), max_size=6) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
plain = st.fixed_dictionaries({"role": roles, "content": words})
answers = st.fixed_dictionaries({"role": st.just("assistant"), "content": words}) | plain | messages
prompts = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": words}), min_size=1, max_size=3) | (
    st.lists(plain | messages, max_size=4)
)
common = {
    "tools": st.none() | tools,
    "split": st.sampled_from([*SPLITS, "other"]),
    "id": words,
    "origin": st.just("correction") | words,
}
agreement = st.sampled_from([1.0, 0.5, 2 / 3]) | numbers
rows = st.one_of(
    st.lists(kind, min_size=1, max_size=8)
    for kind in (
        st.builds(
            PreferencePair,
            prompt=prompts,
            chosen=answers,
            rejected=answers,
            agreement=agreement,
            margin=st.none() | numbers | st.just(float("nan")),
            **common,
        ),
        st.builds(Demonstration, prompt=prompts, completion=answers, **common),
        st.builds(Verdict, prompt=prompts, completion=answers, is_good=st.booleans(), agreement=agreement, **common),
    )
)


class TestWriteBatches:
    @settings(max_examples=300, deadline=None)
    @given(rows)
    def test_it_makes_of_each_plain_row_what_the_long_way_makes(self, examples):
        for name in (name for name, kind in SHORT if kind == examples[0].kind):
            made = exporter(name).made(as_batch(examples), examples[0].kind)
            plain = [one for one, is_plain in zip(examples, made.is_plain.to_pylist(), strict=True) if is_plain]
            assert made.rows.to_pylist() == [as_row(name, one) for one in plain], name

    @settings(max_examples=5, deadline=None)
    @given(rows, st.integers(1, 5), st.sampled_from(["jsonl", "parquet"]))
    def test_it_writes_plain_and_other_rows_into_the_files_of_the_long_way(self, examples, size, name):
        assert in_batches(name, examples, size) == one_by_one(name, examples)

    @pytest.mark.parametrize(("name", "kind"), EVERY)
    def test_it_writes_real_rows_in_every_format_as_the_long_way_does(self, name, kind):
        assert in_batches(name, OF_KIND[kind], 2) == one_by_one(name, OF_KIND[kind])

    @pytest.mark.parametrize(("name", "kind"), SHORT)
    def test_it_never_parses_a_plain_row(self, name, kind, monkeypatch):
        asked = [user('“Why?” "\\ \n'), assistant('{"role":"assistant","content":"},{\\"'), user("}]"), assistant("")]
        plain = [replace(OF_KIND[kind][0], prompt=[*asked, user("So?")])] * 3
        expected = one_by_one(name, plain)
        monkeypatch.setattr(batches, "examples_of", None)
        monkeypatch.setattr(EXPORTERS[name], "row", None)

        assert in_batches(name, plain, 2) == expected

    @pytest.mark.parametrize("name", ["trl-preference", "openai-preference", "huggingface"])
    def test_it_refuses_answers_that_differ_in_white_space_only(self, name):
        same = [pair(chosen=assistant("Yes."), rejected=assistant(text)) for text in (" Yes.", "Yes.\n\u3000", "Yes.")]

        assert in_batches(name, [pair(), *same], 4)["refused"] == {"equal_sides": 3}

    def test_it_keeps_the_order_of_plain_and_other_rows(self):
        mixed = [
            replace(pair(), id=str(n), split=SPLITS[n % 3], chosen=call("f", "{}") if n % 2 else assistant(str(n)))
            for n in range(20)
        ]

        assert in_batches("jsonl", mixed, 7) == one_by_one("jsonl", mixed)


def as_row(name, example):
    row = exporter(name).row(example)
    ensure_plain(row)
    return row if exporter(name).suffix == "parquet" else orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE).decode()


def in_batches(name, examples, size):
    batches = [as_batch(examples[start : start + size]) for start in range(0, len(examples), size)]
    return outcome(lambda out: exporter(name).write_batches(batches, examples[0].kind, out))


def one_by_one(name, examples):
    return outcome(lambda out: exporter(name).write(examples, out))


def outcome(write):
    """What lies in the folder: lines byte for byte, and the rows of Parquet files, for their row groups may differ."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        try:
            exported = write(out)
        except NothingToExport as error:
            return str(error)
        held = {
            file.relative_to(out).as_posix(): pq.read_table(file).to_pylist()
            if file.suffix == ".parquet"
            else file.read_bytes()
            for file in out.rglob("*.*")
            if file.suffix not in (".md", "")
        }
        manifest = orjson.loads(held.pop("manifest.json"))
        if any(name.endswith(".parquet") for name in held):
            manifest.pop("files")
        return {"held": held, "manifest": manifest, "refused": dict(exported.refused_by_code)}


def as_batch(examples):
    """Rows as they lie in a version's Parquet file."""
    kind = examples[0].kind
    columns = {name: [asdict(one)[name] for one in examples] for name in columns_of(kind)}
    texts = {
        name: [None if value is None else orjson.dumps(value).decode() for value in values]
        if name in JSON_COLUMNS
        else values
        for name, values in columns.items()
    }
    types = {"agreement": pa.float64(), "margin": pa.float64(), "is_good": pa.bool_()}
    return pa.record_batch([pa.array(texts[name], types.get(name, pa.string())) for name in texts], names=[*texts])
