"""The first pass of a freeze: from the database to one scratch file that has every row but no splits.

Which split a row is in depends on all rows that it is tied to, so it is known only when this pass has seen them all.
"""

from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from hitl.core.database import Database
from hitl.datasets.attempt import Attempt, parquet, scratch_parquet
from hitl.datasets.behind import read_ahead, written_behind
from hitl.datasets.demonstrations import Completion, completions_of
from hitl.datasets.errors import NoRows
from hitl.datasets.figures import Figures
from hitl.datasets.gathering import Batch, Finding, Judged, batches, chance, judged_inputs
from hitl.datasets.lineage import with_dashes, with_lineage
from hitl.datasets.lone import LoneRows, lone_rows
from hitl.datasets.pairs import LeftOut, Pair, pairs_of, roles_in_order
from hitl.datasets.rows import LEFT_OUT_SCHEMA, Content, gathered_schema, scratch_schema, table_of
from hitl.datasets.selection import Kind
from hitl.datasets.verdicts import Ruling, rulings_of

HOW_TO_SAY_MAY_TRAIN = (
    "Nobody said whether they may train: say may_train with each response, set the project's may_train_default to yes, "
    "or include the unknown ones in this dataset."
)

HOW_TO_TAKE_PERSONAL_DATA = (
    "Some hold personal data: let the project put placeholders in its place when it captures, or include them in this "
    "dataset."
)

Row = Pair | Completion | Ruling
Values = tuple[Any, ...]

DECIDE: dict[Kind, Callable[..., tuple[Sequence[Row], list[LeftOut]]]] = {
    "preference": pairs_of,
    "demonstration": completions_of,
    "verdict": rulings_of,
}


def write_scratch(database: Database, attempt: Attempt, report: Callable[[float], None]) -> None:
    """Decide every row and write it with its lineage, in the order of the inputs' hashes; and what was left out, why.

    report: told the share that is done, after each batch.
    Raises NoRows, naming what was left out, when no row is left.
    """
    kind = attempt.plan.kind
    with (
        attempt.storage.writing(attempt.scratch) as scratch,
        attempt.storage.writing(attempt.name("left_out.parquet")) as left_out,
        scratch_parquet(scratch, scratch_schema(kind)) as rows,
        parquet(left_out, LEFT_OUT_SCHEMA) as refused,
        written_behind(rows) as write,
    ):
        for batch in read_ahead(batches(database, attempt.plan)):
            kept, dropped = _decide(attempt, batch)
            if kept.num_rows:
                write(with_lineage(kept, kind))
            if dropped:
                refused.write_table(with_dashes(table_of(dropped, LEFT_OUT_SCHEMA)))
            report(batch.share)
    if attempt.figures.rows == 0:
        raise NoRows(_why_no_rows(attempt.figures))


def _why_no_rows(figures: Figures) -> str:
    if not figures.left_out:
        return (
            "Nothing in this project makes a row for this selection: no counted review decided anything of that kind."
        )
    reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in figures.left_out.most_common())
    said = f"No row is left. Left out: {reasons}."
    ways = {"may_train_unknown": HOW_TO_SAY_MAY_TRAIN, "personal_data": HOW_TO_TAKE_PERSONAL_DATA}
    return " ".join([said, *(way for reason, way in ways.items() if reason in figures.left_out)])


def _decide(attempt: Attempt, batch: Batch) -> tuple[pa.Table, list[Values]]:
    """Return the rows of a batch in the order of their inputs, and what was left out; count both."""
    lone = lone_rows(attempt.plan, batch)
    places, others, left_out = _by_the_long_way(attempt, batch, frozenset(lone.places))
    rows = _in_order(lone, places, others)
    if attempt.plan.kind == "preference":
        attempt.figures.count_all_lengths(lone.lengths["chosen"], lone.lengths["rejected"])
    if rows.num_rows:
        attempt.figures.count_rows(rows, batch.responses)
        attempt.groups.add_rows(rows.column("input_hash").to_pylist(), rows.column("ties").to_pylist())
    return rows, left_out


def _in_order(lone: LoneRows, places: Sequence[int], others: pa.Table) -> pa.Table:
    if not others.num_rows:
        return lone.table
    order = pc.sort_indices(pa.array([*lone.places, *places], pa.int32()))
    return pa.concat_tables([lone.table, others]).take(order)


def _by_the_long_way(
    attempt: Attempt, batch: Batch, taken: Collection[int]
) -> tuple[list[int], pa.Table, list[Values]]:
    """Return the rows of the inputs that are not taken, with their places, and what was left out."""
    decide, chosen = DECIDE[attempt.plan.kind], attempt.plan.selection
    schema = gathered_schema(attempt.plan.kind)
    rest = [(place, row) for place, row in enumerate(batch.rows) if place not in taken]
    places: list[int] = []
    kept: list[Values] = []
    dropped: list[Values] = []
    for judged in judged_inputs(attempt.plan, batch, rest):
        found, left_out = decide(judged.findings, chosen.policy, chosen.min_agreement)
        if found:
            asked = orjson.loads(batch.responses.inputs[judged.response_id] or b"{}")
            if roles_in_order(asked["messages"]):
                rows = [_row(attempt, batch, judged, asked, one) for one in found]
                rows.sort(key=itemgetter("id"))
                kept.extend(tuple(map(row.__getitem__, schema.names)) for row in rows)
                places += [judged.place] * len(rows)
            else:
                left_out = [*left_out, *(LeftOut("roles_out_of_order", _evidence_of(one)) for one in found)]
        for reason in left_out:
            attempt.figures.count_left_out(reason)
            dropped.append((reason.reason, judged.response_id, reason.evidence_ids))
    return places, table_of(kept, schema), dropped


def _row(attempt: Attempt, batch: Batch, judged: Judged, asked: dict[str, Any], found: Row) -> dict[str, Any]:
    findings = _findings_of(found)
    response_ids = sorted({identifier for one in findings for identifier in one.response_ids})
    causes = {one.cause_id: batch.causes[one.cause_id] for one in findings if one.cause_id is not None}
    draws = [draw for identifier in response_ids for draw in batch.draws.get(identifier, ())]
    thumbs = [one.feedback_id for one in found.found if one.feedback_id] if isinstance(found, Ruling) else []
    attempt.figures.count_merged(found.duplicates, found.is_conflict)
    content = _content(attempt, asked, found)
    return {
        **content.columns,
        "id": content.id,
        "origin": found.origin,
        "agreement": found.agreement,
        "margin": found.margin if isinstance(found, Pair) else None,
        "input_hash": judged.input_hash,
        "hashes": content.hashes,
        "ties": list(dict.fromkeys(tie for one in response_ids for tie in batch.responses.ties[one])),
        "response_ids": response_ids,
        "evidence_ids": _evidence_of(found),
        "revision_ids": sorted(one for one, cause in causes.items() if not cause.is_intervention),
        "intervention_ids": sorted(one for one, cause in causes.items() if cause.is_intervention),
        "reviewers": sorted({cause.reviewer for cause in causes.values()}),
        "rubric_version_ids": sorted({cause.rubric_version_id for cause in causes.values() if cause.rubric_version_id}),
        "selection_ids": sorted([draw[0] for draw in draws]),
        "rule_version_ids": sorted({draw[1] for draw in draws}),
        "inclusion_probability": chance(batch.draws.get(response_ids[0], ())),
        "feedback_ids": sorted(thumbs),
    }


def _content(attempt: Attempt, asked: dict[str, Any], found: Row) -> Content:
    messages, tools = asked["messages"], asked.get("tools")
    if isinstance(found, Pair):
        attempt.figures.count_lengths(found.chosen, found.rejected)
        return Content.of(messages, tools, {"chosen": found.chosen, "rejected": found.rejected})
    if isinstance(found, Ruling):
        return Content.of(messages, tools, {"completion": found.output}, found.is_good)
    return Content.of(messages, tools, {"completion": found.output})


def _evidence_of(found: Row) -> tuple[str, ...]:
    findings = _findings_of(found)
    return (findings[0].id,) if len(findings) == 1 else tuple(sorted(one.id for one in findings))


def _findings_of(found: Row) -> Sequence[Finding]:
    if isinstance(found, Pair):
        return found.judgements
    return found.found if isinstance(found, Ruling) else found.shown
