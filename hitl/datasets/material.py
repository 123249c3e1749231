"""What counted reviews have taught so far, and so what the next version could be made of."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Row, SQLColumnExpression, case, func, literal, or_
from sqlalchemy.orm import Session, aliased

from hitl.accounts.models import Project
from hitl.accounts.projects import settings_of
from hitl.capture.models import Response
from hitl.datasets.selection import Kind
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.preferences.queries import counting_demonstrations, counting_evidence, counting_verdicts


@dataclass(frozen=True)
class Material:
    """Judgements of one kind that count right now. Several may make one row, so there are at most so many rows."""

    by_origin: Counter[str]  # all that decide something
    undecided: int  # ties and "both bad"
    unknown: int  # of those that decide: neither client nor project said whether they may train
    refused: int  # of those that decide: they may not train

    @property
    def total(self) -> int:
        """How many decide something."""
        return self.by_origin.total()

    @property
    def usable(self) -> int:
        """How many may train, as far as anybody said."""
        return self.total - self.unknown - self.refused


def material_of(db: Session, project: Project, kind: Kind) -> Material:
    """Count what a version of this kind could take now."""
    default = settings_of(project).may_train_default
    count = {"preference": _judgements, "demonstration": _answers, "verdict": _verdicts}[kind]
    return _counted(count(db, project), default)


def _judgements(db: Session, project: Project) -> list[Row[str, bool, str, int]]:
    asked, a, b = aliased(Response), aliased(Response), aliased(Response)
    decides = Evidence.outcome.in_(["a", "b"])
    may_train = _strictest(asked.may_train, a.may_train, b.may_train)
    query = (
        counting_evidence(project)
        .join(asked, asked.id == Evidence.input_response_id)
        .outerjoin(a, a.id == Evidence.a_response_id)
        .outerjoin(b, b.id == Evidence.b_response_id)
        .with_only_columns(Evidence.origin, decides, may_train, func.count())
        .group_by(Evidence.origin, decides, may_train)
    )
    return list(db.execute(query).all())


def _answers(db: Session, project: Project) -> list[Row[str, bool, str, int]]:
    query = (
        counting_demonstrations(project)
        .join(Response, Response.id == Demonstration.response_id)
        .with_only_columns(Demonstration.origin, literal(True), Response.may_train, func.count())
        .group_by(Demonstration.origin, Response.may_train)
    )
    return list(db.execute(query).all())


def _verdicts(db: Session, project: Project) -> list[Row[str, bool, str, int]]:
    query = (
        counting_verdicts(project)
        .join(Response, Response.id == Verdict.response_id)
        .with_only_columns(Verdict.origin, literal(True), Response.may_train, func.count())
        .group_by(Verdict.origin, Response.may_train)
    )
    return list(db.execute(query).all())


def _strictest(*answers: SQLColumnExpression[str]) -> SQLColumnExpression[str]:
    """Return what all the responses together may do: one "no" is enough. An absent side forbids nothing."""
    return case(
        (or_(*(answer == "no" for answer in answers)), literal("no")),
        (or_(*(answer == "unknown" for answer in answers)), literal("unknown")),
        else_=literal("yes"),
    )


def _counted(rows: Iterable[Row[str, bool, str, int]], default: str) -> Material:
    by_origin: Counter[str] = Counter()
    by_answer: Counter[str] = Counter()
    undecided = 0
    for origin, decides, may_train, count in rows:
        if not decides:
            undecided += count
            continue
        by_origin[origin] += count
        by_answer[default if may_train == "unknown" else may_train] += count
    return Material(by_origin, undecided, by_answer["unknown"], by_answer["no"])
