from collections.abc import Iterator
from typing import Any

import pytest

from hitl.accounts.models import Project
from hitl.capture.events import FeedbackGiven, ResponsesCaptured
from hitl.core import events
from tests.hitl import factories


@pytest.fixture
def project(db) -> Project:
    return factories.Project()


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """The facts that capture told during this test."""
    facts: list[Any] = []

    def hear(_db: Any, fact: Any) -> None:
        facts.append(fact)

    for fact in (ResponsesCaptured, FeedbackGiven):
        events.within(fact)(hear)
    yield facts
    for fact in (ResponsesCaptured, FeedbackGiven):
        events._within[fact].remove(hear)
