"""Puts the product together: the only file that knows every part."""

import importlib.util

# Each part's listeners and jobs register when they are imported.
PARTS = (
    "hitl.capture.jobs",
    "hitl.queue.subscribers",
    "hitl.queue.jobs",
    "hitl.review.subscribers",
    "hitl.preferences.subscribers",
    "hitl.datasets.jobs",
)


def import_parts() -> None:
    """Import every part, so that its tables, listeners and jobs are known."""
    for name in PARTS:
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    from hitl.core import jobs  # noqa
    for feature in ("accounts", "capture", "queue", "review", "preferences", "datasets"):
        importlib.import_module(f"hitl.{feature}.models")
