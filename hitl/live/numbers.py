"""What holds and interventions amount to: for each rule of the policy, and for each person."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Text, case, cast, func, select
from sqlalchemy.orm import Session

from hitl.accounts.models import User
from hitl.capture.models import Feedback
from hitl.live.models import Draft, Hold
from hitl.live.policy.models import PolicyDecision, PolicyRule, PolicyRuleVersion

WAITS_READ = 20_000  # of the newest holds, for the percentiles


@dataclass(frozen=True)
class HoldNumbers:
    """What became of holds. Waits in seconds; None where nothing ended."""

    name: str
    holds: int
    approved: int
    edited: int
    refused: int
    expired: int
    taken_over: int
    wait_p50: float | None
    wait_p95: float | None


class Share(NamedTuple):
    """How often something happened among so many, with a 95 % interval."""

    times: int
    among: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.times / self.among if self.among else 0.0


@dataclass(frozen=True)
class GateEffect:
    """Complaints about drafts that a rule held, beside those that it left unheld by chance."""

    name: str
    held: Share
    held_out: Share


def numbers_by_person(db: Session, project_id: UUID, since: datetime) -> list[HoldNumbers]:
    """Return what each person made of holds, by name."""
    rows = _ended_holds(db, project_id, since, Hold.decided_by)
    names = {user.id: user.name for user in db.scalars(select(User).where(User.id.in_({row.key for row in rows})))}
    return _numbers(rows, lambda key: names[key], skip_nobody=True)


def numbers_of_all(db: Session, project_id: UUID, since: datetime) -> HoldNumbers | None:
    """Return what became of all holds; None where there were none."""
    rows = _ended_holds(db, project_id, since, Hold.project_id)
    found = _numbers(rows, lambda _key: "All")
    return found[0] if found else None


def numbers_by_rule(db: Session, project_id: UUID, since: datetime) -> list[HoldNumbers]:
    """Return what became of the holds of each rule, by name."""
    rule_of_hold = (
        select(PolicyRuleVersion.rule_id)
        .join(PolicyDecision, PolicyDecision.rule_version_id == PolicyRuleVersion.id)
        .where(PolicyDecision.draft_id == Hold.draft_id, PolicyDecision.outcome == "held")
        .limit(1)
        .scalar_subquery()
    )
    rows = _ended_holds(db, project_id, since, rule_of_hold)
    wanted = {row.key for row in rows} - {None}
    names = {rule.id: rule.name for rule in db.scalars(select(PolicyRule).where(PolicyRule.id.in_(wanted)))}
    return _numbers(rows, lambda key: names[key], skip_nobody=True)


def gate_effects(db: Session, project_id: UUID, since: datetime) -> list[GateEffect]:
    """Return for each rule with a hold-out how many of its drafts end users disliked: held, and left unheld.

    Which drafts are left unheld is drawn, so what differs is the gate's doing. Wilson's interval of each share:
    E. B. Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    disliked = (
        select(Feedback.id)
        .where(Feedback.response_id == Draft.response_id, Feedback.kind == "thumbs", _is_thumbs_down())
        .exists()
    )
    counted = (
        select(
            PolicyRule.name,
            PolicyDecision.outcome,
            func.count().label("among"),
            func.sum(case((disliked, 1), else_=0)).label("times"),
        )
        .select_from(PolicyDecision)
        .join(PolicyRuleVersion, PolicyRuleVersion.id == PolicyDecision.rule_version_id)
        .join(PolicyRule, PolicyRule.id == PolicyRuleVersion.rule_id)
        .join(Draft, Draft.id == PolicyDecision.draft_id)
        .where(
            PolicyDecision.project_id == project_id,
            PolicyDecision.decided_at >= since,
            PolicyDecision.outcome.in_(("held", "held_out")),
        )
        .group_by(PolicyRule.name, PolicyDecision.outcome)
    )
    shares: dict[str, dict[str, Share]] = {}
    for name, outcome, among, times in db.execute(counted):
        shares.setdefault(name, {})[outcome] = share(times or 0, among)
    none = share(0, 0)
    return [
        GateEffect(name, found.get("held", none), found["held_out"])
        for name, found in sorted(shares.items())
        if "held_out" in found
    ]


def share(times: int, among: int, z: float = 1.959964) -> Share:
    """Return a share with Wilson's interval; of nothing it is from 0 to 1."""
    if among == 0:
        return Share(0, 0, 0.0, 1.0)
    p = times / among
    middle = (p + z * z / (2 * among)) / (1 + z * z / among)
    half = z * math.sqrt(p * (1 - p) / among + z * z / (4 * among * among)) / (1 + z * z / among)
    return Share(times, among, max(0.0, middle - half), min(1.0, middle + half))


class _EndedHold(NamedTuple):
    key: Any
    ended_as: str
    seconds: float


def _ended_holds(db: Session, project_id: UUID, since: datetime, key: Any) -> list[_EndedHold]:
    query = (
        select(key, Hold.ended_as, Hold.opened_at, Hold.ended_at)
        .where(Hold.project_id == project_id, Hold.opened_at >= since, Hold.ended_at.is_not(None))
        .order_by(Hold.opened_at.desc())
        .limit(WAITS_READ)
    )
    return [_EndedHold(row[0], row[1], (row[3] - row[2]).total_seconds()) for row in db.execute(query)]


def _numbers(rows: Sequence[_EndedHold], name_of: Any, *, skip_nobody: bool = False) -> list[HoldNumbers]:
    by_key: dict[Any, list[_EndedHold]] = {}
    for row in rows:
        if row.key is not None or not skip_nobody:
            by_key.setdefault(row.key, []).append(row)
    return sorted((_summed(name_of(key), found) for key, found in by_key.items()), key=lambda numbers: numbers.name)


def _summed(name: str, rows: Sequence[_EndedHold]) -> HoldNumbers:
    ended = {how: sum(row.ended_as == how for row in rows) for how in _ENDS}
    waits = sorted(row.seconds for row in rows)
    return HoldNumbers(name, len(rows), **ended, wait_p50=percentile(waits, 0.5), wait_p95=percentile(waits, 0.95))


_ENDS = ("approved", "edited", "refused", "expired", "taken_over")


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value below which this share lies, by nearest rank; None of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _is_thumbs_down() -> ColumnElement[bool]:
    return func.trim(cast(Feedback.value, Text), '"').in_(("false", "0", "down"))
