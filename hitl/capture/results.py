"""What became of each row of a batch."""

from typing import Any, NamedTuple
from uuid import UUID

from hitl.core.errors import AppError


class Result(NamedTuple):
    """What became of one row.

    status: for responses created, duplicate or rejected; for feedback also updated, and waiting for its response.
    """

    status: str
    id: UUID | None = None
    error: AppError | None = None

    def as_json(self, index: int) -> dict[str, Any]:
        """Return the entry in a batch's `results`, as orjson takes it."""
        return {
            "index": index,
            "id": self.id,
            "status": self.status,
            "error": None if self.error is None else self.error.as_json()["error"],
        }


def rejected(error: AppError) -> Result:
    """Return the result of a row that was refused."""
    return Result("rejected", error=error)
