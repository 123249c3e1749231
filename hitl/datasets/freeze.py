"""Freezing a version: rows that people decided, fixed for good, with their origin.

`start_freeze` fixes the set of revisions in one statement and leaves the work to a job. The job reads those revisions,
which never change, in short batches; writes the files under names of their own, in two passes (`first_pass.py`,
`second_pass.py`); and only then, in one transaction, says that the version is frozen. Killed at any moment, it leaves a
version that the next attempt freezes, or none.
"""

import contextlib
import time
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Insert, Uuid, delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project, User
from hitl.accounts.projects import settings_of
from hitl.core import clock, jobs
from hitl.core.database import insert_into
from hitl.core.errors import AppError
from hitl.datasets.attempt import Attempt, folder_of
from hitl.datasets.errors import (
    AlreadyFreezing,
    DatasetKindDiffers,
    DatasetNameInvalid,
    NothingNew,
    SeedDiffers,
    StorageTrouble,
)
from hitl.datasets.first_pass import write_scratch
from hitl.datasets.models import (
    Dataset,
    DatasetVersion,
    FrozenIntervention,
    FrozenRevision,
    FrozenThumb,
    HeldOutInput,
    HeldOutTie,
)
from hitl.datasets.plan import Plan
from hitl.datasets.second_pass import FrozenFiles, write_files
from hitl.datasets.selection import Kind, Selection
from hitl.datasets.splits import Groups
from hitl.datasets.storage import Storage, storage_of
from hitl.datasets.versions import is_dataset_name
from hitl.live.models import Intervention
from hitl.preferences.models import Verdict
from hitl.review.models import Review

log = structlog.get_logger()

FREEZE_JOB = "datasets.freeze"
HELD_OUT_AT_ONCE = 1_000  # rows in one statement
_FIRST_PASS_SHARE = 0.85  # of the time, for the progress bar


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
        looks_for_personal_data=settings_of(project).personal_data == "mark",
        created_by_id=by.id if by else None,
    )
    db.add(version)
    db.flush()
    _fix(db, version, project)
    version.job_id = jobs.enqueue(db, FREEZE_JOB, {"version_id": str(version.id)})
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
        groups = _groups(db, version)
        seed = version.dataset.seed
    folder = f"{folder_of(version_id)}/{run.job.attempt}"
    try:
        storage = Storage(database.session_info["storage_url"])
        _remove_quietly(storage, folder_of(version_id))  # what attempts that died have left
        try:
            attempt = Attempt(storage, folder, plan, groups=groups)
            write_scratch(database, attempt, _Progress(run))
            frozen = write_files(attempt, seed)
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
        log.warning("freeze_refused", version=str(version_id), code=refusal.code)  # the reason is told by whoever asked
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
        selection.ensure_fits(dataset.kind)
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


def _fix(db: Session, version: DatasetVersion, project: Project) -> None:
    """Fix in one statement, and so at one moment, what counts: revisions, interventions, and thumbs for verdicts."""
    fixing = {
        "revisions": _fixing_revisions(version, project),
        "interventions": _fixing_interventions(version, project),
    }
    origins = version.selection["origins"]
    takes_thumbs = version.dataset.kind == "verdict" and (origins is None or "end_user" in origins)
    if takes_thumbs and settings_of(project).end_user_thumbs:
        fixing["thumbs"] = _fixing_thumbs(version, project)
    if db.get_bind().dialect.name == "sqlite":  # which has no such statement, and only one writer at a time
        for statement in fixing.values():
            db.execute(statement)
        return
    _, last = fixing.popitem()
    for name, statement in fixing.items():
        last = last.add_cte(statement.returning(statement.table.c.version_id).cte(name))
    db.execute(last)


def _fixing_revisions(version: DatasetVersion, project: Project) -> Insert:
    counting = select(literal(version.id, Uuid), Review.counting_revision_id).where(
        Review.project_id == project.id, Review.counting_revision_id.is_not(None)
    )
    return insert(FrozenRevision).from_select(["version_id", "revision_id"], counting)


def _fixing_interventions(version: DatasetVersion, project: Project) -> Insert:
    settled = select(literal(version.id, Uuid), Intervention.id).where(
        Intervention.project_id == project.id, Intervention.settled_at.is_not(None), Intervention.why_nothing.is_(None)
    )
    return insert(FrozenIntervention).from_select(["version_id", "intervention_id"], settled)


def _fixing_thumbs(version: DatasetVersion, project: Project) -> Insert:
    columns = ("verdict_id", "input_hash", "feedback_id", "response_id", "is_good")
    given = select(
        literal(version.id, Uuid),
        Verdict.id,
        Verdict.input_hash,
        Verdict.feedback_id,
        Verdict.response_id,
        Verdict.is_good,
    ).where(Verdict.project_id == project.id, Verdict.origin == "end_user")
    return insert(FrozenThumb).from_select(["version_id", *columns], given)


def _newest_number(dataset: Dataset) -> Any:
    return select(func.max(DatasetVersion.number)).filter_by(dataset_id=dataset.id)


# --- working


def _groups(db: Session, version: DatasetVersion) -> Groups:
    """Return the groups of a version that has no row yet, with what was in test before and so stays there."""
    held_out = frozenset(db.scalars(select(HeldOutInput.input_hash).filter_by(dataset_id=version.dataset_id)))
    ties = db.scalars(select(HeldOutTie.tie).filter_by(dataset_id=version.dataset_id))
    return Groups(held_out, frozenset(map(bytes.fromhex, ties)))


class _Progress:
    """Tells the job's row how far the first pass is, a few times a second at most; stops whoever was superseded."""

    def __init__(self, run: jobs.Run) -> None:
        self._run = run
        self._told_at = 0.0

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._told_at >= 0.3:
            self._run.report_progress(share * _FIRST_PASS_SHARE)
            self._told_at = time.monotonic()


# --- the end


def _finish(run: jobs.Run, version_id: UUID, frozen: FrozenFiles) -> None:
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
        _hold_out(db, version.dataset_id, frozen)
        _forget_what_was_fixed(db, version)


def _ensure_new(db: Session, version: DatasetVersion, frozen: FrozenFiles) -> None:
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


def _manifest(version: DatasetVersion, frozen: FrozenFiles) -> dict[str, Any]:
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


def _hold_out(db: Session, dataset_id: UUID, frozen: FrozenFiles) -> None:
    inputs = ({"dataset_id": dataset_id, "input_hash": one} for one in frozen.tested)
    ties = ({"dataset_id": dataset_id, "tie": one.hex()} for one in sorted(frozen.tested_ties))
    for table, rows in ((HeldOutInput, inputs), (HeldOutTie, ties)):
        while some := list(islice(rows, HELD_OUT_AT_ONCE)):
            db.execute(insert_into(db, table).on_conflict_do_nothing(), some)


def _fail(run: jobs.Run, version_id: UUID, reason: str) -> None:
    with run.database.writing() as db:
        run.write_within(db, error=reason)
        version = db.get(DatasetVersion, version_id, with_for_update=True)
        if version is not None and version.state == "freezing":
            _note_failure(db, version, reason)


def _note_failure(db: Session, version: DatasetVersion, reason: str) -> None:
    """Say that a version failed, and remove what its attempts have written: nobody would find it any more."""
    version.state = "failed"
    version.error = reason
    _forget_what_was_fixed(db, version)
    with contextlib.suppress(StorageTrouble):  # a storage that cannot be opened holds nothing of ours
        _remove_quietly(storage_of(db), folder_of(version.id))


def _forget_what_was_fixed(db: Session, version: DatasetVersion) -> None:
    """From now on the lineage names the revisions and thumbs, or nobody needs them."""
    for table in (FrozenRevision, FrozenIntervention, FrozenThumb):
        db.execute(delete(table).where(table.version_id == version.id))


def _remove_quietly(storage: Storage, folder: str) -> None:
    try:
        storage.remove_folder(folder)
    except OSError as error:
        log.warning("storage_not_cleaned", folder=folder, error=str(error))
