"""Whether the condition of a rule fits a response."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import Project
from hitl.capture.facts import Facts, expression_over_facts
from hitl.capture.feedback import feedback_by_response
from hitl.capture.models import Feedback, Response
from hitl.core import clock
from hitl.core.errors import Invalid
from hitl.queue.models import Rule
from hitl.queue.rules import AnyCondition, ExpressionCondition, FeedbackCondition, ModelCondition, hears_feedback

MAX_OVERRUNS = 3


class Fitting:
    """Whether conditions fit some responses: what they need to know is read for all of them at once.

    overruns: by expression, how often it took too long.
    """

    def __init__(self, db: Session, responses: Sequence[Any], conditions: Iterable[AnyCondition]) -> None:
        """responses: rows with id, model, model_version and conversation_id."""
        conditions = list(conditions)
        self.overruns: Counter[str] = Counter()
        self._feedback: dict[UUID, list[Feedback]] = {}
        if any(map(hears_feedback, conditions)):
            self._feedback = feedback_by_response(db, responses)
        self._facts: dict[UUID, Facts] = {}
        if any(isinstance(condition, ExpressionCondition) for condition in conditions):
            whole = db.scalars(select(Response).where(Response.id.in_([row.id for row in responses])))
            self._facts = {row.id: Facts(row, partial(self._about, row.id)) for row in whole}

    def fits(self, condition: AnyCondition, response: Any) -> bool:
        """Whether a condition fits one of these responses."""
        if isinstance(condition, ModelCondition):
            return response.model == condition.name and condition.version in (None, response.model_version)
        if isinstance(condition, FeedbackCondition):
            return any(map(condition.fits, self._about(response.id)))
        if isinstance(condition, ExpressionCondition):
            return self._fits_expression(condition, response.id)
        return True

    def _about(self, response_id: UUID) -> list[Feedback]:
        return self._feedback.get(response_id, [])

    def _fits_expression(self, condition: ExpressionCondition, response_id: UUID) -> bool:
        """What cannot be worked out does not fit."""
        try:
            expression = expression_over_facts(condition.expression)
        except Invalid:  # written for an older release, whose names were others
            return False
        outcome = expression.about(self._facts[response_id].values)
        self.overruns[condition.expression] += outcome.is_overrun
        return outcome.fits


def end_slow_rules(
    db: Session, project: Project, rules: Iterable[tuple[Rule, AnyCondition]], overruns: Counter[str]
) -> None:
    """Count how often the expressions of rules took too long, and switch off those that did so three times.

    overruns: as `Fitting` has it. What a rule drew stays.
    """
    for rule, condition in rules:
        if not isinstance(condition, ExpressionCondition) or not overruns[condition.expression]:
            continue
        rule.overruns += overruns[condition.expression]
        if rule.overruns >= MAX_OVERRUNS and rule.ended_at is None:
            rule.ended_at = clock.now()
            audit.record(db, None, "rule_ended", rule, project, why="too_slow")
    db.flush()
