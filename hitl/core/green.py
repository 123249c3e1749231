"""Greenlets instead of threads: they hold thousands of open streams cheaply.

Only `hitl serve` on PostgreSQL uses them. SQLite's calls, and its waiting for a lock, would block them all at once.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def patch_where_greenlets_serve(arguments: Sequence[str]) -> None:
    """Make Python's blocking calls let other greenlets run, if this command line serves PostgreSQL.

    Before anything else is imported: psycopg looks at its import how it should wait, and locks are made by modules.
    """
    if "serve" not in arguments[:1]:
        return
    from gevent import monkey
    from pydantic import ValidationError

    from hitl.core.errors import AppError
    from hitl.core.settings import Settings

    try:
        settings = Settings()
    except (ValidationError, AppError):
        return  # the command says so itself
    if not settings.database_url.startswith("sqlite"):
        monkey.patch_all()


def is_green() -> bool:
    """Whether this process runs greenlets in the place of threads."""
    monkey = sys.modules.get("gevent.monkey")  # a process that has not loaded it has not patched anything
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def off_the_hub(work: Callable[..., ResultT], *arguments: Any) -> ResultT:
    """Do work that keeps a processor busy without pause, and let the other greenlets run meanwhile."""
    if not is_green():
        return work(*arguments)
    from gevent import get_hub

    result: ResultT = get_hub().threadpool.apply(work, arguments)
    return result
