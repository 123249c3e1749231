"""What became of the rows, in numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Statistics:
    """Counts since this process made the client; a forked child starts at zero.

    Every row is counted once: given = stored + repeated + rejected + dropped + pending.
    """

    given_count: int = 0  # calls of `capture` and `feedback`
    stored_count: int = 0  # the service stored it, or keeps it until its response arrives
    repeated_count: int = 0  # the service had it already
    rejected_count: int = 0  # it could not be made into a row, or the service refused it
    dropped_count: int = 0  # no room, no time, or no answer
    pending_count: int = 0  # waiting, or on the way
    pending_bytes: int = 0
    request_count: int = 0
    failure_count: int = 0  # requests without a usable answer; their rows are sent again
    last_failure: str | None = None
