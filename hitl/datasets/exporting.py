"""Exports to carry away: a job writes a version in one format as a .zip into the storage, once, and there it stays."""

import contextlib
import shutil
import time
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Project, User
from hitl.accounts.projects import settings_of
from hitl.core import jobs
from hitl.core.errors import AppError
from hitl.datasets.archive import open_archive
from hitl.datasets.errors import ExportNotAsked, ExportRefused, StorageTrouble
from hitl.datasets.export import ensure_exportable
from hitl.datasets.models import DatasetVersion, VersionExport
from hitl.datasets.storage import Storage

log = structlog.get_logger()

EXPORT_JOB = "datasets.export"
SECONDS_BETWEEN_REPORTS = 0.3
_WRITING_SHARE = 0.9  # of the time, for the progress bar; the rest is packing and putting it away
_COPIED_AT_ONCE = 2**20  # bytes


def export_of(db: Session, version: DatasetVersion, format: str) -> VersionExport | None:
    """Return what became of a version's export in a format; None if nobody has asked for it.

    A file that was made when the project named another licence is none, either: it is made anew when asked for.
    """
    export = _stored_export(db, version, format)
    return None if export is not None and _is_outdated(db, export, version) else export


def ask_for_export(db: Session, version: DatasetVersion, format: str, by: User | None = None) -> VersionExport:
    """Return the export of a version, and ask for the work unless it is there already or under way.

    Raises VersionNotFrozen; ExportRefused for a format that does not fit.
    """
    ensure_exportable(version, format)
    export = _stored_export(db, version, format) or _new_export(db, version, format)
    if export.job_id is None or export.state == "failed" or _is_outdated(db, export, version):
        export.state, export.error, export.location = "writing", None, None
        export.licence = _licence_now(db, version)
        export.created_by_id = by.id if by else None
        export.job_id = jobs.enqueue(db, EXPORT_JOB, {"export_id": str(export.id)})
    return export


def export_asked_for(db: Session, version: DatasetVersion, format: str) -> VersionExport:
    """Return a version's export in a format that somebody has asked for, being written or ready.

    Raises VersionNotFrozen; ExportRefused for a format that does not fit, or with the reason why the writing failed;
    ExportNotAsked.
    """
    ensure_exportable(version, format)
    export = export_of(db, version, format)
    if export is None:
        raise ExportNotAsked
    if export.state == "failed":
        raise ExportRefused(export.error)
    return export


def write_export(run: jobs.Run, export_id: UUID) -> None:
    """Write the file and say that it is ready. Safe to run twice, and at the same time."""
    with run.database.reading() as db:
        export = db.scalar(
            select(VersionExport)
            .options(joinedload(VersionExport.version).joinedload(DatasetVersion.dataset))
            .where(VersionExport.id == export_id)
        )
        if export is None or export.state != "writing":
            return
    try:
        _write(run, export)
    except AppError as refusal:
        _fail(run, export_id, refusal.message)
    except jobs.Superseded:
        raise
    except Exception:
        if run.job.attempt >= run.job.max_attempts:
            _fail(run, export_id, "Writing it broke down for a reason that was not foreseen; the log says more.")
        raise


def fail_abandoned_exports(db: Session) -> None:
    """Let exports fail whose job was given up, such as when its worker died each time."""
    given_up = (
        select(VersionExport)
        .join(jobs.Job, jobs.Job.id == VersionExport.job_id)
        .where(VersionExport.state == "writing", jobs.Job.state.in_(["failed", "cancelled", "done"]))
    )
    for export in db.scalars(given_up):
        export.state, export.error = "failed", "Its worker died each time it tried. Ask again; the log says more."


def _stored_export(db: Session, version: DatasetVersion, format: str) -> VersionExport | None:
    return db.scalar(select(VersionExport).filter_by(version_id=version.id, format=format))


def _is_outdated(db: Session, export: VersionExport, version: DatasetVersion) -> bool:
    return export.state == "ready" and export.licence != _licence_now(db, version)


def _licence_now(db: Session, version: DatasetVersion) -> str:
    return settings_of(db.get_one(Project, version.dataset.project_id)).licence


def _new_export(db: Session, version: DatasetVersion, format: str) -> VersionExport:
    export = VersionExport(version_id=version.id, format=format)
    try:
        with db.begin_nested():
            db.add(export)
    except IntegrityError:  # asked for by somebody else at this very moment
        return db.scalars(select(VersionExport).filter_by(version_id=version.id, format=format)).one()
    return export


def _write(run: jobs.Run, export: VersionExport) -> None:
    storage = Storage(run.database.session_info["storage_url"])
    folder = f"{export.version.location}/exports"
    archive = open_archive(storage, export.version, export.format, _Progress(run), export.licence)
    # A name for each attempt: one that was thought dead must not write into the file that is being read.
    location = f"{folder}/{export.format}-{run.job.id}-{run.job.attempt}.zip"
    try:
        with archive.file, storage.writing(location) as kept:
            shutil.copyfileobj(archive.file, kept, _COPIED_AT_ONCE)
    except OSError as error:
        raise StorageTrouble(f"The storage refused to write: {error.strerror or error}.") from error
    with run.database.writing() as db:
        run.write_within(db, progress=1.0)  # whoever was superseded stops here
        ready = db.get_one(VersionExport, export.id, with_for_update=True)
        ready.state, ready.location, ready.bytes = "ready", location, archive.bytes
        ready.row_count = sum(archive.exported.counts.values())
        ready.refused_count = archive.exported.refused_count


def _fail(run: jobs.Run, export_id: UUID, reason: str) -> None:
    log.warning("export_failed", export=str(export_id), reason=reason)
    with run.database.writing() as db, contextlib.suppress(jobs.Superseded):
        run.write_within(db, error=reason)
        export = db.get(VersionExport, export_id, with_for_update=True)
        if export is not None and export.state == "writing":
            export.state, export.error = "failed", reason


class _Progress:
    """Tells the job's row how far the writing is, a few times a second at most; stops whoever was superseded."""

    def __init__(self, run: jobs.Run) -> None:
        self._run = run
        self._told_at = 0.0

    def __call__(self, share: float) -> None:
        if time.monotonic() - self._told_at >= SECONDS_BETWEEN_REPORTS:
            self._run.report_progress(share * _WRITING_SHARE)
            self._told_at = time.monotonic()
