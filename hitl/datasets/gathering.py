"""What a version is made of: whole inputs in short batches, with all that was learned about each."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, islice
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
from hitl.datasets.splits import tie_digest
from hitl.datasets.verdicts import Found
from hitl.queue.rules import inclusion_probability
from hitl.review.pseudonyms import reviewer_pseudonym

WIDE_BATCH = 2_000  # judgements with their messages, which may be long

Finding = Judgement | Shown | Found
Draw = tuple[str, str, float, bool]  # draw, rule version, rate, drawn


class Cause(NamedTuple):
    """Who made a revision, under which rubric; or an intervention, which goes by none."""

    reviewer: str  # pseudonym
    rubric_version_id: str | None

    @property
    def is_intervention(self) -> bool:
        """Whether a person intervened in a live conversation, instead of reviewing."""
        return self.rubric_version_id is None


class Responses(NamedTuple):
    """What is known of some responses, by their ids."""

    outputs: dict[str, bytes]
    inputs: dict[str, bytes | None]  # none unless a row may need it
    models: dict[str, str | None]
    made_at: dict[str, Any]  # as the driver has it: compared with its like, and rarely shown
    may_train: dict[str, str]
    ties: dict[str, list[bytes]]  # digests of what ties rows made of it to other rows: its conversation, its end users


class Judged(NamedTuple):
    """One input with all that was found about answers to it."""

    place: int  # of its first row in the batch
    input_hash: str
    response_id: str  # one whose input it is
    findings: Sequence[Any]  # Judgement, Shown or Found, by the kind of version


@dataclass(frozen=True, slots=True)
class Batch:
    """What was learned about some inputs, and what is known about all they refer to."""

    rows: Sequence[Plain]  # as `reading.learned` yields them; all of an input, as far as it counts
    responses: Responses
    causes: dict[str, Cause]  # by revision or intervention
    draws: dict[str, list[Draw]]  # by response
    share: float  # how much of the whole work comes before the end of this batch


def batches(database: Database, plan: Plan) -> Iterator[Batch]:
    """Read what was learned, whole inputs at a time."""
    names: dict[str, str] = {}
    for rows in _whole_inputs(reading.learned(database, plan)):
        with database.reading() as db:
            batch = _read(db, plan, rows, names)
        yield batch  # while nothing is held open


def judged_inputs(plan: Plan, batch: Batch, rows: Sequence[tuple[int, Plain]]) -> Iterator[Judged]:
    """Yield the inputs of these rows of a batch, which come with their places in it, and what was found about each."""
    builders: dict[Kind, Callable[[Responses, Callable[[str], Side], _Blocks, Plain], Finding]]
    builders = {"preference": _judgement, "demonstration": _shown, "verdict": _found}
    finding_of, blocks, responses = builders[plan.kind], _Blocks(plan), batch.responses

    @cache  # so that what one judgement asks of an answer is not worked out again for the next
    def side_of(response_id: str) -> Side:
        return Side(responses.outputs[response_id], response_id)

    for input_hash, of_input in groupby(rows, key=lambda row: row[1][0]):
        found = list(of_input)
        findings = [finding_of(responses, side_of, blocks, row) for _, row in found]
        yield Judged(found[0][0], input_hash, found[0][1][2], findings)


def named_by(kind: Kind, row: Plain) -> tuple[str, ...]:
    """Return the responses that something learned is about, first the one whose input it is."""
    if kind != "preference":
        return (row[2],)
    _, _, asked, a_id, _, b_id, *_ = row
    return tuple(dict.fromkeys(one for one in (asked, a_id, b_id) if one is not None))


def chance(draws: Sequence[Draw]) -> float | None:
    """Return the chance that any rule draws this response; None when none did: it was picked by hand."""
    return _chance(tuple([draw[2:] for draw in draws])) if draws else None


@cache  # few rules, and so few different rates
def _chance(rates: tuple[tuple[float, bool], ...]) -> float | None:
    return inclusion_probability(rate for rate, _ in rates) if any(drawn for _, drawn in rates) else None


def _whole_inputs(learned: Iterator[Plain]) -> Iterator[list[Plain]]:
    """Yield these rows many at a time, all of an input together."""
    waiting: list[Plain] = []
    while some := list(islice(learned, WIDE_BATCH)):
        waiting += some
        begun = bisect_left(waiting, waiting[-1][0], key=itemgetter(0))  # where the last input starts: more may come
        if begun:
            yield waiting[:begun]
            waiting = waiting[begun:]
    if waiting:
        yield waiting


def _read(db: Session, plan: Plan, rows: list[Plain], names: dict[str, str]) -> Batch:
    """Read what these rows refer to. names: pseudonyms of reviewers that are known already."""
    cause = _CAUSE[plan.kind]
    causes = _causes(db, plan, {row[cause] for row in rows} - {None}, names)
    counting = [row for row in rows if row[cause] is None or row[cause] in causes]
    responses = _responses(db, plan, counting)
    if plan.selection.models is not None:
        chosen = {one for one, model in responses.models.items() if model in plan.selection.models}
        counting = [row for row in counting if chosen.issuperset(named_by(plan.kind, row))]
    draws: dict[str, list[Draw]] = defaultdict(list)
    for response_id, *draw in reading.draws(db, responses.outputs):
        draws[response_id].append(tuple(draw))
    share = int(rows[-1][0][:8], 16) / 16**8  # hashes fall evenly
    return Batch(counting, responses, causes, draws, share)


def _causes(db: Session, plan: Plan, identifiers: set[str], names: dict[str, str]) -> dict[str, Cause]:
    """Return those of these revisions and interventions that count for the version."""
    by: dict[str, tuple[str, str | None]] = {**reading.revisions_frozen(db, plan, identifiers)}
    if identifiers - by.keys():
        made = reading.interventions_frozen(db, plan, identifiers - by.keys())
        by.update({one: (person, None) for one, person in made.items()})
    for person_id in {person_id for person_id, _ in by.values()} - names.keys():
        names[person_id] = reviewer_pseudonym(db, plan.project_id, UUID(person_id))
    return {one: Cause(names[person_id], rubric) for one, (person_id, rubric) in by.items()}


# Where a row of each kind has its cause, and where the responses that it names, first the one whose input it is.
_CAUSE = {"preference": 10, "demonstration": 5, "verdict": 5}
_RESPONSES = {"preference": (2, 3, 5), "demonstration": (2,), "verdict": (2,)}


def _responses(db: Session, plan: Plan, rows: Sequence[Plain]) -> Responses:
    """Return what is known of all responses that these rows name; the inputs only where a row may need them."""
    asked, *others = [{row[place] for row in rows} for place in _RESPONSES[plan.kind]]
    named = set().union(*others) - asked - {None}
    found = [*reading.responses(db, asked, with_input=True), *reading.responses(db, named, with_input=False)]
    if not found:
        return Responses({}, {}, {}, {}, {}, {})
    ids, outputs, conversations, end_users, users_of_conversation, models, made_at, may_train, inputs = zip(
        *found, strict=True
    )
    ties = map(_ties, conversations, end_users, users_of_conversation)
    columns = (outputs, inputs, models, made_at, may_train, ties)
    return Responses(*(dict(zip(ids, column, strict=True)) for column in columns))


def _ties(conversation_id: str | None, *end_users: str | None) -> list[bytes]:
    ties = [] if conversation_id is None else [tie_digest(f"conversation:{conversation_id.replace('-', '')}")]
    named = {end_user for end_user in end_users if end_user is not None}
    return [*ties, *(tie_digest(f"end user:{end_user}") for end_user in sorted(named))]


class _Blocks(dict[tuple[str, ...], Any]):
    """Why rows made of responses with these `may_train` may not be trained on, worked out once for each."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def of(self, may_train: tuple[str, ...], *texts: bytes | None) -> Any:
        """Return why a row may not be trained on. texts: what people wrote for it: see Plan.why_text_blocked."""
        return self[may_train] or self._plan.why_text_blocked(*texts)

    def __missing__(self, may_train: tuple[str, ...]) -> Any:
        self[may_train] = self._plan.why_blocked(may_train)
        return self[may_train]


def _judgement(responses: Responses, side_of: Callable[[str], Side], blocks: _Blocks, row: Plain) -> Judgement:
    _, identifier, _, a_id, a_text, b_id, b_text, outcome, distance, origin, cause_id = row
    named = named_by("preference", row)
    a = Side(a_text) if a_id is None else side_of(a_id)
    b = Side(b_text) if b_id is None else side_of(b_id)
    blocked = blocks.of(tuple([responses.may_train[name] for name in named]), a_text, b_text)
    return Judgement(identifier, cause_id, origin, outcome, distance, a, b, blocked, named)


def _shown(responses: Responses, side_of: Callable[[str], Side], blocks: _Blocks, row: Plain) -> Shown:
    _, identifier, response_id, text, origin, cause_id = row
    reviewed = side_of(response_id)
    output = reviewed if text is None else Side(text)
    blocked = blocks.of((responses.may_train[response_id],), text)
    return Shown(identifier, cause_id, origin, reviewed, output, blocked, (response_id,))


def _found(responses: Responses, side_of: Callable[[str], Side], blocks: _Blocks, row: Plain) -> Found:
    _, identifier, response_id, is_good, origin, cause_id, feedback_id = row
    blocked = blocks[(responses.may_train[response_id],)]
    output = side_of(response_id)
    return Found(identifier, cause_id, origin, bool(is_good), output, blocked, (response_id,), feedback_id)
