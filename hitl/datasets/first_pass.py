"""The first pass of a freeze: from the database to one scratch file that has every row but no splits.

Which split a row is in depends on all rows that it is tied to, so it is known only when this pass has seen them all.
"""

import hashlib
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import orjson

from hitl.core.canonical import canonical_json
from hitl.core.database import Database
from hitl.datasets.attempt import Attempt, parquet
from hitl.datasets.demonstrations import Completion, completions_of
from hitl.datasets.errors import NoRows
from hitl.datasets.figures import Figures
from hitl.datasets.gathering import Batch, Finding, Judged, batches, chance
from hitl.datasets.pairs import LeftOut, Pair, pairs_of, roles_in_order
from hitl.datasets.rows import LEFT_OUT_SCHEMA, Content, scratch_schema, table_of
from hitl.datasets.selection import Kind
from hitl.datasets.splits import tie_digest
from hitl.datasets.verdicts import Ruling, rulings_of

HOW_TO_SAY_MAY_TRAIN = (
    "Nobody said whether they may train: say may_train with each response, set the project's may_train_default to yes, "
    "or include the unknown ones in this dataset."
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
    schema = scratch_schema(attempt.plan.kind)
    with (
        attempt.storage.writing(attempt.scratch) as scratch,
        attempt.storage.writing(attempt.name("left_out.parquet")) as left_out,
        parquet(scratch, schema) as rows,
        parquet(left_out, LEFT_OUT_SCHEMA) as refused,
    ):
        for batch in batches(database, attempt.plan):
            kept, dropped = _decide(attempt, batch, schema.names)
            if kept:
                rows.write_table(table_of(kept, schema))
            if dropped:
                refused.write_table(table_of(dropped, LEFT_OUT_SCHEMA))
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
    return said if "may_train_unknown" not in figures.left_out else f"{said} {HOW_TO_SAY_MAY_TRAIN}"


def _decide(attempt: Attempt, batch: Batch, columns: Sequence[str]) -> tuple[list[Values], list[Values]]:
    """Return the rows of a batch, as values in the order of these columns, and what was left out."""
    decide, chosen = DECIDE[attempt.plan.kind], attempt.plan.selection
    kept: list[Values] = []
    dropped: list[Values] = []
    for judged in batch.inputs:
        found, left_out = decide(judged.findings, chosen.policy, chosen.min_agreement)
        if found:
            asked = orjson.loads(batch.origins[judged.response_id].asked or "{}")
            if roles_in_order(asked["messages"]):
                rows = [_row(attempt, batch, judged, asked, one) for one in found]
                if len(rows) > 1:
                    rows.sort(key=itemgetter("id"))
                kept.extend(tuple(map(row.__getitem__, columns)) for row in rows)
            else:
                left_out = [*left_out, *(LeftOut("roles_out_of_order", _evidence_of(one)) for one in found)]
        for reason in left_out:
            attempt.figures.count_left_out(reason)
            dropped.append((reason.reason, dashed(judged.response_id), [*map(dashed, reason.evidence_ids)]))
    return kept, dropped


def _row(attempt: Attempt, batch: Batch, judged: Judged, asked: dict[str, Any], found: Row) -> dict[str, Any]:
    findings = _findings_of(found)
    response_ids = sorted({identifier for one in findings for identifier in one.response_ids})
    revision_ids = sorted({one.revision_id for one in findings if one.revision_id is not None})
    origins = [batch.origins[identifier] for identifier in response_ids]
    reviewed = [batch.reviewed[revision_id] for revision_id in revision_ids]
    draws = [draw for identifier in response_ids for draw in batch.draws.get(identifier, ())]
    ties = [tie_digest(tie) for tie in dict.fromkeys(tie for origin in origins for tie in origin.ties)]
    attempt.groups.add_row(judged.input_hash, ties)
    attempt.figures.count_row(found.origin, found.agreement, found.duplicates, found.is_conflict)
    attempt.figures.count_sources(origins, reviewed)
    content = _content(attempt, asked, found)
    lineage = {
        "row_id": content.id,
        "response_id": dashed(response_ids[0]),
        "response_ids": [*map(dashed, response_ids)],
        "evidence_ids": [*map(dashed, _evidence_of(found))],
        "revision_ids": [*map(dashed, revision_ids)],
        "reviewers": sorted({one.reviewer for one in reviewed}),
        "rubric_version_ids": sorted({dashed(one.rubric_version_id) for one in reviewed}),
        "selection_ids": sorted([dashed(draw[0]) for draw in draws]),
        "rule_version_ids": sorted({dashed(draw[1]) for draw in draws}),
        "inclusion_probability": chance(batch.draws.get(response_ids[0], ())),
    }
    if isinstance(found, Ruling):
        lineage["feedback_ids"] = sorted([dashed(one.feedback_id) for one in found.found if one.feedback_id])
    return {
        **lineage,
        **content.columns,
        "id": content.id,
        "origin": found.origin,
        "agreement": found.agreement,
        "margin": found.margin if isinstance(found, Pair) else None,
        "input_hash": judged.input_hash,
        "hashes": content.hashes,
        "lineage_hash": _lineage_hash(lineage),
        "ties": ties,
    }


def _content(attempt: Attempt, asked: dict[str, Any], found: Row) -> Content:
    if isinstance(found, Pair):
        attempt.figures.count_lengths(found.chosen, found.rejected)
        return Content.of(asked["messages"], asked.get("tools"), {"chosen": found.chosen, "rejected": found.rejected})
    if isinstance(found, Ruling):
        attempt.figures.count_verdict(found.is_good)
        return Content.of(asked["messages"], asked.get("tools"), {"completion": found.output}, found.is_good)
    return Content.of(asked["messages"], asked.get("tools"), {"completion": found.output})


def _lineage_hash(lineage: dict[str, Any]) -> bytes:
    """Return the SHA-256 of its canonical JSON. Ids and pseudonyms are ASCII, so only the number needs care."""
    probability = lineage["inclusion_probability"]
    is_plain = probability is None or 1e-4 < probability < 1
    spelled = orjson.dumps(lineage, option=orjson.OPT_SORT_KEYS) if is_plain else canonical_json(lineage)
    return hashlib.sha256(spelled).digest()


def _evidence_of(found: Row) -> tuple[str, ...]:
    findings = _findings_of(found)
    return (findings[0].id,) if len(findings) == 1 else tuple(sorted(one.id for one in findings))


def _findings_of(found: Row) -> Sequence[Finding]:
    if isinstance(found, Pair):
        return found.judgements
    return found.found if isinstance(found, Ruling) else found.shown


def dashed(identifier: str) -> str:
    """Return an id as Python's UUID spells it: SQLite keeps the 32 digits alone."""
    if len(identifier) == 36:
        return identifier
    return f"{identifier[:8]}-{identifier[8:12]}-{identifier[12:16]}-{identifier[16:20]}-{identifier[20:]}"
