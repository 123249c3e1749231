"""The first pass of a freeze: from the database to one scratch file that has every row but no splits.

Which split a row is in depends on all rows that it is tied to, so it is known only when this pass has seen them all.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pyarrow as pa

from hitl.core.database import Database
from hitl.datasets.attempt import Attempt, parquet
from hitl.datasets.demonstrations import Completion, Shown, completions_of
from hitl.datasets.errors import NoRows
from hitl.datasets.figures import Figures
from hitl.datasets.gathering import Batch, Judged, JudgedSides, batches, chance, inputs_of, narrow_list
from hitl.datasets.pairs import Judgement, LeftOut, Pair, pairs_of, roles_in_order
from hitl.datasets.rows import LEFT_OUT_SCHEMA, Content, scratch_schema
from hitl.datasets.selection import SPLITS, Selection
from hitl.datasets.sides import Side

HOW_TO_SAY_MAY_TRAIN = (
    "Nobody said whether they may train: say may_train with each response, set the project's may_train_default to yes, "
    "or include the unknown ones in this dataset."
)

Found = Pair | Completion


def write_scratch(database: Database, attempt: Attempt, report: Callable[[float], None]) -> None:
    """Decide every row and write it with its lineage, in the order of the inputs' hashes; and what was left out, why.

    report: told the share that is done, after each batch.
    Raises NoRows, naming what was left out, when no row is left.
    """
    narrow = narrow_list(database, attempt.plan)
    done = 0
    with (
        attempt.storage.writing(attempt.scratch) as scratch,
        attempt.storage.writing(attempt.name("left_out.parquet")) as left_out,
        parquet(scratch, scratch_schema(attempt.plan.kind)) as rows,
        parquet(left_out, LEFT_OUT_SCHEMA) as refused,
    ):
        for batch in batches(database, attempt.plan, narrow):
            kept, dropped = _decide(database, attempt, batch)
            rows.write_table(pa.Table.from_pylist(kept, rows.schema))
            refused.write_table(pa.Table.from_pylist(dropped, LEFT_OUT_SCHEMA))
            done += batch.size
            report(done / len(narrow))
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


def _decide(database: Database, attempt: Attempt, batch: Batch) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    decided = [(judged, *_found_in(judged, attempt.plan.selection)) for judged in batch.inputs]
    asked = inputs_of(database, {judged.response_id for judged, found, _ in decided if found})
    kept: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    for judged, found, left_out in decided:
        if found and not roles_in_order(asked[judged.response_id]["messages"]):
            left_out = [*left_out, *(LeftOut("roles_out_of_order", tuple(_evidence_of(one))) for one in found)]
            found = []
        for reason in left_out:
            attempt.figures.count_left_out(reason)
            dropped.append(
                {
                    "reason": reason.reason,
                    "response_id": str(judged.response_id),
                    "evidence_ids": list(map(str, reason.evidence_ids)),
                }
            )
        rows = [_row(attempt, batch, judged, asked[judged.response_id], one) for one in found]
        kept.extend(sorted(rows, key=lambda row: row["id"]))
    return kept, dropped


def _found_in(judged: Judged, chosen: Selection) -> tuple[Sequence[Found], list[LeftOut]]:
    if isinstance(judged, JudgedSides):
        return pairs_of(judged.findings, chosen.policy, chosen.min_agreement)
    return completions_of(judged.findings, chosen.policy, chosen.min_agreement)


def _row(attempt: Attempt, batch: Batch, judged: Judged, asked: dict[str, Any], found: Found) -> dict[str, Any]:
    findings = _findings_of(found)
    response_ids = sorted({identifier for one in findings for identifier in judged.response_ids[one.id]})
    origins = [batch.origins[identifier] for identifier in response_ids]
    reviewed = [batch.reviewed[revision_id] for revision_id in {one.revision_id for one in findings}]
    attempt.groups.add_row(judged.input_hash, [tie for origin in origins for tie in origin.ties])
    attempt.figures.count_row(found.origin, found.agreement, found.duplicates, found.is_conflict)
    attempt.figures.count_sources(origins, reviewed)
    if isinstance(found, Pair):
        attempt.figures.count_lengths(found.chosen, found.rejected)
    content = Content.of(asked["messages"], asked.get("tools"), _sides(found))
    draws = [draw for identifier in response_ids for draw in batch.draws.get(identifier, ())]
    return {
        **content.columns,
        "id": content.id,
        **{f"hash_{split}": content.hash_in_split[split] for split in SPLITS},
        "input_hash": judged.input_hash,
        "origin": found.origin,
        "agreement": found.agreement,
        "margin": found.margin if isinstance(found, Pair) else None,
        "response_id": str(response_ids[0]),
        "response_ids": list(map(str, response_ids)),
        "evidence_ids": list(map(str, _evidence_of(found))),
        "revision_ids": sorted({str(one.revision_id) for one in findings}),
        "reviewers": sorted({one.reviewer for one in reviewed}),
        "rubric_version_ids": sorted({str(one.rubric_version_id) for one in reviewed}),
        "selection_ids": sorted(str(draw[0]) for draw in draws),
        "rule_version_ids": sorted({str(draw[1]) for draw in draws}),
        "inclusion_probability": chance(batch.draws.get(response_ids[0], [])),
    }


def _evidence_of(found: Found) -> list[UUID]:
    return sorted(one.id for one in _findings_of(found))


def _findings_of(found: Found) -> Sequence[Judgement | Shown]:
    return found.judgements if isinstance(found, Pair) else found.shown


def _sides(found: Found) -> dict[str, Side]:
    if isinstance(found, Pair):
        return {"chosen": found.chosen, "rejected": found.rejected}
    return {"completion": found.output}
