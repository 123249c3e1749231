"""A policy in words."""

from collections.abc import Mapping

from hitl.live.policy.models import PolicyRule
from hitl.live.policy.rules import PolicyTerms

_ENDS = {"send": "it is sent as it is", "safe_reply": "the safe reply is sent", "refuse": "nothing is sent"}


def terms_in_words(terms: PolicyTerms) -> str:
    """Return what a rule does: "Holds for 2 minutes, then the safe reply is sent; 10 in 100 pass by chance"."""
    if terms.action == "alert":
        return "Tells supervisors"
    passing = f"; {terms.hold_out * 100:g} in 100 pass by chance" if terms.hold_out else ""
    return f"Holds for {seconds_in_words(terms.deadline_seconds)}, then {_ENDS[terms.when_nobody]}{passing}"


def seconds_in_words(seconds: int) -> str:
    """Return a duration: "90 seconds", "2 minutes", "1 hour"."""
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return _plural(seconds // size, unit)
    return _plural(seconds, "second")


def done_in_words(counts: Mapping[str, int]) -> str:
    """Return what came of a rule, by outcome."""
    said = [
        f"{verb} {counts[outcome]:,}"
        for outcome, verb in (("held", "held"), ("held_out", "let pass by chance"), ("alerted", "told of"))
        if counts.get(outcome)
    ]
    return ", ".join(said) or "fitted nothing"


def why_off_in_words(rule: PolicyRule) -> str:
    """Return what is the matter with a rule; empty if nothing is."""
    if rule.why_off == "too_slow":
        return (
            "Switched off by itself: it took too long for one draft three times. Write it shorter, then switch it on."
        )
    if rule.is_on and rule.overruns:
        times = "once" if rule.overruns == 1 else "twice"
        return f"Took too long for one draft {times}; the third time it is switched off."
    if rule.is_on and rule.fault:
        return f"Could not be worked out the last time at {rule.fault_at:%-d %b, %H:%M} UTC: {rule.fault}"
    return ""


def _plural(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
