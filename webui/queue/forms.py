"""What leads fill in about rules and items: read, checked, and shown again with their problems."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from hitl.queue.models import MAX_COMPARED
from hitl.queue.rules import (
    MAX_PRIORITY_DAYS,
    MAX_REVIEWS_WANTED,
    AllCondition,
    AnyCondition,
    Comparing,
    ExpressionCondition,
    FeedbackCondition,
    ModelCondition,
    Terms,
)

WHOM = (
    ("all", "All responses"),
    ("model", "Responses of one model"),
    ("complaints", "Responses that end users complained about"),
    ("feedback", "Responses with any feedback"),
    ("expression", "Responses that an expression fits"),
)
RATE_PROBLEM = "A share such as 5 in 100: both above 0, the first not above the second."


@dataclass
class RuleForm:
    """A rule as typed: `values` by field, `problems` by field."""

    values: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> "RuleForm":
        """A new rule's form."""
        return cls({"whom": "all", "part": "5", "whole": "100", "priority": "0", "reviews_wanted": "1"})

    @classmethod
    def of(cls, name: str, terms: Terms) -> "RuleForm":
        """A rule as it is now."""
        condition = terms.condition
        part, whole = _share(terms.rate)
        return cls(
            {
                "name": name,
                "whom": _whom(condition),
                "model": getattr(condition, "name", ""),
                "model_version": getattr(condition, "version", "") or "",
                "feedback_kind": getattr(condition, "feedback_kind", "") or "",
                "expression": getattr(condition, "expression", ""),
                "feedback_value": _as_typed(getattr(condition, "value", None)),
                "part": part,
                "whole": whole,
                "compare_at_least": str(terms.compare.at_least) if terms.compare else "",
                "compare_at_most": str(terms.compare.at_most) if terms.compare else "",
                "priority": str(terms.priority),
                "reviews_wanted": str(terms.reviews_wanted),
            }
        )

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> "RuleForm":
        """What was sent."""
        typed = ("name", "model", "model_version", "feedback_kind", "feedback_value", "include_earlier", "expression")
        typed += ("compare_at_least", "compare_at_most")
        names = (*cls.empty().values, *typed)
        return cls({name: sent.get(name, "").strip() for name in names})

    def terms(self) -> Terms | None:
        """Return what the rule is to say; None, with `problems` named, if that cannot be read."""
        rate = self._rate()
        priority = self.whole_number("priority", -MAX_PRIORITY_DAYS, MAX_PRIORITY_DAYS)
        reviews = self.whole_number("reviews_wanted", 1, MAX_REVIEWS_WANTED)
        condition = self._condition()
        compare = self._comparing()
        if rate is None or priority is None or reviews is None or condition is None or self.problems:
            return None
        return Terms(condition=condition, compare=compare, rate=rate, priority=priority, reviews_wanted=reviews)

    def _comparing(self) -> Comparing | None:
        """Return how many answers are compared; None if none are, or if that cannot be read."""
        if not self.values.get("compare_at_most"):
            return None
        most = self.whole_number("compare_at_most", 2, MAX_COMPARED)
        self.values["compare_at_least"] = self.values.get("compare_at_least") or "2"
        least = self.whole_number("compare_at_least", 2, most or MAX_COMPARED)
        return None if most is None or least is None else Comparing(at_least=least, at_most=most)

    def whole_number(self, name: str, lowest: int, highest: int) -> int | None:
        """Return a whole number of the form; None, with its problem named, if it is none or out of bounds."""
        number = read_whole_number(self.values[name], lowest, highest)
        if number is None:
            self.problems[name] = f"A whole number from {lowest:,} to {highest:,}."
        return number

    def _rate(self) -> float | None:
        try:
            rate = float(self.values["part"]) / float(self.values["whole"])
        except (ValueError, ZeroDivisionError):
            rate = math.nan
        if not 0 < rate <= 1 or float(self.values["part"]) <= 0:
            self.problems["part"] = RATE_PROBLEM
            return None
        return rate

    def _condition(self) -> AnyCondition | None:
        typed: dict[str, Any] = {
            name: self.values[name] or None for name in ("model", "model_version", "feedback_kind")
        }
        try:
            match self.values["whom"]:
                case "model":
                    return ModelCondition(name=typed["model"] or "", version=typed["model_version"])
                case "complaints":
                    return FeedbackCondition(negative_only=True, feedback_kind=typed["feedback_kind"])
                case "feedback":
                    value = _as_meant(self.values["feedback_value"])
                    return FeedbackCondition(feedback_kind=typed["feedback_kind"], value=value)
                case "expression":
                    return ExpressionCondition(expression=self.values["expression"])
                case "all":
                    return AllCondition()
        except ValidationError as error:
            self._name_problem(error)
            return None
        self.problems["whom"] = "Choose which responses this rule is about."
        return None

    def _name_problem(self, error: ValidationError) -> None:
        fields = {"name": "model", "version": "model_version"}
        at = str(error.errors()[0]["loc"][0])
        if at == "expression":
            self.problems[at] = "An expression of at most 1,000 bytes, such as: signals.refusal > 0."
            return
        self.problems[fields.get(at, at)] = "From 1 to 255 characters, as the client sends it."


def read_whole_number(text: str, lowest: int, highest: int) -> int | None:
    """Return the whole number that was typed, or None."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if lowest <= number <= highest else None


def _whom(condition: AnyCondition) -> str:
    if isinstance(condition, FeedbackCondition):
        return "complaints" if condition.negative_only else "feedback"
    return condition.kind


def _as_meant(typed: str) -> bool | float | str | None:
    """Return the value that was typed: `true`, `4` and `"4"` as in JSON, anything else as the text that it is."""
    try:
        value = json.loads(typed)
        is_number = isinstance(value, int | float) and math.isfinite(value)  # "NaN" and "1e999" are words to us
    except (ValueError, RecursionError, OverflowError):
        return typed or None
    return value if is_number or isinstance(value, str) else typed


def _as_typed(value: bool | float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) and _as_meant(value) == value else json.dumps(value)


def _share(rate: float) -> tuple[str, str]:
    """Return a rate as a share of a round number: 0.05 is 5 in 100, 0.0012 is 1.2 in 1,000."""
    whole = 100
    while rate * whole < 0.5 and whole < 1_000_000:
        whole *= 10
    return f"{rate * whole:.6g}", str(whole)
