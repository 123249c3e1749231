"""Later work: freezing, exporting, and noticing what was given up."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.orm import Session

from hitl.core import jobs
from hitl.datasets.exporting import EXPORT_JOB, fail_abandoned_exports, write_export
from hitl.datasets.freeze import FREEZE_JOB, fail_abandoned, freeze

# New objects until the youngest are looked through; Python's own 700 make a batch of rows be walked many times.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cycles rarely, and only among what is new: rows make next to none, and the walk costs a fifth."""
    _, *older = thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *older)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@jobs.long(FREEZE_JOB)
def freeze_version(run: jobs.Run, version_id: str) -> None:
    """Freeze a version that `start_freeze` prepared."""
    with rare_collections():
        freeze(run, UUID(version_id))


@jobs.long(EXPORT_JOB)
def export_version(run: jobs.Run, export_id: str) -> None:
    """Write an export that somebody asked for."""
    with rare_collections():
        write_export(run, UUID(export_id))


@jobs.periodic("datasets.fail_abandoned", every_seconds=60)
def fail_abandoned_freezes(db: Session) -> None:
    """Say of versions and exports whose job was given up that they failed."""
    fail_abandoned(db)
    fail_abandoned_exports(db)
