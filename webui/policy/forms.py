"""What leads fill in about a rule of the policy: read, checked, and shown again with its problems."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from hitl.live.policy.rules import MAX_DEADLINE_SECONDS, MAX_HOLD_OUT, MAX_REPLY_CHARACTERS, PolicyTerms
from webui.queue.forms import read_whole_number

ACTIONS = (("hold", "Hold the draft until a person decides"), ("alert", "Tell supervisors, and let the draft go out"))
WHEN_NOBODY = (
    ("safe_reply", "The safe reply is sent"),
    ("send", "The draft is sent as it is"),
    ("refuse", "Nothing is sent"),
)


@dataclass
class PolicyForm:
    """A rule as typed: `values` by field, `problems` by field."""

    values: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> "PolicyForm":
        """A new rule's form."""
        return cls(
            {
                "name": "",
                "action": "hold",
                "expression": "",
                "hold_out": "0",
                "deadline_seconds": "120",
                "when_nobody": "safe_reply",
                "safe_reply": "",
                "seen": "",
            }
        )

    @classmethod
    def of(cls, name: str, terms: PolicyTerms, version: int) -> "PolicyForm":
        """A rule as it is now."""
        return cls(
            {
                "name": name,
                "action": terms.action,
                "expression": terms.expression,
                "hold_out": f"{terms.hold_out * 100:g}",
                "deadline_seconds": str(terms.deadline_seconds),
                "when_nobody": terms.when_nobody,
                "safe_reply": terms.safe_reply or "",
                "seen": str(version),
            }
        )

    @classmethod
    def read(cls, sent: Mapping[str, str]) -> "PolicyForm":
        """What was sent."""
        return cls({name: sent.get(name, usual).strip() for name, usual in cls.empty().values.items()})

    def terms(self) -> PolicyTerms | None:
        """Return what the rule is to say; None, with `problems` named, if that cannot be read."""
        values = self.values
        deadline = read_whole_number(values["deadline_seconds"], 1, MAX_DEADLINE_SECONDS)
        if deadline is None:
            self.problems["deadline_seconds"] = f"A whole number of seconds, from 1 to {MAX_DEADLINE_SECONDS:,}."
        hold_out = self._hold_out()
        if len(values["safe_reply"]) > MAX_REPLY_CHARACTERS:
            self.problems["safe_reply"] = f"At most {MAX_REPLY_CHARACTERS:,} characters."
        if not values["expression"]:
            self.problems["expression"] = "Say when, such as: signals.refusal > 0."
        if self.problems:
            return None
        try:
            return PolicyTerms.model_validate(
                {
                    **{name: values[name] for name in ("action", "expression", "when_nobody")},
                    "deadline_seconds": deadline,
                    "hold_out": hold_out if values["action"] == "hold" else 0,
                    "safe_reply": values["safe_reply"] or None,
                }
            )
        except ValidationError as error:
            self.problems[str(error.errors()[0]["loc"][0])] = "Choose one of these."
            return None

    def _hold_out(self) -> float | None:
        try:
            share = float(self.values["hold_out"] or 0) / 100
        except ValueError:
            share = -1.0
        if not 0 <= share <= MAX_HOLD_OUT:
            self.problems["hold_out"] = f"From 0 to {MAX_HOLD_OUT * 100:g} in 100."
            return None
        return share
