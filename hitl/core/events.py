"""Facts: what happened, told to whoever cares.

A fact is a frozen dataclass that carries ids. `within` listeners are called at once in the publisher's transaction: if
one fails, so does the publisher. `after` listeners become jobs in that transaction: they exist only if it commits, and
run at least once.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from hitl.core import jobs

FactT = TypeVar("FactT")
Listener = Callable[[Session, FactT], None]

_within: dict[type, list[Listener[Any]]] = defaultdict(list)
_after: dict[type, list[str]] = defaultdict(list)


def within(fact_type: type[FactT]) -> Callable[[Listener[FactT]], Listener[FactT]]:
    """Call the decorated function in the transaction that publishes a fact of this type."""

    def register(listener: Listener[FactT]) -> Listener[FactT]:
        _within[fact_type].append(listener)
        return listener

    return register


def after(fact_type: type[FactT]) -> Callable[[Listener[FactT]], Listener[FactT]]:
    """Run the decorated function as a job, in a transaction of its own, once the publisher's has committed."""
    adapter = TypeAdapter(fact_type)

    def register(listener: Listener[FactT]) -> Listener[FactT]:
        kind = f"{listener.__module__}.{listener.__name__}"

        @jobs.transactional(kind)
        def hear(db: Session, **fact: Any) -> None:
            listener(db, adapter.validate_python(fact))

        _after[fact_type].append(kind)
        return listener

    return register


@cache
def _adapter(fact_type: type) -> TypeAdapter[Any]:
    """Making one costs more than storing a row."""
    return TypeAdapter(fact_type)


def publish(db: Session, fact: Any) -> None:
    """Tell everyone who listens for this type of fact."""
    for listener in _within[type(fact)]:
        listener(db, fact)
    kinds = _after[type(fact)]
    if kinds:
        arguments = _adapter(type(fact)).dump_python(fact, mode="json")  # type: ignore[arg-type]
        for kind in kinds:
            jobs.enqueue(db, kind, arguments)
