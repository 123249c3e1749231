"""The short way for what most inputs are: of plain text, with one judgement about it. Rows are made in columns.

Patterns, matched by Arrow, tell texts that are spelled as orjson spells them: {"role":"…","content":"…"}. Canonical
JSON escapes alike and has the two members the other way round, so it is spliced from these texts, and nothing is
parsed. All other inputs go the long way, by `pairs.py`, `demonstrations.py` and `verdicts.py`. Both make the same rows,
which a property test holds them to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import compress, repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from exporters.batches import INK, message
from hitl.datasets.gathering import Batch, chance, named_by
from hitl.datasets.plan import Plan
from hitl.datasets.reading import Plain
from hitl.datasets.rows import array_of, gathered_schema, id_and_hashes
from hitl.datasets.sides import Side, are_same

# One character of a JSON text. Rare escapes, of six characters, are left to the long way: so each stands for one.
_UNIT = r'(?:[^"\\\x00-\x1f]|\\["\\bfnrt])'
_BEFORE_LAST = message("(?:system|developer|user|assistant)", f"{_UNIT}*")
_LAST = message("(?:system|developer|user)", f"{_UNIT}*")
_INPUT = rf'\A\{{"messages":\[(?:{_BEFORE_LAST},)*{_LAST}\],"tools":\[\]\}}\z'
_ANSWER = rf"\A{message('assistant', f'{_UNIT}*{INK}{_UNIT}*')}\z"
# Letters that Unicode's normal form C leaves as they are beside each other, and so does folding: where two first words
# of them differ, so do the answers. Latin, Greek, Cyrillic, kana, Han, Hangul syllables; a test goes through them.
SETTLED = r"!#-\[\]-~\x{a1}-\x{2ff}\x{391}-\x{3ce}\x{400}-\x{482}\x{48a}-\x{52f}\x{3041}-\x{3096}\x{30a1}-\x{30fa}"
SETTLED += r"\x{4e00}-\x{9fff}\x{ac00}-\x{d7a3}"
_BLANK = r"(?: |\\[nt])"
_FIRST_WORD = rf'\A\{{"role":"assistant","content":"{_BLANK}*(?P<word>[{SETTLED}]+){_BLANK}'

_BEFORE_PROMPT, _AFTER_PROMPT = len(b'{"messages":'), len(b',"tools":[]}')
_BEFORE_ROLE, _AFTER_CONTENT = len(b'[{"role":"'), len(b'"}]')
_BEFORE_ANSWER, _AFTER_ANSWER = len(b'{"role":"assistant","content":"'), len(b'"}')
_BETWEEN_MESSAGES, _BETWEEN_MEMBERS = b'"},{"role":"', b'","content":"'


@dataclass(frozen=True, slots=True)
class LoneRows:
    """Rows of inputs about which there is one judgement, in columns."""

    places: Sequence[int]  # of what was learned, in the batch
    found: Sequence[Plain]  # what was learned
    table: pa.Table  # as `gathered_schema` has it
    lengths: dict[str, pa.Array]  # of each side, in Unicode code points


def lone_rows(plan: Plan, batch: Batch) -> LoneRows:
    """Return the rows of the inputs of a batch that are fit for the short way."""
    places = list(_candidates(plan, batch))
    found = [batch.rows[place] for place in places]
    inputs = [batch.responses.inputs[row[2]] or b"" for row in found]
    sides = _sides(plan, batch, found)
    are_plain = _are_plain(inputs, sides)
    places, found = list(compress(places, are_plain)), list(compress(found, are_plain))
    inputs = list(compress(inputs, are_plain))
    sides = {name: list(compress(side, are_plain)) for name, side in sides.items()}
    columns = {**_content(plan, inputs, sides, found), **_lineage(plan, batch, found)}
    columns["origin"] = [row[_ORIGIN[plan.kind]] for row in found]
    columns["agreement"] = [1.0] * len(found)
    columns["margin"] = [row[8] if plan.kind == "preference" else None for row in found]
    columns["input_hash"] = [row[0] for row in found]
    schema = gathered_schema(plan.kind)
    arrays = [array_of(field, columns[field.name]) for field in schema]
    table = pa.Table.from_arrays(arrays, schema=schema)
    lengths = {name: _lengths(table.column(name)) for name in sides}
    return LoneRows(places, found, table, lengths)


# Where what was learned has its origin and its cause, by kind.
_ORIGIN = {"preference": 9, "demonstration": 4, "verdict": 4}
_CAUSE = {"preference": 10, "demonstration": 5, "verdict": 5}
# Where it has what a person wrote; none there: it is a response's.
_OWN_TEXTS: dict[str, tuple[int, ...]] = {"preference": (4, 6), "demonstration": (3,), "verdict": ()}


def _candidates(plan: Plan, batch: Batch) -> Iterator[int]:
    """Yield the places of what is alone about its input, decides something and may be trained on."""
    hashes = [row[0] for row in batch.rows]
    triples = zip([None, *hashes], hashes, [*hashes[1:], None], strict=False)  # with its neighbours
    are_alone = [one != here != other for one, here, other in triples]
    refusing = {said for said in set(batch.responses.may_train.values()) if plan.why_blocked((said,)) is not None}
    refused = {one for one, said in batch.responses.may_train.items() if said in refusing} if refusing else set()
    for place in compress(range(len(hashes)), are_alone):
        row = batch.rows[place]
        if plan.kind == "preference" and row[7] not in ("a", "b"):
            continue
        if refused and not refused.isdisjoint(named_by(plan.kind, row)):
            continue
        if plan.why_text_blocked(*(row[at] for at in _OWN_TEXTS[plan.kind])) is None:
            yield place


def _sides(plan: Plan, batch: Batch, found: Sequence[Plain]) -> dict[str, list[bytes]]:
    outputs = batch.responses.outputs
    match plan.kind:
        case "preference":
            a = [outputs[row[3]] if row[4] is None else row[4] for row in found]
            b = [outputs[row[5]] if row[6] is None else row[6] for row in found]
            is_a = [row[7] == "a" for row in found]
            return {
                "chosen": [one if is_one else other for one, other, is_one in zip(a, b, is_a, strict=True)],
                "rejected": [other if is_one else one for one, other, is_one in zip(a, b, is_a, strict=True)],
            }
        case "demonstration":
            return {"completion": [outputs[row[2]] if row[3] is None else row[3] for row in found]}
        case "verdict":
            return {"completion": [outputs[row[2]] for row in found]}


def _are_plain(inputs: Sequence[bytes], sides: dict[str, list[bytes]]) -> list[bool]:
    """Say of each row whether its texts are plain, and its two sides different."""
    texts = {name: pa.array(side, pa.large_string()) for name, side in sides.items()}
    checks = [pc.match_substring_regex(pa.array(inputs, pa.large_string()), _INPUT)]
    checks += [pc.match_substring_regex(side, _ANSWER) for side in texts.values()]
    are_plain: list[bool] = pc.fill_null(reduce(pc.and_, checks), False).to_pylist()
    if len(texts) == 1:
        return are_plain
    words = [pc.struct_field(pc.extract_regex(side, _FIRST_WORD), "word") for side in texts.values()]
    differ = pc.fill_null(pc.not_equal(*words), False).to_pylist()
    return [
        is_plain and (is_other or not are_same(Side(one), Side(other)))
        for is_plain, is_other, one, other in zip(are_plain, differ, *sides.values(), strict=True)
    ]


def _content(
    plan: Plan, inputs: list[bytes], sides: dict[str, list[bytes]], found: Sequence[Plain]
) -> dict[str, Sequence[Any]]:
    prompts = [text[_BEFORE_PROMPT:-_AFTER_PROMPT] for text in inputs]
    says = [b"true" if row[3] else b"false" for row in found] if plan.kind == "verdict" else None
    named = [id_and_hashes(members) for members in _canonical(plan, prompts, sides, says)]
    return {
        "id": [identifier for identifier, _ in named],
        "hashes": [hashes for _, hashes in named],
        "prompt": prompts,
        **sides,
        "is_good": [bool(row[3]) for row in found] if plan.kind == "verdict" else [],
        "tools": [None] * len(found),
    }


def _canonical(
    plan: Plan, prompts: list[bytes], sides: dict[str, list[bytes]], says: list[bytes] | None
) -> Iterator[bytes]:
    """Yield the canonical JSON of each row's content up to its split and tools."""
    answers = [[text[_BEFORE_ANSWER:-_AFTER_ANSWER] for text in side] for side in sides.values()]
    if says is not None:
        answers.append(says)
    # By their names, rejected answers come after the prompt, and all else before.
    after = zip(answers.pop(), strict=True) if plan.kind == "preference" else repeat((), len(prompts))
    for prompt, before, rejected in zip(prompts, zip(*answers, strict=True), after, strict=True):
        # Between quotation marks stand, in turn, the roles and the contents.
        words = prompt[_BEFORE_ROLE:-_AFTER_CONTENT].replace(_BETWEEN_MESSAGES, _BETWEEN_MEMBERS)
        texts = words.split(_BETWEEN_MEMBERS)
        texts[::2], texts[1::2] = texts[1::2], texts[::2]
        yield _template(plan.kind, len(texts) // 2) % (*before, *texts, *rejected)


@cache
def _template(kind: str, messages: int) -> bytes:
    """Return what a row's canonical JSON has around its texts."""
    message = b'{"content":"%b","role":"%b"}'
    answer = b'{"content":"%b","role":"assistant"}'
    prompt = b",".join([message] * messages)
    match kind:
        case "preference":
            return b'{"chosen":%b,"prompt":[%b],"rejected":%b' % (answer, prompt, answer)
        case "demonstration":
            return b'{"completion":%b,"prompt":[%b]' % (answer, prompt)
    return b'{"completion":%b,"is_good":%%b,"prompt":[%b]' % (answer, prompt)


def _lineage(plan: Plan, batch: Batch, found: Sequence[Plain]) -> dict[str, Any]:
    names = [_sorted_names(plan, row) for row in found]
    cause_ids = [row[_CAUSE[plan.kind]] for row in found]
    causes = [None if one is None else batch.causes[one] for one in cause_ids]
    ties, draws = batch.responses.ties, batch.draws
    ties_of_rows = [ties[named[0]] if len(named) == 1 else _of_all(ties, named) for named in names]
    draws_of_rows = [draws.get(named[0], ()) if len(named) == 1 else _of_all(draws, named) for named in names]
    return {
        "ties": ties_of_rows,
        "response_ids": names,
        "evidence_ids": [(row[1],) for row in found],
        "revision_ids": [
            () if cause is None or cause.is_intervention else (one,)
            for one, cause in zip(cause_ids, causes, strict=True)
        ],
        "intervention_ids": [
            (one,) if cause is not None and cause.is_intervention else ()
            for one, cause in zip(cause_ids, causes, strict=True)
        ],
        "reviewers": [() if one is None else (one.reviewer,) for one in causes],
        "rubric_version_ids": [
            () if one is None or one.is_intervention else (one.rubric_version_id,) for one in causes
        ],
        "selection_ids": [sorted([draw[0] for draw in some]) if some else () for some in draws_of_rows],
        "rule_version_ids": [sorted({draw[1] for draw in some}) if some else () for some in draws_of_rows],
        "inclusion_probability": [chance(draws.get(named[0], ())) for named in names],
        "feedback_ids": [(row[6],) if row[6] else () for row in found] if plan.kind == "verdict" else [],
    }


def _sorted_names(plan: Plan, row: Plain) -> Sequence[str]:
    asked = row[2]
    if plan.kind != "preference" or (row[3] in (None, asked) and row[5] in (None, asked)):
        return (asked,)
    return sorted(named_by(plan.kind, row))


def _of_all(lists: dict[str, list[Any]], names: Sequence[str]) -> list[Any]:
    """Return what the lists of these names hold, each once."""
    return list(dict.fromkeys(one for name in names for one in lists.get(name, ())))


def _lengths(side: pa.ChunkedArray) -> pa.Array:
    """Return how long plain answers are, in Unicode code points."""
    around = _BEFORE_ANSWER + _AFTER_ANSWER
    return pc.subtract(pc.subtract(pc.utf8_length(side), pc.count_substring_regex(side, r"\\.")), around)
