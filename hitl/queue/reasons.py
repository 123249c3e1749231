"""Why an item is in the queue, in words that give no model, prompt or rule away."""

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from hitl.queue.models import InputSelection, Item, ItemTarget, RuleVersion, Selection
from hitl.queue.rules import (
    AnyCondition,
    Comparing,
    ExpressionCondition,
    FeedbackCondition,
    ModelCondition,
    condition_of,
)


def why_here(db: Session, item: Item) -> list[str]:
    """Return a phrase for each reason, such as "random sample of all responses, 5 in 100"."""
    drew = _DREW_RESPONSE if item.kind == "response" else _DREW_INPUT
    reasons = [_phrase(version) for version in db.scalars(drew, {"item": item.id})]
    by_hand = ["picked by hand"] if item.added_by_id is not None or not reasons else []
    return list(dict.fromkeys(by_hand + reasons))


# The rules that drew an item, as they were then, in order.
_DREW_INPUT = (
    select(RuleVersion)
    .join(InputSelection, InputSelection.rule_version_id == RuleVersion.id)
    .where(InputSelection.item_id == bindparam("item"))
    .order_by(InputSelection.at, InputSelection.id)
)
_DREW_RESPONSE = (
    select(RuleVersion)
    .join(Selection, Selection.rule_version_id == RuleVersion.id)
    .join(ItemTarget, ItemTarget.response_id == Selection.response_id)
    .where(ItemTarget.item_id == bindparam("item"), Selection.is_drawn)
    .order_by(Selection.at, Selection.id)
)


def share_in_words(rate: float) -> str:
    """Return a rate as people say it: "5 in 100", "1 in 1,000"."""
    for whole in (100, 1_000, 10_000, 100_000, 1_000_000):
        part = rate * whole
        if part >= 1 and abs(part - round(part)) < 1e-9 * whole:
            return f"{round(part):,} in {whole:,}"
    return f"{rate * 100:.3g} in 100"


def answers_in_words(compare: Comparing) -> str:
    """Return how many answers are put side by side: "3", "2 to 5"."""
    same = compare.at_least == compare.at_most
    return f"{compare.at_most}" if same else f"{compare.at_least} to {compare.at_most}"


def in_words(condition: AnyCondition) -> str:
    """Say which responses a condition fits, for those who may know: with the model's name."""
    if isinstance(condition, ModelCondition):
        return f"responses of {condition.name}" + (f" {condition.version}" if condition.version else "")
    if isinstance(condition, ExpressionCondition):
        return f"responses with {condition.expression}"
    return _in_blind_words(condition)


def _phrase(version: RuleVersion) -> str:
    whom = _in_blind_words(condition_of(version))
    if version.compare is not None:
        whom = f"inputs with different answers, taken from {whom}"
    if version.rate == 1:
        return whom
    return f"random sample of {whom}, {share_in_words(version.rate)}"


def _in_blind_words(condition: AnyCondition) -> str:
    if isinstance(condition, ModelCondition):
        return "all responses of one model"
    if isinstance(condition, FeedbackCondition):
        return "responses that end users complained about" if condition.negative_only else "responses with feedback"
    if isinstance(condition, ExpressionCondition):
        return "responses that a rule looks for"  # what it says may name a model
    return "all responses"
