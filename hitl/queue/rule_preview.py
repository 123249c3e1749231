"""What a rule would have drawn of the responses that came in last: a figure to set its rate by. Nothing is drawn."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.queue.fitting import Fitting
from hitl.queue.rules import ExpressionCondition, Terms, ensure_usable_terms

LOOKED_AT = 10_000  # responses
READ_WHOLE = 500  # of an expression, which has to read them; a page waits for it
AT_ONCE = 1_000  # of which feedback is looked up


@dataclass(frozen=True)
class RulePreview:
    """What a rule would have come to.

    looked_at: responses.
    fitting: how many of them its condition fits; of a rule that compares, inputs that enough models answered.
    expected: how many of those would be drawn, on average.
    """

    looked_at: int
    fitting: int
    expected: float


def preview_of_rule(db: Session, project: Project, terms: Terms) -> RulePreview:
    """Return what a rule that says this would have drawn of the newest responses. Raises ExpressionUnacceptable."""
    ensure_usable_terms(terms)
    looked_at = READ_WHOLE if isinstance(terms.condition, ExpressionCondition) else LOOKED_AT
    columns = (Response.id, Response.model, Response.model_version, Response.conversation_id, Response.input_hash)
    newest = select(*columns).where(Response.project_id == project.id).order_by(Response.id.desc()).limit(looked_at)
    rows = db.execute(newest).all()
    fitting = list(_fitting(db, terms, rows))
    count = len(fitting) if terms.compare is None else _inputs(rows, fitting, terms.compare.at_least)
    return RulePreview(len(rows), count, count * terms.rate)


def _fitting(db: Session, terms: Terms, rows: Sequence[Any]) -> Iterable[Any]:
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        fitting = Fitting(db, some, [terms.condition])
        yield from (row for row in some if fitting.fits(terms.condition, row))


def _inputs(rows: Iterable[Any], fitting: Iterable[Any], at_least: int) -> int:
    """Count inputs that so many models or versions answered, of which one is fitting."""
    sources: dict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
    for row in rows:
        sources[row.input_hash].add((row.model, row.model_version))
    return sum(len(sources[name]) >= at_least for name in {row.input_hash for row in fitting})
