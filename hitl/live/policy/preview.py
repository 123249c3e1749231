"""What a rule would have done to the answers that came in last. Nothing is held, and nobody is told."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.facts import Facts
from hitl.capture.feedback import feedback_by_response
from hitl.capture.models import Response
from hitl.core.expressions import Expression
from hitl.live.policy.deciding import reasons_of
from hitl.live.policy.rules import PolicyTerms, expression_of

LOOKED_AT = 500  # responses
AT_ONCE = 100
EXAMPLES = 5
MAX_CPU_SECONDS = 2.0  # a page waits for it


@dataclass(frozen=True)
class Example:
    """An answer that the rule fits, and why."""

    response_id: UUID
    question: str
    answer: str
    reasons: list[str]


@dataclass
class PolicyPreview:
    """What a rule would have done.

    looked_at: responses, the newest. fitting: how many of them it fits. expected: how many of those it would have
    held or told of, on average. faults: why it could not be worked out, and how often.
    """

    looked_at: int = 0
    fitting: int = 0
    expected: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)


def preview_of_rule(db: Session, project: Project, name: str, terms: PolicyTerms) -> PolicyPreview:
    """Return what a rule that says this would have done. Raises ExpressionUnacceptable."""
    expression = expression_of(terms)
    preview = PolicyPreview()
    began = time.thread_time()
    for response, facts in _newest(db, project, expression):
        outcome = expression.about(facts.values)
        preview.looked_at += 1
        if outcome.fault is not None:
            preview.faults[outcome.fault] += 1
        if outcome.fits:
            preview.fitting += 1
            if len(preview.examples) < EXAMPLES:
                why = reasons_of(name, expression, facts)
                preview.examples.append(Example(response.id, facts.said.question, facts.said.answer, why))
        if time.thread_time() - began > MAX_CPU_SECONDS:
            break
    preview.expected = preview.fitting * (1 - terms.hold_out)
    return preview


def _newest(db: Session, project: Project, expression: Expression) -> Iterator[tuple[Response, Facts]]:
    newest = select(Response).where(Response.project_id == project.id).order_by(Response.id.desc())
    for start in range(0, LOOKED_AT, AT_ONCE):
        rows = db.scalars(newest.limit(AT_ONCE).offset(start)).all()
        feedback = feedback_by_response(db, rows) if "feedback" in expression.names else {}
        for row in rows:
            yield row, Facts(row, partial(list, feedback.get(row.id, [])))
        if len(rows) < AT_ONCE:
            return
