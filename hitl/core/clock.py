"""What time it is. One place to ask, so that tests can move the hands."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment as an aware UTC time."""
    return datetime.now(UTC)
