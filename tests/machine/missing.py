"""How a test says that this machine lacks what it needs."""

import os
from typing import NoReturn

import pytest

PREFIX = "NOT TESTED: "


def missing(part: str, remedy: str) -> NoReturn:
    """Skip the test because this machine lacks a part; on CI fail it, so that nothing goes untested in silence."""
    reason = f"{PREFIX}{part}. {remedy}"
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def is_ci() -> bool:
    """Whether this run guards the main line."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def reasons_in(skipped: list[pytest.TestReport]) -> dict[str, int]:
    """Return what these tests lacked, and how many of them lacked it."""
    counts: dict[str, int] = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _, found, what = reason.partition(PREFIX)
        if found:
            counts[what] = counts.get(what, 0) + 1
    return counts
