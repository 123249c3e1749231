"""From judgements to preference pairs: pure, one input at a time."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from hitl.datasets.selection import Policy
from hitl.datasets.sides import Message, Side, are_same

# Of several judgements in one revision about the same two sides, the first of these is that reviewer's vote.
ORIGIN_ORDER = ("correction", "intervention", "ranking", "scale")

LeftOutReason = Literal[
    "may_not_train",  # the client said no
    "may_train_unknown",  # neither client nor project said yes
    "personal_data",  # marked when it was captured
    "equal_sides",  # the same but for white space and Unicode spelling
    "empty_side",
    "roles_out_of_order",
    "both_bad",
    "tie",
    "no_majority",
    "not_unanimous",
    "low_agreement",
]


BLOCKS: tuple[LeftOutReason, ...] = ("may_not_train", "may_train_unknown", "personal_data")  # the gravest first


def gravest(blocks: Iterable[LeftOutReason | None]) -> LeftOutReason:
    """Return the gravest of these blocks, of which there is at least one."""
    return min((block for block in blocks if block is not None), key=BLOCKS.index)


class Judgement(NamedTuple):
    """One piece of evidence: of two answers to the same input, which is better."""

    id: str
    cause_id: str  # of the revision or the intervention that said so
    origin: str
    outcome: str  # a, b, tie, both_bad
    distance: float | None
    a: Side
    b: Side
    blocked: LeftOutReason | None = None  # why it may not be trained on
    response_ids: tuple[str, ...] = ()  # all that it is about


class Pair(NamedTuple):
    """To one input, this answer was preferred over that one."""

    chosen: Side
    rejected: Side
    origin: str
    agreement: float  # share of the votes for this order
    margin: float | None  # mean distance, by those who voted for this order
    judgements: tuple[Judgement, ...]
    is_conflict: bool  # somebody voted for the opposite order
    duplicates: int  # spellings of the same two sides that were merged into this one


class LeftOut(NamedTuple):
    """Two answers that were compared and make no pair (or an answer that makes no other row), and why."""

    reason: LeftOutReason
    evidence_ids: tuple[str, ...]
    is_conflict: bool = False


class Vote(NamedTuple):
    """What one person said about two sides, in their order of hash: first, second, tie, both_bad."""

    outcome: str
    judgement: Judgement


def pairs_of(
    judgements: Sequence[Judgement], policy: Policy = "majority", min_agreement: float = 0.0
) -> tuple[list[Pair], list[LeftOut]]:
    """Return the pairs that these judgements about one input make, and what was left out.

    The result does not depend on the order of the judgements, nor on any database id.
    """
    if len(judgements) == 1:
        lone = decide_lone(judgements[0])
        return ([], [lone]) if isinstance(lone, LeftOut) else ([lone], [])
    by_sides: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_sides[_sides_key(judgement)].append(judgement)
    pairs: list[Pair] = []
    left_out: list[LeftOut] = []
    for key in sorted(by_sides):
        outcome = _decide(key, by_sides[key], policy, min_agreement)
        if isinstance(outcome, LeftOut):
            left_out.append(outcome)
        else:
            pairs.extend(outcome)
    return pairs, left_out


def decide_lone(judgement: Judgement) -> Pair | LeftOut:
    """Return what the only judgement about an input makes, by any policy: a shorter way to the same as for several."""
    if judgement.blocked is not None:
        return LeftOut(judgement.blocked, (judgement.id,))
    if are_same(judgement.a, judgement.b):
        return LeftOut("equal_sides", (judgement.id,))
    reason = _unfit_sides(judgement)
    if reason is None and judgement.outcome not in ("a", "b"):
        reason = "both_bad" if judgement.outcome == "both_bad" else "tie"
    if reason is not None:
        return LeftOut(reason, (judgement.id,))
    chosen, rejected = _chosen_and_rejected(judgement)
    return Pair(chosen, rejected, judgement.origin, 1.0, judgement.distance, (judgement,), False, 0)


def _sides_key(judgement: Judgement) -> tuple[str, str]:
    a, b = judgement.a.folded, judgement.b.folded
    return (a, b) if a <= b else (b, a)


def _decide(
    key: tuple[str, str], judgements: Sequence[Judgement], policy: Policy, min_agreement: float
) -> list[Pair] | LeftOut:
    free = [judgement for judgement in judgements if judgement.blocked is None]
    reason = _unfit(key, judgements, free)
    if reason is not None:
        return _left_out(reason, judgements)
    votes = _votes(key, free)
    is_conflict = {"first", "second"} <= {vote.outcome for vote in votes}
    winners = _winners(votes, policy)
    if isinstance(winners, str):
        return _left_out(winners, free, is_conflict)
    pairs = [_pair(winner, votes, free, is_conflict) for winner in winners]
    agreed = [pair for pair in pairs if pair.agreement >= min_agreement]
    return agreed or _left_out("low_agreement", free, is_conflict)


def _unfit(key: tuple[str, str], judgements: Sequence[Judgement], free: Sequence[Judgement]) -> LeftOutReason | None:
    if not free:
        return gravest(judgement.blocked for judgement in judgements)
    if key[0] == key[1]:
        return "equal_sides"
    return _unfit_sides(free[0])


def _unfit_sides(judgement: Judgement) -> LeftOutReason | None:
    a, b = judgement.a, judgement.b
    if a.is_empty or b.is_empty:
        return "empty_side"
    if a.message.get("role") != "assistant" or b.message.get("role") != "assistant":
        return "roles_out_of_order"
    return None


def _votes(key: tuple[str, str], judgements: Sequence[Judgement]) -> list[Vote]:
    """Return one vote a revision or intervention: who ranked and rated the same two answers still has one voice."""
    first: dict[str, Vote] = {}
    for judgement in sorted(judgements, key=lambda judgement: _precedence(key, judgement)):
        first.setdefault(judgement.cause_id, Vote(_oriented(key, judgement), judgement))
    return list(first.values())


def _precedence(key: tuple[str, str], judgement: Judgement) -> tuple[int, str, list[tuple[str, str]], float]:
    """Return what orders a revision's judgements: no id, and nothing that turning the sides round would change."""
    spellings = sorted((side.folded, side.exact) for side in (judgement.a, judgement.b))
    distance = -1.0 if judgement.distance is None else judgement.distance
    return _origin_rank(judgement.origin), _oriented(key, judgement), spellings, distance


def _origin_rank(origin: str) -> int:
    return ORIGIN_ORDER.index(origin) if origin in ORIGIN_ORDER else len(ORIGIN_ORDER)


def _oriented(key: tuple[str, str], judgement: Judgement) -> str:
    if judgement.outcome not in ("a", "b"):
        return judgement.outcome
    winner = judgement.a if judgement.outcome == "a" else judgement.b
    return "first" if winner.folded == key[0] else "second"


def _winners(votes: Sequence[Vote], policy: Policy) -> list[str] | LeftOutReason:
    counts = Counter(vote.outcome for vote in votes)
    orders = [order for order in ("first", "second") if counts[order]]
    if not orders:
        return "both_bad" if counts["both_bad"] > counts["tie"] else "tie"
    if policy == "each":
        return orders
    if policy == "unanimous":
        return orders if counts[orders[0]] == len(votes) else "not_unanimous"
    return [order for order in orders if counts[order] * 2 > len(votes)] or "no_majority"


def _pair(winner: str, votes: Sequence[Vote], judgements: Sequence[Judgement], is_conflict: bool) -> Pair:
    backing = [vote.judgement for vote in votes if vote.outcome == winner]
    distances = [judgement.distance for judgement in backing if judgement.distance is not None]
    sides = {
        (chosen.exact, rejected.exact): (chosen, rejected) for chosen, rejected in map(_chosen_and_rejected, backing)
    }
    spellings = Counter((chosen.exact, rejected.exact) for chosen, rejected in map(_chosen_and_rejected, backing))
    chosen, rejected = sides[min(spellings, key=lambda spelling: (-spellings[spelling], spelling))]
    return Pair(
        chosen=chosen,
        rejected=rejected,
        origin=_main_origin(judgement.origin for judgement in backing),
        agreement=len(backing) / len(votes),
        margin=math.fsum(distances) / len(distances) if distances else None,
        judgements=tuple(judgements),
        is_conflict=is_conflict,
        duplicates=len(spellings) - 1,
    )


def _chosen_and_rejected(judgement: Judgement) -> tuple[Side, Side]:
    return (judgement.a, judgement.b) if judgement.outcome == "a" else (judgement.b, judgement.a)


def _main_origin(origins: Iterable[str]) -> str:
    counts = Counter(origins)
    return min(counts, key=lambda origin: (-counts[origin], _origin_rank(origin)))


def _left_out(reason: LeftOutReason, judgements: Iterable[Judgement], is_conflict: bool = False) -> LeftOut:
    return LeftOut(reason, tuple(sorted(judgement.id for judgement in judgements)), is_conflict)


def roles_in_order(prompt: Sequence[Message]) -> bool:
    """Whether an assistant message can follow this prompt.

    It is not empty, does not end with the assistant, and each tool message answers a call made just before.
    """
    if not prompt or prompt[-1].get("role") == "assistant":
        return False
    open_calls: set[str] = set()
    for message in prompt:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                return False
        else:
            open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    return True
