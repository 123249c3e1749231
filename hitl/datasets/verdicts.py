"""From verdicts on single answers to rows that say good or bad: pure, one input at a time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hitl.datasets.pairs import LeftOut, LeftOutReason, gravest
from hitl.datasets.selection import Policy
from hitl.datasets.sides import Side


class Found(NamedTuple):
    """One person found an answer good or bad in itself: a reviewer, or the end user who got it."""

    id: str
    cause_id: str | None  # none: an end user's thumb
    origin: str  # reviewer, end_user
    is_good: bool
    output: Side  # the response
    blocked: LeftOutReason | None = None
    response_ids: tuple[str, ...] = ()  # the response
    feedback_id: str | None = None  # the thumb


class Ruling(NamedTuple):
    """An answer that is good, or bad, by what was found about it."""

    output: Side
    is_good: bool
    origin: str
    agreement: float  # share of the verdicts for this one
    found: tuple[Found, ...]
    is_conflict: bool  # somebody found the opposite
    duplicates: int  # spellings of the same answer that were merged into this one


def rulings_of(
    found: Sequence[Found], policy: Policy = "majority", min_agreement: float = 0.0
) -> tuple[list[Ruling], list[LeftOut]]:
    """Return which answers to one input are good and which are bad, and what was left out.

    Reviewers beat end users: where a reviewer judged an answer, end users' thumbs about it are not read.
    majority: more than half of the verdicts. unanimous: all of them. each: both, where both were found.
    """
    by_answer: dict[str, list[Found]] = defaultdict(list)
    for one in found:
        by_answer[one.output.folded if len(found) > 1 else ""].append(one)
    rulings: list[Ruling] = []
    left_out: list[LeftOut] = []
    for key in sorted(by_answer):
        outcome = _decide(_of_reviewers(by_answer[key]), policy, min_agreement)
        if isinstance(outcome, LeftOut):
            left_out.append(outcome)
        else:
            rulings.extend(outcome)
    return rulings, left_out


def _of_reviewers(found: list[Found]) -> list[Found]:
    """Return what the reviewers found; where none has looked, what the end users did."""
    return [one for one in found if one.origin == "reviewer"] or found


def _decide(found: Sequence[Found], policy: Policy, min_agreement: float) -> list[Ruling] | LeftOut:
    free = [one for one in found if one.blocked is None]
    if not free:
        return _left_out(gravest(one.blocked for one in found), found)
    sides = [side for side in ([one for one in free if one.is_good], [one for one in free if not one.is_good]) if side]
    is_conflict = len(sides) > 1
    reason = _unfit(free[0].output)
    if reason is None and is_conflict and policy == "unanimous":
        reason = "not_unanimous"
    if reason is None and is_conflict and policy == "majority":
        if len(sides[0]) == len(sides[1]):
            reason = "no_majority"
        sides = [max(sides, key=len)]
    agreed = [side for side in sides if len(side) / len(free) >= min_agreement]
    if reason is None and not agreed:
        reason = "low_agreement"
    if reason is not None:
        return _left_out(reason, free, is_conflict)
    return [_ruling(side, free, is_conflict) for side in agreed]


def _unfit(output: Side) -> LeftOutReason | None:
    if output.is_empty:
        return "empty_side"
    return None if output.message.get("role") == "assistant" else "roles_out_of_order"


def _ruling(side: Sequence[Found], free: Sequence[Found], is_conflict: bool) -> Ruling:
    output, spellings = side[0].output, 1
    if len(side) > 1:  # of several spellings the most frequent, then the one with the smallest hash
        counts = Counter(one.output.exact for one in side)
        exact, spellings = min(counts, key=lambda spelling: (-counts[spelling], spelling)), len(counts)
        output = next(one.output for one in side if one.output.exact == exact)
    return Ruling(
        output, side[0].is_good, side[0].origin, len(side) / len(free), tuple(free), is_conflict, spellings - 1
    )


def _left_out(reason: LeftOutReason, found: Iterable[Found], is_conflict: bool = False) -> LeftOut:
    return LeftOut(reason, tuple(sorted(one.id for one in found)), is_conflict)
