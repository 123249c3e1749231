"""Whether the people there are can keep up with what comes in."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hitl.accounts.models import Project
from hitl.core import clock
from hitl.core.ids import first_id_at
from hitl.queue.models import InputSelection, Item, Lease, Rule, Selection

DAYS_LOOKED_AT = 7


@dataclass(frozen=True)
class Capacity:
    """How many reviews are wanted and made, on the average of the last days."""

    days: int  # how many were looked at: a young project has fewer
    is_first_day: bool  # what came in at once, such as a file, says nothing yet about a day
    wanted_per_day: float  # by items that came in
    made_per_day: float  # counted ones
    missing: int  # reviews that open items still want and nobody is at


@dataclass(frozen=True)
class Draws:
    """How many responses, or inputs, a rule fitted in the last days, and how many of them it drew."""

    eligible: int = 0
    drawn: int = 0


def capacity(db: Session, project: Project) -> Capacity:
    """Return how many reviews a project wants and gets in a day."""
    days = _days_looked_at(project)
    since = first_id_at(clock.now() - timedelta(days=days))
    wanted = select(func.coalesce(func.sum(Item.reviews_wanted), 0)).where(
        Item.project_id == project.id, Item.id >= since
    )
    # A review is counted on the day when its lease began, which is nearly always the day of the review.
    made = select(func.count()).where(
        Lease.project_id == project.id, Lease.id >= since, Lease.ended_as == "completed", Lease.holds_slot
    )
    missing = select(func.coalesce(func.sum(Item.open_slots), 0)).where(
        Item.project_id == project.id, Item.open_slots > 0
    )
    return Capacity(
        days=days,
        is_first_day=clock.now() - project.created_at < timedelta(days=1),
        wanted_per_day=(db.scalar(wanted) or 0) / days,
        made_per_day=(db.scalar(made) or 0) / days,
        missing=int(db.scalar(missing) or 0),
    )


def draws_by_rule(db: Session, project: Project) -> dict[UUID, Draws]:
    """Return by rule id what each rule did in the last days. Rules that fitted nothing are left out."""
    since = first_id_at(clock.now() - timedelta(days=_days_looked_at(project)))
    # A rule may have drawn responses in one version and inputs in the next.
    draws: dict[UUID, Draws] = {}
    for table in (Selection, InputSelection):
        counts = (
            select(table.rule_id, func.count(), func.count().filter(table.is_drawn))
            .join(Rule, Rule.id == table.rule_id)
            .where(Rule.project_id == project.id, table.id >= since)
            .group_by(table.rule_id)
        )
        for rule_id, eligible, drawn in db.execute(counts):
            before = draws.get(rule_id, Draws())
            draws[rule_id] = Draws(before.eligible + eligible, before.drawn + drawn)
    return draws


def _days_looked_at(project: Project) -> int:
    """A project made yesterday has one day to look at, not seven with six empty ones."""
    return max(1, min(DAYS_LOOKED_AT, (clock.now() - project.created_at).days))
