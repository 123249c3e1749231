"""Later work: freezing, exporting, and noticing what was given up."""

from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core import jobs
from hitl.datasets.exporting import EXPORT_JOB, fail_abandoned_exports, write_export
from hitl.datasets.freeze import FREEZE_JOB, fail_abandoned, freeze


@jobs.long(FREEZE_JOB)
def freeze_version(run: jobs.Run, version_id: str) -> None:
    """Freeze a version that `start_freeze` prepared."""
    freeze(run, UUID(version_id))


@jobs.long(EXPORT_JOB)
def export_version(run: jobs.Run, export_id: str) -> None:
    """Write an export that somebody asked for."""
    write_export(run, UUID(export_id))


@jobs.periodic("datasets.fail_abandoned", every_seconds=60)
def fail_abandoned_freezes(db: Session) -> None:
    """Say of versions and exports whose job was given up that they failed."""
    fail_abandoned(db)
    fail_abandoned_exports(db)
