"""What waits for one person in one project, by what they may do there."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Membership, Project, User
from hitl.capture.queries import captured_count_since, last_captured_at
from hitl.core import clock
from hitl.datasets.models import DatasetVersion
from hitl.datasets.versions import versions_of
from hitl.live.policy.models import PolicyRule
from hitl.live.policy.rules import rules_of
from hitl.queue.capacity import Capacity, Draws, capacity, draws_by_rule
from hitl.queue.fitting import MAX_OVERRUNS
from hitl.queue.models import Assignment, Item, ItemTarget, Lease, Rule
from hitl.queue.queries import running_leases, running_rules, stuck_count
from hitl.queue.rules import terms_of
from hitl.queue.waiting import WAITING_COUNT_LIMIT, waiting_count
from hitl.review.models import Draft, Review
from hitl.review.queries import review_count_since
from webui.queue.listing import said_by
from webui.queue.wording import capacity_in_words, looked_at, terms_in_words

NEWEST_RULES = 3
TOLD_FOR = timedelta(days=7)  # of a rule of the queue, which cannot be switched on again
NEWEST_VERSIONS = 3


@dataclass(frozen=True)
class Unfinished:
    """An item that the person holds."""

    lease: Lease
    said: str
    has_draft: bool


@dataclass(frozen=True)
class ToReview:
    """For reviewers."""

    unfinished: list[Unfinished]
    reserved: int  # kept for this person
    waiting: int  # that they may take, those reserved among them
    waiting_goes_on: bool  # there are more; nobody counted on
    done_today: int


@dataclass(frozen=True)
class SlowRule:
    """A rule that was switched off by itself, because it took too long."""

    name: str
    endpoint: str
    where: dict[str, UUID]


@dataclass(frozen=True)
class ToDecide:
    """For leads."""

    slow_rules: list[SlowRule]  # of which whoever wrote them, and the other leads, are told here
    stuck: int
    extras: int
    capacity: Capacity
    capacity_words: tuple[str, str]
    looked_at: str
    rules: list[tuple[Rule, str, Draws]]  # the newest


@dataclass(frozen=True)
class ToBuild:
    """For engineers."""

    captured_today: int
    last_captured_at: datetime | None
    versions: list[DatasetVersion]


def role_in(db: Session, user: User, project: Project) -> str:
    """Return a member's role."""
    role = select(Membership.role).where(Membership.user_id == user.id, Membership.project_id == project.id)
    return db.scalars(role).one()


def to_review(db: Session, user: User, project: Project) -> ToReview:
    """Return what waits for a reviewer."""
    reserved = (
        select(func.count())
        .select_from(Assignment)
        .join(Assignment.item)
        .where(Assignment.reviewer_id == user.id, Assignment.is_reserving, Item.project_id == project.id)
    )
    waiting = waiting_count(db, user, project)
    return ToReview(
        unfinished=_unfinished(db, user, project),
        reserved=db.scalar(reserved) or 0,
        waiting=waiting,
        waiting_goes_on=waiting >= WAITING_COUNT_LIMIT,
        done_today=db.scalar(review_count_since(user, project, _midnight())) or 0,
    )


def _unfinished(db: Session, user: User, project: Project) -> list[Unfinished]:
    with_responses = joinedload(Lease.item).selectinload(Item.targets).joinedload(ItemTarget.response)
    held = running_leases(user, project).where(Lease.expires_at > clock.now()).options(with_responses)
    leases = db.scalars(held).all()
    drafts = select(Draft.item_id, Draft.answers).where(
        Draft.reviewer_id == user.id, Draft.item_id.in_([lease.item_id for lease in leases])
    )
    drafted = {item_id for item_id, answers in db.execute(drafts) if answers}
    return [Unfinished(lease, said_by(lease.item), lease.item_id in drafted) for lease in leases]


def to_decide(db: Session, project: Project) -> ToDecide:
    """Return what waits for a lead."""
    extras = select(func.count()).where(Review.project_id == project.id, Review.standing == "extra")
    keeping_up = capacity(db, project)
    return ToDecide(
        slow_rules=_slow_rules(db, project),
        stuck=db.scalar(stuck_count(project)) or 0,
        extras=db.scalar(extras) or 0,
        capacity=keeping_up,
        capacity_words=capacity_in_words(keeping_up),
        looked_at=looked_at(keeping_up),
        rules=_newest_rules(db, project),
    )


def _slow_rules(db: Session, project: Project) -> list[SlowRule]:
    of_policy = rules_of(project).where(PolicyRule.why_off == "too_slow")
    of_queue = select(Rule).where(
        Rule.project_id == project.id, Rule.overruns >= MAX_OVERRUNS, Rule.ended_at > clock.now() - TOLD_FOR
    )
    return [
        *(SlowRule(rule.name, "policy.show_rule", {"policy_rule_id": rule.id}) for rule in db.scalars(of_policy)),
        *(SlowRule(rule.name, "queue.show_rule", {"rule_id": rule.id}) for rule in db.scalars(of_queue)),
    ]


def _newest_rules(db: Session, project: Project) -> list[tuple[Rule, str, Draws]]:
    draws: dict[Any, Draws] = draws_by_rule(db, project)
    found = sorted(db.execute(running_rules(project.id)), key=lambda pair: pair[1].created_at, reverse=True)
    return [
        (rule, terms_in_words(terms_of(version)), draws.get(rule.id, Draws())) for rule, version in found[:NEWEST_RULES]
    ]


def to_build(db: Session, project: Project) -> ToBuild:
    """Return what an engineer looks at first: whether responses come in, and the newest dataset versions."""
    newest = versions_of(project).order_by(None).order_by(DatasetVersion.id.desc()).limit(NEWEST_VERSIONS)
    return ToBuild(
        captured_today=db.scalar(captured_count_since(project.id, _midnight())) or 0,
        last_captured_at=db.scalar(last_captured_at(project.id)),
        versions=list(db.scalars(newest)),
    )


def _midnight() -> datetime:
    return clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
