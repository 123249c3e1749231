"""What went wrong with rows: told to the log and to the program's own callback, by the thread in the background."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger("hitl.client")

NAMES_SHOWN = 10


@dataclass(frozen=True)
class Problem:
    """Rows that are lost, and why.

    code: `queue_full`, `closed`, `given_up`: no room, no time, no answer;
        `not_json`, `row_too_big`, `not_captured`: could not be made into a row;
        otherwise the service's own word, such as `row_invalid` or `id_taken`.
    kind: `responses` or `feedback`.
    names: client ids of the first ten (of feedback: what it is about).
    param: JSON pointer to the field at fault within the row, where the service named one.
    """

    code: str
    message: str
    kind: str
    count: int = 1
    names: tuple[str, ...] = ()
    param: str | None = None


OnProblem = Callable[[Problem], None]


def tell(problem: Problem, on_problem: OnProblem | None) -> None:
    """Write a problem into the log and hand it to the callback, whose own failure harms nobody."""
    log.warning(
        "Lost of %s: %d. %s (%s%s) %s",
        problem.kind,
        problem.count,
        problem.message,
        problem.code,
        f" at {problem.param}" if problem.param else "",
        ", ".join(problem.names),
    )
    if on_problem is None:
        return
    try:
        on_problem(problem)
    except Exception:
        log.exception("on_problem failed")
