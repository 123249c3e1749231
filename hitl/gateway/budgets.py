"""What may be used, and what was: tokens and money, for each key, model and day."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hitl.accounts import audit
from hitl.accounts.models import ApiKey, Project, User
from hitl.core import clock
from hitl.core.database import insert_into
from hitl.core.errors import Invalid
from hitl.gateway.errors import BudgetSpent, UnknownBudget
from hitl.gateway.models import PERIODS, Budget, Usage
from hitl.gateway.settings import Prices

MAX_TOKENS = 10**15
COUNTS = ("answers", "failures", "from_cache", "without_usage", "input_tokens", "output_tokens", "cost_usd")


@dataclass(frozen=True)
class Used:
    """What one request used, or many together."""

    answers: int = 0
    failures: int = 0
    from_cache: int = 0
    without_usage: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: "Used") -> "Used":
        return Used(**{name: getattr(self, name) + getattr(other, name) for name in COUNTS})


@dataclass(frozen=True)
class Limit:
    """A budget, and how much of it is used."""

    api_key_id: UUID | None
    model: str | None
    period: str
    max_tokens: int | None
    max_usd: float | None
    tokens: int
    usd: float

    @property
    def is_spent(self) -> bool:
        return (self.max_tokens is not None and self.tokens >= self.max_tokens) or (
            self.max_usd is not None and self.usd >= self.max_usd
        )


def budgets_of(project: Project) -> Select[Budget]:
    """The budgets of a project, the oldest first."""
    return select(Budget).where(Budget.project_id == project.id).order_by(Budget.id)


def add_budget(
    db: Session,
    project: Project,
    *,
    period: str,
    max_tokens: int | None = None,
    max_usd: float | None = None,
    api_key_id: UUID | None = None,
    model: str | None = None,
    by: User | None = None,
) -> Budget:
    """Limit what is used in a period. Raises Invalid, naming the field."""
    if period not in PERIODS:
        raise Invalid("A budget is for a day or a month.", param="/period")
    if max_tokens is None and max_usd is None:
        raise Invalid("A budget limits tokens, money or both.", param="/max_tokens")
    if max_tokens is not None and not 0 <= max_tokens <= MAX_TOKENS:
        raise Invalid("A number of tokens, from 0 on.", param="/max_tokens")
    if max_usd is not None and not 0 <= max_usd <= 1e9:  # not NaN either
        raise Invalid("An amount in dollars, from 0 on.", param="/max_usd")
    if model is not None and not 0 < len(model) <= 255:
        raise Invalid("The name of a model.", param="/model")
    of_project = select(ApiKey.id).where(ApiKey.id == api_key_id, ApiKey.project_id == project.id)
    if api_key_id is not None and db.scalar(of_project) is None:
        raise Invalid("This project has no such key.", param="/api_key_id")
    budget = Budget(
        project_id=project.id, api_key_id=api_key_id, model=model, period=period, max_tokens=max_tokens, max_usd=max_usd
    )
    db.add(budget)
    db.flush()
    audit.record(db, by, "budget_added", budget, project, period=period, max_tokens=max_tokens, max_usd=max_usd)
    return budget


def remove_budget(db: Session, project: Project, budget_id: UUID, by: User | None = None) -> None:
    """End a limit. Raises UnknownBudget."""
    budget = db.scalar(budgets_of(project).where(Budget.id == budget_id))
    if budget is None:
        raise UnknownBudget
    audit.record(db, by, "budget_removed", budget, project)
    db.delete(budget)
    db.flush()


def limits_of(db: Session, project: Project) -> list[Limit]:
    """Return the budgets of a project with what is used of each in the present period."""
    return [_limit(db, project, budget) for budget in db.scalars(budgets_of(project)).all()]


def ensure_within(limits: Iterable[Limit], api_key_id: UUID, model: str) -> None:
    """Raise BudgetSpent, with the seconds until the next period, when a limit for this key and model is reached."""
    for limit in limits:
        if limit.api_key_id in (None, api_key_id) and limit.model in (None, model) and limit.is_spent:
            whose = "this key" if limit.api_key_id else "this project"
            about = f" and {limit.model}" if limit.model else ""
            raise BudgetSpent(
                f"The budget of {whose}{about} for this {limit.period} is spent.",
                retry_after_seconds=_seconds_left(limit.period),
            )


def cost_of(prices: Mapping[str, Prices], names: Sequence[str | None], input_tokens: int, output_tokens: int) -> float:
    """Return what tokens cost in dollars. names: of the model, as answered and as asked; the first that has a price."""
    price = next((prices[name] for name in names if name is not None and name in prices), None)
    return 0.0 if price is None else (input_tokens * price.input + output_tokens * price.output) / 1_000_000


def add_usage(db: Session, project_id: UUID, used: Mapping[tuple[date, UUID, str], Used]) -> None:
    """Add to what was used. used: by day, key and model."""
    for (day, api_key_id, model), amount in sorted(used.items()):  # in one order, so that nobody waits in a circle
        counts = {name: getattr(amount, name) for name in COUNTS}
        place = {"project_id": project_id, "day": day, "api_key_id": api_key_id, "model": model}
        statement = insert_into(db, Usage).values(**place, **counts)
        added: dict[str, Any] = {name: getattr(Usage, name) + getattr(statement.excluded, name) for name in COUNTS}
        db.execute(statement.on_conflict_do_update(index_elements=list(place), set_=added))


def usage_since(project: Project, day: date) -> Select[Usage]:
    """What was used since a day, the newest first."""
    since = (Usage.project_id == project.id) & (Usage.day >= day)
    return select(Usage).where(since).order_by(Usage.day.desc(), Usage.api_key_id, Usage.model)


def _limit(db: Session, project: Project, budget: Budget) -> Limit:
    today = clock.now().astimezone(UTC).date()
    first = today if budget.period == "day" else today.replace(day=1)
    spent = select(
        func.coalesce(func.sum(Usage.input_tokens + Usage.output_tokens), 0),
        func.coalesce(func.sum(Usage.cost_usd), 0.0),
    ).where(Usage.project_id == project.id, Usage.day >= first)
    if budget.api_key_id is not None:
        spent = spent.where(Usage.api_key_id == budget.api_key_id)
    if budget.model is not None:
        spent = spent.where(Usage.model == budget.model)
    tokens, usd = db.execute(spent).one()
    limit = Limit(budget.api_key_id, budget.model, budget.period, budget.max_tokens, budget.max_usd, 0, 0.0)
    return replace(limit, tokens=int(tokens), usd=float(usd))


def _seconds_left(period: str) -> int:
    now = clock.now().astimezone(UTC)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    if period == "day":
        ends = midnight + timedelta(days=1)
    else:
        ends = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return max(1, int((ends - now).total_seconds()))
