"""Freezing a version: rows that people decided, fixed for good, with their origin.

`start_freeze` fixes the set of revisions in one statement and leaves the work to a job. The job reads those revisions,
which never change, in short batches; writes the files under names of their own; and only then, in one transaction, says
that the version is frozen. Killed at any moment, it leaves a version that the next attempt freezes, or none.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from sqlalchemy import Uuid, delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.accounts.projects import settings_of
from hitl.core import clock, jobs
from hitl.core.canonical import canonical_json
from hitl.core.database import Database
from hitl.core.errors import AppError
from hitl.datasets.demonstrations import Completion, completions_of
from hitl.datasets.errors import (
    AlreadyFreezing,
    DatasetKindDiffers,
    DatasetNameInvalid,
    NoRows,
    NothingNew,
    SeedDiffers,
    StorageTrouble,
)
from hitl.datasets.figures import Figures
from hitl.datasets.gathering import Batch, Judged, Plan, batches, chance, inputs_of, narrow_list
from hitl.datasets.models import Dataset, DatasetVersion, FrozenRevision, HeldOutInput
from hitl.datasets.pairs import LeftOut, Pair, pairs_of, roles_in_order
from hitl.datasets.rows import (
    LEFT_OUT_SCHEMA,
    LINEAGE_SCHEMA,
    ROWS_PER_GROUP,
    Content,
    hash_of_all,
    row_schema,
    scratch_schema,
)
from hitl.datasets.selection import SPLITS, Kind, Selection, Split
from hitl.datasets.sides import Side
from hitl.datasets.splits import Groups
from hitl.datasets.storage import Storage, storage_of
from hitl.datasets.versions import is_dataset_name
from hitl.review.models import Review

log = structlog.get_logger()

FREEZE_JOB = "datasets.freeze"
HOW_TO_SAY_MAY_TRAIN = (
    "Nobody said whether they may train: say may_train with each response, set the project's may_train_default to yes, "
    "or include the unknown ones in this dataset."
)
_FIRST_PASS_SHARE = 0.85  # of the time, for the progress bar

Found = Pair | Completion


def start_freeze(
    db: Session,
    project: Project,
    name: str,
    kind: Kind | None = None,
    selection: Selection | None = None,
    by: User | None = None,
    seed: str | None = None,
) -> DatasetVersion:
    """Fix what the next version of a dataset takes, and ask for the work. A dataset of a new name is made.

    kind, selection, seed: as the dataset has them when not given; a new dataset holds preferences, takes everything and
        has its name as seed, so that the same data split alike on every machine.
    Raises DatasetNameInvalid, SelectionInvalid, DatasetKindDiffers, SeedDiffers, AlreadyFreezing.
    """
    dataset = _dataset(db, project, name, kind, selection, by, seed)
    _make_room(db, dataset)
    version = DatasetVersion(
        dataset=dataset,
        number=1 + (db.scalar(_newest_number(dataset)) or 0),
        selection=dataset.selection,
        may_train_default=settings_of(project).may_train_default,
        created_by_id=by.id if by else None,
    )
    db.add(version)
    db.flush()
    counting = select(literal(version.id, Uuid), Review.counting_revision_id).where(
        Review.project_id == project.id, Review.counting_revision_id.is_not(None)
    )
    db.execute(insert(FrozenRevision).from_select(["version_id", "revision_id"], counting))
    version.job_id = jobs.enqueue(db, FREEZE_JOB, {"version_id": str(version.id)}).id
    audit.record(db, by, "dataset_freeze_started", dataset, project, name=name, number=version.number)
    return version


def freeze(run: jobs.Run, version_id: UUID) -> None:
    """Write a version's files and say that it is frozen. Safe to run twice, and at the same time.

    What trying again cannot help (no rows, nothing new, a storage that refuses) fails the version, with the reason.
    """
    database = run.database
    with database.reading() as db:
        version = db.get(DatasetVersion, version_id)
        if version is None or version.state != "freezing":
            return
        plan = Plan.of(version)
        held_out = frozenset(db.scalars(select(HeldOutInput.input_hash).filter_by(dataset_id=version.dataset_id)))
        seed = version.dataset.seed
    # Each attempt has a folder of its own, of which nobody knows until the version names it.
    folder = f"{folder_of(version_id)}/{run.job.attempt}"
    try:
        storage = Storage(database.session_info["storage_url"])
        _remove_quietly(storage, folder_of(version_id))  # what attempts that died have left
        try:
            writing = _Writing(storage, folder, plan, Figures(), Groups())
            _write_scratch(database, writing, _Progress(run))
            frozen = _write_files(writing, seed, held_out)
        except OSError as error:
            raise StorageTrouble(
                f"The storage refused to write: {error.strerror or error}. Nothing was frozen. "
                f"Make room in {storage.url}, or let HITL_STORAGE_URL name another place, and freeze again."
            ) from error
        _finish(run, version_id, frozen)
    except jobs.Superseded:
        _remove_quietly(storage, folder)  # the attempt that took over has cleaned up already, and names another
        raise
    except AppError as refusal:
        _fail(run, version_id, refusal.message)
    except Exception:
        if run.job.attempt >= run.job.max_attempts:
            _fail(run, version_id, "Freezing broke down for a reason that was not foreseen; the log says more.")
        raise


def fail_abandoned(db: Session) -> None:
    """Let versions fail whose job was given up, such as when its worker died each time."""
    given_up = (
        select(DatasetVersion)
        .join(jobs.Job, jobs.Job.id == DatasetVersion.job_id)
        .where(DatasetVersion.state == "freezing", jobs.Job.state.in_(["failed", "cancelled", "done"]))
    )
    for version in db.scalars(given_up):
        _note_failure(db, version, "Its worker died each time it tried. Freeze again; the log says more.")


def folder_of(version_id: UUID) -> str:
    """Return the folder in the storage that holds all attempts at a version."""
    return f"datasets/{version_id}"


# --- starting


def _dataset(
    db: Session,
    project: Project,
    name: str,
    kind: Kind | None,
    selection: Selection | None,
    by: User | None,
    seed: str | None,
) -> Dataset:
    if not is_dataset_name(name):
        raise DatasetNameInvalid(param="/name")
    dataset = db.scalar(select(Dataset).filter_by(project_id=project.id, name=name).with_for_update())
    if dataset is None:
        return _new_dataset(db, project, name, kind or "preference", selection or Selection(), by, seed)
    if kind is not None and kind != dataset.kind:
        raise DatasetKindDiffers(f"“{name}” holds {dataset.kind} rows. Choose another name.", param="/kind")
    if seed is not None and seed != dataset.seed:
        raise SeedDiffers(param="/seed")
    if selection is not None:
        selection.ensure_fits(dataset.kind)  # type: ignore[arg-type]
        dataset.selection = selection.model_dump(mode="json")
    return dataset


def _new_dataset(
    db: Session, project: Project, name: str, kind: Kind, selection: Selection, by: User | None, seed: str | None
) -> Dataset:
    selection.ensure_fits(kind)
    dataset = Dataset(
        project_id=project.id,
        name=name,
        kind=kind,
        selection=selection.model_dump(mode="json"),
        seed=name if seed is None else seed,
        created_by_id=by.id if by else None,
    )
    try:
        with db.begin_nested():
            db.add(dataset)
    except IntegrityError as error:  # made by somebody else at this very moment
        raise AlreadyFreezing from error
    return dataset


def _make_room(db: Session, dataset: Dataset) -> None:
    """Give the number of a failed attempt to the next one; one freeze of a dataset at a time."""
    fail_abandoned(db)
    for version in db.scalars(
        select(DatasetVersion).filter_by(dataset_id=dataset.id).where(DatasetVersion.state != "frozen")
    ):
        if version.state == "freezing":
            raise AlreadyFreezing(
                f"Version {version.number} of “{dataset.name}” is being frozen right now. Wait until it is done."
            )
        db.delete(version)
    db.flush()


def _newest_number(dataset: Dataset) -> Any:
    return select(func.max(DatasetVersion.number)).filter_by(dataset_id=dataset.id)


# --- first pass: from the database to one file, without splits


@dataclass(frozen=True, slots=True)
class _Writing:
    """One attempt at the files of a version."""

    storage: Storage
    folder: str
    plan: Plan
    figures: Figures
    groups: Groups

    def name(self, file: str) -> str:
        return f"{self.folder}/{file}"

    @property
    def scratch(self) -> str:
        return self.name("scratch.parquet")


class _Progress:
    """Tells the job's row how far the first pass is, a few times a second at most; stops whoever was superseded."""

    def __init__(self, run: jobs.Run) -> None:
        self._run = run
        self._told_at = 0.0

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._told_at >= 0.3:
            self._run.report_progress(share * _FIRST_PASS_SHARE)
            self._told_at = time.monotonic()


def _write_scratch(database: Database, writing: _Writing, report: Callable[[float], None]) -> None:
    """Decide every row and write it with its lineage, in the order of the inputs' hashes."""
    narrow = narrow_list(database, writing.plan)
    done = 0
    with (
        writing.storage.writing(writing.scratch) as scratch,
        writing.storage.writing(writing.name("left_out.parquet")) as left_out,
        _parquet(scratch, scratch_schema(writing.plan.kind)) as rows,
        _parquet(left_out, LEFT_OUT_SCHEMA) as refused,
    ):
        for batch in batches(database, writing.plan, narrow):
            kept, dropped = _decide(database, writing, batch)
            rows.write_table(pa.Table.from_pylist(kept, rows.schema))
            refused.write_table(pa.Table.from_pylist(dropped, LEFT_OUT_SCHEMA))
            done += batch.size
            report(done / len(narrow))
    if writing.figures.rows == 0:
        raise NoRows(_why_no_rows(writing.figures))


def _why_no_rows(figures: Figures) -> str:
    if not figures.left_out:
        return (
            "Nothing in this project makes a row for this selection: no counted review decided anything of that kind."
        )
    reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in figures.left_out.most_common())
    said = f"No row is left. Left out: {reasons}."
    return said if "may_train_unknown" not in figures.left_out else f"{said} {HOW_TO_SAY_MAY_TRAIN}"


def _decide(database: Database, writing: _Writing, batch: Batch) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    decided = [(judged, *_found_in(judged, writing.plan)) for judged in batch.inputs]
    asked = inputs_of(database, {judged.response_id for judged, found, _ in decided if found})
    kept: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    for judged, found, left_out in decided:
        if found and not roles_in_order(asked[judged.response_id]["messages"]):
            left_out = [*left_out, *(LeftOut("roles_out_of_order", tuple(_evidence_of(one))) for one in found)]
            found = []
        for reason in left_out:
            writing.figures.count_left_out(reason)
            dropped.append(
                {
                    "reason": reason.reason,
                    "response_id": str(judged.response_id),
                    "evidence_ids": list(map(str, reason.evidence_ids)),
                }
            )
        rows = [_row(writing, batch, judged, asked[judged.response_id], one) for one in found]
        kept.extend(sorted(rows, key=lambda row: row["id"]))
    return kept, dropped


def _found_in(judged: Judged, plan: Plan) -> tuple[list[Any], list[LeftOut]]:
    chosen = plan.selection
    if plan.kind == "preference":
        return pairs_of(judged.findings, chosen.policy, chosen.min_agreement)  # type: ignore[arg-type]
    return completions_of(judged.findings, chosen.policy, chosen.min_agreement)  # type: ignore[arg-type]


def _row(writing: _Writing, batch: Batch, judged: Judged, asked: dict[str, Any], found: Found) -> dict[str, Any]:
    findings = found.judgements if isinstance(found, Pair) else found.shown
    response_ids = sorted({identifier for one in findings for identifier in judged.response_ids[one.id]})
    origins = [batch.origins[identifier] for identifier in response_ids]
    reviewed = [batch.reviewed[revision_id] for revision_id in {one.revision_id for one in findings}]
    writing.groups.add_row(judged.input_hash, [tie for origin in origins for tie in origin.ties])
    writing.figures.count_row(found.origin, found.agreement, found.duplicates, found.is_conflict)
    writing.figures.count_sources(origins, reviewed)
    if isinstance(found, Pair):
        writing.figures.count_lengths(found.chosen, found.rejected)
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
        "evidence_ids": _evidence_of(found, as_text=True),
        "revision_ids": sorted({str(one.revision_id) for one in findings}),
        "reviewers": sorted({one.reviewer for one in reviewed}),
        "rubric_version_ids": sorted({str(one.rubric_version_id) for one in reviewed}),
        "selection_ids": sorted(str(draw[0]) for draw in draws),
        "rule_version_ids": sorted({str(draw[1]) for draw in draws}),
        "inclusion_probability": chance(batch.draws.get(response_ids[0], [])),
    }


def _evidence_of(found: Found, as_text: bool = False) -> list[Any]:
    findings = found.judgements if isinstance(found, Pair) else found.shown
    identifiers = sorted(one.id for one in findings)
    return list(map(str, identifiers)) if as_text else identifiers


def _sides(found: Found) -> dict[str, Side]:
    if isinstance(found, Pair):
        return {"chosen": found.chosen, "rejected": found.rejected}
    return {"completion": found.output}


# --- second pass: the splits, and the files as they stay


@dataclass(frozen=True, slots=True)
class _Frozen:
    """What the files hold."""

    folder: str
    content_hash: str
    lineage_hash: str
    files: dict[str, int]  # name → rows
    statistics: dict[str, Any]
    tested: list[str]  # input hashes in the test split


def _write_files(writing: _Writing, seed: str, held_out: frozenset[str]) -> _Frozen:
    """Give each row its split, and write rows and lineage. Columns at a time: no row is parsed again."""
    plan = writing.plan
    splits = writing.groups.splits(seed, plan.selection.shares, held_out)
    counts: dict[str, int] = dict.fromkeys(SPLITS, 0)
    content: list[bytes] = []
    lineage: list[bytes] = []
    with (
        writing.storage.reading(writing.scratch) as scratch,
        writing.storage.writing(writing.name("rows.parquet")) as rows_file,
        writing.storage.writing(writing.name("lineage.parquet")) as lineage_file,
        _parquet(rows_file, row_schema(plan.kind)) as rows,
        _parquet(lineage_file, LINEAGE_SCHEMA) as origins,
    ):
        for batch in pq.ParquetFile(scratch).iter_batches(ROWS_PER_GROUP):
            split_of_row: list[Split] = [splits[input_hash] for input_hash in batch.column("input_hash").to_pylist()]
            for split in split_of_row:
                counts[split] += 1
            table = pa.Table.from_batches([batch])
            rows.write_table(table.append_column("split", pa.array(split_of_row)).select(rows.schema.names))
            origin = table.rename_columns({"id": "row_id"}).select(LINEAGE_SCHEMA.names)
            origins.write_table(origin)
            hashes = {split: table.column(f"hash_{split}").to_pylist() for split in SPLITS}
            content.extend(hashes[split][index] for index, split in enumerate(split_of_row))
            lineage.extend(_digest_of(row) for row in origin.to_pylist())
    writing.storage.files.delete_file(writing.scratch)
    statistics = {
        **writing.figures.as_json(),
        "rows_per_split": counts,
        "groups": writing.groups.count,
        "large_groups": [asdict(group) for group in writing.groups.large_groups(splits)],
    }
    left_out = writing.figures.left_out.total()
    return _Frozen(
        writing.folder,
        hash_of_all(content),
        hash_of_all(lineage),
        {"rows.parquet": len(content), "lineage.parquet": len(lineage), "left_out.parquet": left_out},
        statistics,
        [input_hash for input_hash, split in splits.items() if split == "test"],
    )


def _digest_of(row: dict[str, Any]) -> bytes:
    return hashlib.sha256(canonical_json(row)).digest()


def _parquet(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(file, schema, compression="zstd", compression_level=1)


# --- the end


def _finish(run: jobs.Run, version_id: UUID, frozen: _Frozen) -> None:
    with run.database.writing() as db:
        run.write_within(db, progress=1.0)  # whoever was superseded stops here
        version = db.get(DatasetVersion, version_id, with_for_update=True)
        if version is None or version.state != "freezing":
            return
        _ensure_new(db, version, frozen)
        version.state = "frozen"
        version.frozen_at = clock.now()
        version.content_hash = frozen.content_hash
        version.lineage_hash = frozen.lineage_hash
        version.location = frozen.folder
        version.statistics = frozen.statistics
        version.manifest = _manifest(version, frozen)
        _hold_out(db, version.dataset_id, frozen.tested)
        _forget_revisions(db, version)


def _ensure_new(db: Session, version: DatasetVersion, frozen: _Frozen) -> None:
    same = db.scalar(
        select(DatasetVersion.number)
        .filter_by(
            dataset_id=version.dataset_id,
            state="frozen",
            content_hash=frozen.content_hash,
            lineage_hash=frozen.lineage_hash,
        )
        .order_by(DatasetVersion.number.desc())
    )
    if same is not None:
        raise NothingNew(f"Nothing new: the rows and their origin are the same as in version {same}.")


def _manifest(version: DatasetVersion, frozen: _Frozen) -> dict[str, Any]:
    dataset = version.dataset
    return {
        "dataset": dataset.name,
        "version": version.number,
        "kind": dataset.kind,
        "selection": version.selection,
        "may_train_default": version.may_train_default,
        "seed": dataset.seed,
        "content_hash": frozen.content_hash,
        "lineage_hash": frozen.lineage_hash,
        "files": frozen.files,
    }


def _hold_out(db: Session, dataset_id: UUID, input_hashes: list[str]) -> None:
    known = set(db.scalars(select(HeldOutInput.input_hash).filter_by(dataset_id=dataset_id)))
    fresh = [{"dataset_id": dataset_id, "input_hash": one} for one in input_hashes if one not in known]
    if fresh:
        db.execute(insert(HeldOutInput), fresh)


def _fail(run: jobs.Run, version_id: UUID, reason: str) -> None:
    log.warning("freeze_failed", version=str(version_id), reason=reason)
    with run.database.writing() as db:
        run.write_within(db, error=reason)
        version = db.get(DatasetVersion, version_id, with_for_update=True)
        if version is not None and version.state == "freezing":
            _note_failure(db, version, reason)


def _note_failure(db: Session, version: DatasetVersion, reason: str) -> None:
    """Say that a version failed, and remove what its attempts have written: nobody would find it any more."""
    version.state = "failed"
    version.error = reason
    _forget_revisions(db, version)
    with contextlib.suppress(StorageTrouble):  # a storage that cannot be opened holds nothing of ours
        _remove_quietly(storage_of(db), folder_of(version.id))


def _forget_revisions(db: Session, version: DatasetVersion) -> None:
    """From now on the lineage names the revisions, or nobody needs them."""
    db.execute(delete(FrozenRevision).where(FrozenRevision.version_id == version.id))


def _remove_quietly(storage: Storage, folder: str) -> None:
    try:
        storage.remove_folder(folder)
    except OSError as error:
        log.warning("storage_not_cleaned", folder=folder, error=str(error))
