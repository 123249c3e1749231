"""Later work: freezing, and noticing freezes that were given up."""

from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core import jobs
from hitl.datasets.freeze import FREEZE_JOB, fail_abandoned, freeze


@jobs.long(FREEZE_JOB)
def freeze_version(run: jobs.Run, version_id: str) -> None:
    """Freeze a version that `start_freeze` prepared."""
    freeze(run, UUID(version_id))


@jobs.periodic("datasets.fail_abandoned", every_seconds=60)
def fail_abandoned_freezes(db: Session) -> None:
    """Say of versions whose job was given up that they failed."""
    fail_abandoned(db)
