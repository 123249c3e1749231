"""The short way for plain text says what the long way says, of whatever is stored."""

import random
import unicodedata
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson
import pyarrow.compute as pc
import pytest

from hitl.core.canonical import content_hash
from hitl.datasets.attempt import Attempt
from hitl.datasets.first_pass import _by_the_long_way, _decide
from hitl.datasets.gathering import Batch, Cause, Responses
from hitl.datasets.lone import SETTLED, lone_rows
from hitl.datasets.plan import Plan
from hitl.datasets.selection import Kind, Selection
from hitl.datasets.storage import Storage

KINDS: tuple[Kind, ...] = ("preference", "demonstration", "verdict")

# What could be taken for the end of a text, for white space, or for another spelling of the same.
SCRAPS = ["Yes", "yes ", " ", "\n", "\t", '"', "\\", "\\n", '"},{"role":"', '","content":"', "é", "e\u0301", "\u00a0"]
SCRAPS += ["\u3000", "\u2028", "\x7f", "😀", "好", "각", "\u1100\u1161", "0", "/", "</a>"]


class Maker(random.Random):
    """Makes what people and models may have said, and how somebody may have stored it."""

    def text(self) -> str:
        return "".join(self.choices([*SCRAPS, self.choice("\x00\x01\x1f")], k=self.randrange(6)))

    def message(self) -> dict[str, Any]:
        role, text = self.choices(["assistant", "user"], [9, 1])[0], self.text()
        odd = [
            {"content": text, "role": role},
            {"role": role, "content": text, "name": "kim"},
            {"role": role, "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
            {"role": "assistant", "content": "", "n": 1.0},
        ]
        return self.choice(odd) if self.random() < 0.1 else {"role": role, "content": text}

    def asked(self) -> dict[str, Any]:
        messages = [self.message() for _ in range(self.randrange(3))]
        if self.random() < 0.9:
            messages.append({"role": self.choice(["user", "developer"]), "content": self.text()})
        return {"messages": messages, "tools": [{"a": 1}] if self.random() < 0.1 else []}

    def stored(self, value: Any) -> bytes:
        """JSON as we spell it, or with blanks, or with more escapes."""
        way = self.randrange(20)
        said = orjson.dumps(value, option=orjson.OPT_INDENT_2 if way == 1 else 0)
        return said.replace(b"/", b"\\/").replace("é".encode(), b"\\u00e9") if way == 2 else said


def batch_of(kind: Kind, found: Iterable[tuple[bytes, bytes, bytes, str]], alike: int = 0) -> Batch:
    """One judgement about each of these inputs, with two answers each; but the first ones are about the same input."""
    learned, responses = [], Responses({}, {}, {}, {}, {}, {})
    causes, draws = {}, {}
    for number, (asked, said, other, may_train) in enumerate(found):
        response_id, identifier, revision_id = (UUID(int=(place << 40) + number).hex for place in (1, 2, 3))
        responses.outputs[response_id] = said
        responses.inputs[response_id] = asked
        responses.models[response_id] = f"model {number % 3}"
        responses.made_at[response_id] = f"2026-05-01 12:{number // 60:02}:{number % 60:02}"
        responses.may_train[response_id] = may_train
        responses.ties[response_id] = [bytes([number % 50] * 16)] if number % 2 else []
        causes[revision_id] = Cause(f"reviewer {number % 4}", UUID(int=5).hex)
        draws[response_id] = [(UUID(int=7 + n).hex, UUID(int=9).hex, 0.25, True) for n in range(number % 3)]
        input_hash = content_hash(["the same" if number < alike else number])
        outcome = ("a", "b", "a", "tie", "both_bad")[number % 5]
        by_kind = {
            "preference": (None, other, response_id, None, outcome, number % 2 or None, "correction", revision_id),
            "demonstration": (other, "correction", revision_id),
            "verdict": (number % 2, "reviewer", revision_id, None),
        }
        learned.append((input_hash, identifier, response_id, *by_kind[kind]))
    return Batch(sorted(learned, key=lambda row: row[:2]), responses, causes, draws, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_make_the_same_rows_and_figures_and_leave_out_the_same(kind):
    some = Maker(kind)
    found = []
    for _ in range(3_000):
        answer = some.message()
        other = answer if some.random() < 0.1 else some.message()
        may_train = some.choices(["yes", "no", "unknown"], [18, 1, 1])[0]
        found.append((some.stored(some.asked()), some.stored(answer), some.stored(other), may_train))
    batch = batch_of(kind, found, alike=10)

    attempt, by_the_long_way = attempt_of(kind), attempt_of(kind)
    rows, left_out = _decide(attempt, batch)
    _, expected, expected_left_out = _by_the_long_way(by_the_long_way, batch, ())
    by_the_long_way.figures.count_rows(expected, batch.responses)

    assert len(lone_rows(attempt.plan, batch).places) > 100
    assert rows.to_pylist() == expected.to_pylist()
    assert left_out == expected_left_out
    assert attempt.figures.as_json() == by_the_long_way.figures.as_json()


@pytest.mark.parametrize("kind", KINDS)
def test_plain_text_goes_the_short_way(kind):
    messages = [{"role": "system", "content": 'Be\n"kind".'}, {"role": "user", "content": "Où ?"}]
    asked = orjson.dumps({"messages": messages, "tools": []})
    answers = [orjson.dumps({"role": "assistant", "content": text}) for text in ("Là, C:\\bas", "Ici \t bas")]
    batch = batch_of(kind, [(asked, *answers, "yes")] * 2)

    assert list(lone_rows(attempt_of(kind).plan, batch).places) == [0, 1]


def test_a_batch_of_which_nothing_counts_makes_no_row():
    rows, left_out = _decide(attempt_of("preference"), batch_of("preference", []))

    assert (rows.num_rows, left_out) == (0, [])


def test_settled_letters_stay_as_they_are_beside_each_other():
    letters = [chr(n) for n in range(0x20, 0x110000) if not 0xD800 <= n < 0xE000]
    settled = set(filter(None, pc.filter(letters, pc.match_substring_regex(letters, f"[{SETTLED}]")).to_pylist()))
    second_parts = {
        chr(int(parts[-1], 16))
        for parts in (unicodedata.decomposition(letter).split() for letter in letters)
        if len(parts) == 2 and not parts[0].startswith("<")
    }

    assert not {letter for letter in settled if unicodedata.normalize("NFC", letter) != letter or letter.isspace()}
    assert not settled & second_parts
    assert not any(unicodedata.combining(letter) for letter in settled)


def attempt_of(kind: Kind) -> Attempt:
    plan = Plan(UUID(int=1), UUID(int=2), kind, Selection(), "unknown")
    return Attempt(Storage("/nowhere"), "datasets", plan)
