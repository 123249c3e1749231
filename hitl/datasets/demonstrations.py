"""From approvals, corrections and interventions to demonstrations: pure, one input at a time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hitl.datasets.pairs import LeftOut, LeftOutReason, gravest
from hitl.datasets.selection import Policy
from hitl.datasets.sides import Side


class Shown(NamedTuple):
    """Somebody showed what a good answer is: the response as it was, or what they made of it."""

    id: str
    cause_id: str
    origin: str  # approval, correction, intervention
    reviewed: Side  # the response
    output: Side  # what is worth imitating
    blocked: LeftOutReason | None = None
    response_ids: tuple[str, ...] = ()  # the one that was reviewed

    @property
    def is_approval(self) -> bool:
        """Whether it shows the response as it was. An intervention may have sent it so, or other words instead."""
        return self.origin == "approval" or (self.origin == "intervention" and self.output is self.reviewed)


class Completion(NamedTuple):
    """An answer worth imitating."""

    output: Side
    origin: str
    agreement: float  # share of those who reviewed the response who took the same side: fine as it is, or not
    shown: tuple[Shown, ...]
    is_conflict: bool
    duplicates: int  # the same answer shown again, merged into this one


def completions_of(
    shown: Sequence[Shown], policy: Policy = "majority", min_agreement: float = 0.0
) -> tuple[list[Completion], list[LeftOut]]:
    """Return the answers to one input that are worth imitating, and what was left out.

    Reviewers of one response take sides: fine as it is (an approval), or not (a correction, in their own words).
    majority: the larger side counts. unanimous: only where nobody is on the other. each: both sides count.
    """
    if len(shown) == 1:  # nothing to compare, and so nothing to hash
        lone = _decide(shown, policy, min_agreement)
        return ([], [lone]) if isinstance(lone, LeftOut) else (lone, [])
    by_response: dict[str, list[Shown]] = defaultdict(list)
    for one in shown:
        by_response[one.reviewed.folded].append(one)
    left_out: list[LeftOut] = []
    kept: dict[str, list[Completion]] = defaultdict(list)
    for key in sorted(by_response):
        outcome = _decide(by_response[key], policy, min_agreement)
        if isinstance(outcome, LeftOut):
            left_out.append(outcome)
            continue
        for completion in outcome:
            kept[completion.output.folded].append(completion)
    return [_merged(kept[key]) for key in sorted(kept)], left_out


def _decide(shown: Sequence[Shown], policy: Policy, min_agreement: float) -> list[Completion] | LeftOut:
    free = [one for one in shown if one.blocked is None]
    if not free:
        return _left_out(gravest(one.blocked for one in shown), shown)
    approvals = [one for one in free if one.is_approval]
    corrections = [one for one in free if not one.is_approval]
    is_conflict = bool(approvals and corrections)
    sides = [side for side in (approvals, corrections) if side]
    if is_conflict and policy == "unanimous":
        return _left_out("not_unanimous", free, is_conflict=True)
    if is_conflict and policy == "majority":
        if len(approvals) == len(corrections):
            return _left_out("no_majority", free, is_conflict=True)
        sides = [max(sides, key=len)]
    agreed = [side for side in sides if len(side) / len(free) >= min_agreement]
    if not agreed:
        return _left_out("low_agreement", free, is_conflict)
    found = [_completion(one, len(side) / len(free), is_conflict) for side in agreed for one in side]
    fit = [completion for completion in found if _unfit(completion.output) is None]
    return fit or _left_out(_unfit(found[0].output) or "empty_side", free, is_conflict)


def _completion(one: Shown, agreement: float, is_conflict: bool) -> Completion:
    return Completion(one.output, one.origin, agreement, (one,), is_conflict, duplicates=0)


def _unfit(output: Side) -> LeftOutReason | None:
    if output.is_empty:
        return "empty_side"
    return None if output.message.get("role") == "assistant" else "roles_out_of_order"


def _merged(completions: Sequence[Completion]) -> Completion:
    """Return one completion for an answer that several people showed; a correction's origin outweighs an approval's."""
    first = min(completions, key=lambda completion: (completion.origin != "correction", completion.output.exact))
    return first._replace(
        agreement=max(completion.agreement for completion in completions),
        shown=tuple(one for completion in completions for one in completion.shown),
        is_conflict=any(completion.is_conflict for completion in completions),
        duplicates=len({completion.output.exact for completion in completions}) - 1,
    )


def _left_out(reason: LeftOutReason, shown: Iterable[Shown], is_conflict: bool = False) -> LeftOut:
    return LeftOut(reason, tuple(sorted(one.id for one in shown)), is_conflict)
