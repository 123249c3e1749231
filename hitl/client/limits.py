"""How much the client keeps in memory, sends at once, and waits."""

from dataclasses import dataclass, fields

MOST_ROWS_OF_A_BATCH = 1_000  # what the service takes in one request


class Misconfigured(ValueError):
    """The client was made with something missing or wrong. Raised when it is made, never later."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Sizes are in bytes of JSON, durations in seconds by a clock that never jumps."""

    rows: int = 10_000  # waiting or on their way; what comes while it is full is dropped and counted
    bytes: int = 32 * 1024 * 1024
    row_bytes: int = 4 * 1024 * 1024  # a larger row is refused at once
    batch_rows: int = 500
    batch_bytes: int = 1024 * 1024
    batch_seconds: float = 1.0  # how long the first row of a batch waits for company
    connect_seconds: float = 5.0
    request_seconds: float = 30.0  # from the first byte sent to the last one received
    first_pause_seconds: float = 0.5  # doubled with each failure, drawn at random from its upper half
    longest_pause_seconds: float = 30.0
    longest_retry_after_seconds: float = 300.0  # a service that asks for more is asked again after this
    keep_seconds: float = 24 * 3600.0  # as long as the service remembers an Idempotency-Key; then a row is given up
    exit_seconds: float = 5.0  # how long the end of the program may be held up

    def __post_init__(self) -> None:
        """Raise Misconfigured for what could not work."""
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise Misconfigured(f"Limits: {field.name} has to be above 0.")
        if self.batch_rows > MOST_ROWS_OF_A_BATCH:
            raise Misconfigured(f"Limits: batch_rows is at most {MOST_ROWS_OF_A_BATCH:,}.")
