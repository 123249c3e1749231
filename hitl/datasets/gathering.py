"""What a version is made of: whole inputs in short batches, with all that was learned about each."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core.database import Database
from hitl.datasets import reading
from hitl.datasets.demonstrations import Shown
from hitl.datasets.pairs import Judgement
from hitl.datasets.plan import Plan
from hitl.datasets.reading import Plain
from hitl.datasets.selection import Kind
from hitl.datasets.sides import Side
from hitl.datasets.verdicts import Found
from hitl.queue.rules import inclusion_probability
from hitl.review.pseudonyms import reviewer_pseudonym

WIDE_BATCH = 1_000  # judgements with their messages, which may be long

Finding = Judgement | Shown | Found
Draw = tuple[str, str, float, bool]  # draw, rule version, rate, drawn


class Origin(NamedTuple):
    """Where one response is from."""

    output: Side
    ties: tuple[str, ...]  # names of what ties rows made of it to other rows: its conversation, its end users
    model: str | None
    created_at: Any  # as the driver has it
    may_train: str
    asked: str | None  # its input as JSON text; none unless a row may need it


class Reviewed(NamedTuple):
    """Who made a revision, under which rubric."""

    reviewer: str  # pseudonym
    rubric_version_id: str


class Judged(NamedTuple):
    """One input with all that was found about answers to it."""

    input_hash: str
    response_id: str  # one whose input it is
    findings: Sequence[Any]  # Judgement, Shown or Found, by the kind of version


@dataclass(frozen=True, slots=True)
class Batch:
    """Some inputs, and what is known about all they refer to."""

    inputs: Sequence[Judged]
    origins: dict[str, Origin]  # by response
    reviewed: dict[str, Reviewed]  # by revision
    draws: dict[str, list[Draw]]  # by response

    @property
    def share(self) -> float:
        """How much of the whole work comes before the end of this batch: hashes fall evenly."""
        return int(self.inputs[-1].input_hash[:8], 16) / 16**8 if self.inputs else 0.0


def batches(database: Database, plan: Plan) -> Iterator[Batch]:
    """Read what was learned, whole inputs at a time."""
    names: dict[str, str] = {}
    waiting: list[tuple[str, list[Plain]]] = []
    size = 0
    for input_hash, rows in groupby(reading.learned(database, plan), key=itemgetter(0)):
        waiting.append((input_hash, list(rows)))
        size += len(waiting[-1][1])
        if size >= WIDE_BATCH:
            with database.reading() as db:
                yield _read(db, plan, waiting, names)
            waiting, size = [], 0
    if waiting:
        with database.reading() as db:
            yield _read(db, plan, waiting, names)


def chance(draws: Sequence[Draw]) -> float | None:
    """Return the chance that any rule draws this response; None when none did: it was picked by hand."""
    if not any(drawn for *_, drawn in draws):
        return None
    return inclusion_probability(rate for _, _, rate, _ in draws)


def _read(db: Session, plan: Plan, waiting: Sequence[tuple[str, list[Plain]]], names: dict[str, str]) -> Batch:
    """Read what these rows refer to. names: pseudonyms of reviewers that are known already."""
    revision_of = itemgetter(_REVISION[plan.kind])
    frozen = reading.revisions_frozen(db, plan, {revision_of(row) for _, rows in waiting for row in rows} - {None})
    counting = [
        (input_hash, kept)
        for input_hash, rows in waiting
        if (kept := [row for row in rows if revision_of(row) is None or revision_of(row) in frozen])
    ]
    origins = _origins(db, plan, counting)
    draws: dict[str, list[Draw]] = defaultdict(list)
    for response_id, *draw in reading.draws(db, origins):
        draws[response_id].append(tuple(draw))
    for reviewer_id in {reviewer_id for reviewer_id, _ in frozen.values()} - names.keys():
        names[reviewer_id] = reviewer_pseudonym(db, plan.project_id, UUID(reviewer_id))
    reviewed = {one: Reviewed(names[reviewer_id], rubric) for one, (reviewer_id, rubric) in frozen.items()}
    return Batch(_judged(plan, counting, origins), origins, reviewed, draws)


# Where a row of each kind has its revision, and where the responses that it names, first the one whose input it is.
_REVISION = {"preference": 10, "demonstration": 5, "verdict": 5}
_RESPONSES = {"preference": (2, 3, 5), "demonstration": (2,), "verdict": (2,)}


def _origins(db: Session, plan: Plan, counting: Sequence[tuple[str, list[Plain]]]) -> dict[str, Origin]:
    """Return what is known of all responses that these rows name; the inputs only where a row may need them."""
    asked = {rows[0][2] for _, rows in counting}
    places = _RESPONSES[plan.kind]
    named = {row[place] for _, rows in counting for row in rows for place in places} - {None}
    found = [*reading.responses(db, asked, with_input=True)]
    found += reading.responses(db, named - asked, with_input=False)
    return {
        identifier: Origin(
            Side(output, identifier),
            _ties(conversation_id, end_user, end_user_of_conversation),
            model,
            created_at,
            may_train,
            input_text,
        )
        for (
            identifier,
            output,
            conversation_id,
            end_user,
            end_user_of_conversation,
            model,
            created_at,
            may_train,
            input_text,
        ) in found
    }


def _ties(conversation_id: str | None, *end_users: str | None) -> tuple[str, ...]:
    conversation = () if conversation_id is None else (f"conversation:{conversation_id.replace('-', '')}",)
    named = sorted({end_user for end_user in end_users if end_user is not None})
    return (*conversation, *(f"end user:{end_user}" for end_user in named))


def _judged(plan: Plan, counting: Sequence[tuple[str, list[Plain]]], origins: dict[str, Origin]) -> list[Judged]:
    builders: dict[Kind, Callable[[dict[str, Origin], _Blocks, Plain], Finding]]
    builders = {"preference": _judgement, "demonstration": _shown, "verdict": _found}
    finding_of = partial(builders[plan.kind], origins, _Blocks(plan))
    models = plan.selection.models
    judged: list[Judged] = []
    for input_hash, rows in counting:
        findings = [finding_of(row) for row in rows]
        if models is not None:
            findings = [one for one in findings if all(origins[name].model in models for name in one.response_ids)]
        if findings:
            judged.append(Judged(input_hash, rows[0][2], findings))
    return judged


class _Blocks(dict[tuple[str, ...], Any]):
    """Why rows made of responses with these `may_train` may not be trained on, worked out once for each."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __missing__(self, may_train: tuple[str, ...]) -> Any:
        self[may_train] = self._plan.why_blocked(may_train)
        return self[may_train]


def _judgement(origins: dict[str, Origin], blocks: _Blocks, row: Plain) -> Judgement:
    _, identifier, asked, a_id, a_text, b_id, b_text, outcome, distance, origin, revision_id = row
    named = _present(asked, a_id, b_id)
    a = Side(a_text) if a_id is None else origins[a_id].output
    b = Side(b_text) if b_id is None else origins[b_id].output
    blocked = blocks[tuple([origins[name].may_train for name in named])]
    return Judgement(identifier, revision_id, origin, outcome, distance, a, b, blocked, named)


def _shown(origins: dict[str, Origin], blocks: _Blocks, row: Plain) -> Shown:
    _, identifier, response_id, text, origin, revision_id = row
    reviewed = origins[response_id]
    output = reviewed.output if text is None else Side(text)
    return Shown(
        identifier, revision_id, origin, reviewed.output, output, blocks[(reviewed.may_train,)], (response_id,)
    )


def _found(origins: dict[str, Origin], blocks: _Blocks, row: Plain) -> Found:
    _, identifier, response_id, is_good, origin, revision_id, feedback_id = row
    response = origins[response_id]
    blocked = blocks[(response.may_train,)]
    return Found(identifier, revision_id, origin, bool(is_good), response.output, blocked, (response_id,), feedback_id)


def _present(asked: str, *others: str | None) -> tuple[str, ...]:
    found: Iterable[str] = (asked, *(other for other in others if other is not None and other != asked))
    return tuple(dict.fromkeys(found))
