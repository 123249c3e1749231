import csv
import gzip
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from hitl.capture.errors import FileUnreadable
from hitl.capture.files import RejectedLines, TableSource, Tally, capture_lines
from hitl.capture.mapping import SAMPLE, MappingUnclear, mapping_of
from hitl.capture.models import Feedback, Response
from hitl.capture.preview import preview
from hitl.capture.tables import first_rows, is_table, open_table
from tests.hitl import factories
from tests.product import KEYS

MAX_BYTES = 4 * 1024 * 1024


class TestCsv:
    def test_columns_are_guessed_and_rows_stored(self, run, write):
        path = write("id,Question,Answer,Model,rating\n7,Where is it?,On its way.,desk-1,4\n8,When?,Soon.,desk-1,\n")

        tally = run(path)

        assert (tally.created, tally.rejected) == (2, 0)
        first, second = run.stored()
        assert (first.client_id, first.model) == ("7", "desk-1")
        assert first.input["messages"] == [{"role": "user", "content": "Where is it?"}]
        assert first.output == {"role": "assistant", "content": "On its way."}
        assert [(one.response_id, one.kind, one.value) for one in run.feedback()] == [(first.id, "stars", 4)]
        assert second.client_id == "8"

    def test_stars_that_are_none_refuse_their_row(self, run, write):
        """Nothing in the first rows said so, and what an end user said must not get lost in silence."""
        tally = run(write("prompt,response,stars\nA?,a,4\nB?,b,5\nC?,c,9\nD?,d,0\n"))

        assert (tally.created, tally.rejected) == (2, 2)
        assert [rejected["param"] for rejected in run.rejected()] == ["/stars", "/stars"]
        assert sorted(one.value for one in run.feedback()) == [4, 5]

    def test_a_second_run_finds_all_in_already_with_and_without_ids(self, run, write):
        path = write("prompt,response\nA?,a\nA?,a\nB?,b\n")
        run(path)

        again = run(path)

        assert (again.created, again.duplicates) == (0, 3)

    def test_formulas_are_kept_word_for_word(self, run, write):
        path = write('prompt,response\n"=HYPERLINK(""http://x"",""y"")",@SUM(A1)\n')
        run(path)

        (stored,) = run.stored()
        assert stored.input["messages"][0]["content"] == '=HYPERLINK("http://x","y")'
        assert stored.output["content"] == "@SUM(A1)"

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_delimiters_and_byte_order_marks_are_recognised(self, run, write, delimiter, encoding):
        text = io.StringIO()
        rows = [["prompt", "response"], ["Où est-il, ça; dis\tou | non?", "Là.\nBientôt."]]
        csv.writer(text, delimiter=delimiter).writerows(rows)
        run(write(text.getvalue().encode(encoding)))

        (stored,) = run.stored()
        assert [stored.input["messages"][0]["content"], stored.output["content"]] == rows[1]

    def test_gzip_is_recognised(self, run, write):
        assert run(write(gzip.compress(b"prompt,response\nA?,a\n"), "t.csv.gz")).created == 1

    def test_bad_rows_are_named_and_harm_no_other(self, run, write):
        big = "x" * (MAX_BYTES // 2)
        path = write(
            b"prompt,response,turn\n"
            b"one,1,0\n"
            b"too,many,cells,here\n"
            b"few\n"
            b"nul\0,a,0\n"
            b"latin \xe9,a,0\n"
            b'"stray" quote,a,0\n'
            b"\n"
            b",no prompt,0\n"
            b"word,a,first\n" + f"{big},a,0\n".encode() + b"last,2,1\n"
        )

        tally = run(path)

        assert [row.output["content"] for row in run.stored()] == ["1", "2"]
        assert tally.rejected == 8
        reasons = {line["line"]: line["reason"] for line in run.rejected()}
        assert list(reasons) == [3, 4, 5, 6, 7, 9, 10, 11]
        assert "4 cells, and the header has 3" in reasons[3]
        assert "NUL" in reasons[5]
        assert "prompt is not UTF-8" in reasons[6]
        assert "not CSV" in reasons[7]
        assert "prompt is empty" in reasons[9]
        assert "turn is not a whole number" in reasons[10]
        assert "characters" in reasons[11]

    @pytest.mark.parametrize("encoding", ["no-such", "rot13", "base64"])
    def test_an_encoding_that_is_none_of_texts_is_refused(self, run, write, encoding):
        with pytest.raises(FileUnreadable, match=f"no encoding {encoding}"):
            run(write("prompt,response\nA?,a\n"), encoding=encoding)

    def test_another_encoding_can_be_said(self, run, write):
        run(write("prompt,response\nété?,là\n".encode("cp1252")), encoding="cp1252")

        assert run.stored()[0].output["content"] == "là"

    def test_a_quote_that_is_never_closed_stops_with_the_row(self, run, write):
        path = write('prompt,response\nA?,a\n"B?,b\nC?,c\n')

        with pytest.raises(FileUnreadable, match=r"Row 3 .* never closed"):
            run(path)
        assert len(run.stored()) == 1

    def test_neither_does_it_fill_the_memory(self, run, write):
        path = write("prompt,response\nA?,a\n" + '"' + "B?,b\n" * (MAX_BYTES // 4))

        with pytest.raises(FileUnreadable, match=r"longer than|never closed"):
            run(path)
        assert len(run.stored()) == 1

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("prompt,prompt,response\nA,b,c\n", "more than one column prompt"),
            ("", "no header"),
            ("\n\n", "no header"),
            ("a,b\n1,2\n", "looks like the input"),
            ("prompt,b\n1,2\n", "looks like the output"),
            (b"\x1f\x8b123", "header"),
        ],
    )
    def test_a_table_that_makes_no_sense_is_refused(self, run, write, content, told):
        with pytest.raises(FileUnreadable, match=told):
            run(write(content))

    def test_a_table_without_rows_is_named_empty(self, run, write):
        with pytest.raises(FileUnreadable, match="is empty"):
            run(write("prompt,response\n"))


class TestParquet:
    def test_nested_messages_are_stored_without_the_keys_that_arrow_adds(self, run, parquet):
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        conversation = [
            {"role": "user", "content": "Where?", "tool_calls": None, "tool_call_id": None},
            {"role": "assistant", "content": None, "tool_calls": [call], "tool_call_id": None},
            {"role": "tool", "content": "there", "tool_calls": None, "tool_call_id": "c"},
            {"role": "assistant", "content": "There.", "tool_calls": None, "tool_call_id": None},
        ]
        run(parquet({"messages": [conversation]}))

        (stored,) = run.stored()
        assert stored.input["messages"][1] == {"role": "assistant", "content": None, "tool_calls": [call]}
        assert stored.output == {"role": "assistant", "content": "There."}

    def test_dictionaries_times_and_numbers_are_read(self, run, parquet):
        run(
            parquet(
                {
                    "prompt": pa.array(["A?", "A?"]).dictionary_encode(),
                    "response": pa.array(["a", "b"], pa.large_string()),
                    "latency_seconds": [Decimal("1.25"), None],
                    "timestamp": pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns", "UTC")),
                    "liked": [True, False],
                }
            )
        )

        first, second = run.stored()
        assert (first.latency_seconds, second.latency_seconds) == (1.25, None)
        assert first.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert [one.value for one in run.feedback()] == [True, False]

    def test_a_time_without_zone_is_refused_unless_it_is_said_to_be_utc(self, run, parquet):
        path = parquet({"prompt": ["A?"], "response": ["a"], "created_at": [datetime(2026, 1, 2, 3, 4)]})  # noqa: DTZ001

        assert run(path).rejected == 1
        assert "zone" in run.rejected()[0]["reason"]
        run(path, assume_utc=True)
        assert run.stored()[0].created_at == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)

    def test_wrong_types_are_refused_by_row(self, run, parquet):
        path = parquet({"prompt": ["A?", "B?"], "response": [b"a", b"\xff"], "input_tokens": [1.0, 2.5]})

        assert (run(path).created, run(path).rejected) == (1, 1)
        assert [line["line"] for line in run.rejected()] == [2]

    def test_a_truncated_file_is_named(self, run, parquet):
        path = parquet({"prompt": ["A?"] * 9, "response": ["a"] * 9})
        path.write_bytes(path.read_bytes()[:-20])

        with pytest.raises(FileUnreadable, match="not a Parquet file, or is damaged"):
            run(path)

    def test_damaged_pages_are_named_with_the_row(self, run, parquet):
        path = parquet({"prompt": [f"{n}?" for n in range(9999)], "response": ["a"] * 9999})
        damaged = bytearray(path.read_bytes())
        damaged[10:5000] = b"\xff" * 4990
        path.write_bytes(bytes(damaged))

        with pytest.raises(FileUnreadable, match="damaged"):
            run(path)

    def test_a_small_file_with_a_large_text_many_times_stays_small_in_memory(self, parquet):
        large = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), pa.array(["x" * 900_000]))
        path = parquet({"prompt": ["A?"] * 2_000, "response": large})
        assert path.stat().st_size < 2_000_000
        before = pa.total_allocated_bytes()

        with open_table(str(path), max_row_bytes=MAX_BYTES) as table:
            count = 0
            for _row in table.rows():
                count += 1
                assert pa.total_allocated_bytes() - before < 100_000_000

        assert count == 2_000


class TestMapping:
    def test_what_is_said_beats_what_is_guessed(self, read):
        table, sample = read("prompt,question,text,answer,feedback\np,q,t,a,great work\n")

        mapping = mapping_of(table.columns, sample, {"input": "text", "output": "question"})

        assert mapping.columns == {"input": "text", "output": "question"}
        assert "not stored: prompt, answer, feedback" in mapping.in_words(table.columns)

    @pytest.mark.parametrize("said", [{"mood": "prompt"}, {"input": "nothing"}])
    def test_fields_and_columns_that_do_not_exist_are_refused(self, read, said):
        table, sample = read("prompt,answer\np,a\n")

        with pytest.raises(MappingUnclear, match="There is no"):
            mapping_of(table.columns, sample, said)

    def test_it_is_shown_with_the_first_rows(self, read):
        table, sample = read('id,prompt,answer\n1,"[{""role"": ""user"", ""content"": ""A?""}]",a\n2,words,b\n')
        mapping = mapping_of(table.columns, sample[:1], {})

        shown = preview(table, mapping, sample)

        assert "input ← prompt (messages)" in shown
        assert '"output":{"role":"assistant","content":"a"}' in shown
        assert "refused: The cell in prompt is not JSON" in shown

    def test_what_the_file_says_cannot_command_the_terminal(self, read):
        table, sample = read('prompt,answer,metadata,\x1b]0;x\x07\n\x9b2Ja,\u202eb,"{""\x9b2J"": 1}",c\n')
        mapping = mapping_of(table.columns, sample, {})

        shown = preview(table, mapping, sample)

        assert "not stored: \\x1b]0;x\\x07" in shown
        assert all(line.isprintable() for line in shown.splitlines())
        with pytest.raises(MappingUnclear) as refused:
            mapping_of(table.columns, sample, {"input": "nothing"})
        assert refused.value.message.isprintable()

    def test_tables_are_known_by_name_or_first_bytes(self, tmp_path, parquet):
        odd = tmp_path / "odd.bin"
        odd.write_bytes(parquet({"prompt": ["A?"], "response": ["a"]}).read_bytes())

        assert is_table(str(odd))
        assert is_table("x.CSV")
        assert not is_table("x.jsonl")

    @pytest.fixture
    def read(self, write):
        def read(text: str) -> Any:
            with open_table(str(write(text)), max_row_bytes=MAX_BYTES) as table:
                return table, first_rows(table, SAMPLE)

        return read


class Run:
    """Captures tables into a project of its own."""

    def __init__(self, database: Any, project_id: Any, rejected_path: Any) -> None:
        self.database, self.project_id, self.path = database, project_id, rejected_path

    def __call__(self, path: Any, *, encoding: str | None = None, assume_utc: bool = False) -> Tally:
        self.path.unlink(missing_ok=True)
        tally = Tally()
        with open_table(str(path), max_row_bytes=MAX_BYTES, encoding=encoding) as table:
            sample = first_rows(table, 2)
        mapping = mapping_of(table.columns, sample, {}, assume_utc=assume_utc)
        with (
            open_table(str(path), max_row_bytes=MAX_BYTES, encoding=encoding) as table,
            RejectedLines(self.path) as rejected,
        ):
            source = TableSource(table, mapping, MAX_BYTES)
            capture_lines(self.database, self.project_id, KEYS, source, rejected, tally, lambda _: None)
        return tally

    def stored(self) -> list[Response]:
        with self.database.reading() as db:
            found = select(Response).where(Response.project_id == self.project_id).order_by(Response.id)
            return list(db.scalars(found))

    def feedback(self) -> list[Feedback]:
        with self.database.reading() as db:
            found = select(Feedback).where(Feedback.project_id == self.project_id).order_by(Feedback.response_id)
            return list(db.scalars(found))

    def rejected(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.path.read_bytes().splitlines()]


@pytest.fixture
def run(shared_database, committed, tmp_path):
    project = factories.Project()
    committed.commit()
    return Run(shared_database, project.id, tmp_path / "rejected.jsonl")


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes, name: str = "table.csv") -> Any:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def parquet(tmp_path):
    def parquet(columns: dict[str, Any]) -> Any:
        path = tmp_path / "table.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return parquet
