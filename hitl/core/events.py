"""Facts: what happened, told to whoever cares.

A fact is a frozen dataclass that carries ids. `within` listeners are called at once in the publisher's transaction: if
one fails, so does the publisher. `after` listeners become jobs in that transaction: they exist only if it commits, and
run at least once.
"""

from collections import defaultdict
from collections.abc import Callable
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


def publish(db: Session, fact: Any) -> None:
    """Tell everyone who listens for this type of fact."""
    for listener in _within[type(fact)]:
        listener(db, fact)
    for kind in _after[type(fact)]:
        jobs.enqueue(db, kind, vars(fact))  # the ids are spelled where the row is stored
