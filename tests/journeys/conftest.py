"""Hugging Face's libraries must be told before they are imported: no hub, no telemetry, one thread."""

from tests.exporters import conftest as _quiet_trainers  # noqa: F401  sets the environment
