"""What leads read about the queue, in whole sentences."""

from collections.abc import Mapping
from datetime import datetime

from hitl.queue.bulk import Outcome
from hitl.queue.capacity import Capacity
from hitl.queue.queries import SlotCounts
from hitl.queue.reasons import answers_in_words, share_in_words
from hitl.queue.rule_preview import RulePreview
from hitl.queue.rules import AnyCondition, ExpressionCondition, FeedbackCondition, ModelCondition, Terms
from hitl.review.rubrics import Rubric

MINUTE, HOUR, DAY = 60, 3600, 86_400

ENDS = {
    "completed": "reviewed it",
    "given_back": "gave it back",
    "expired": "ran out of time",
    "skipped": "skipped it",
    None: "is at it",
}


def age(since: datetime, now: datetime) -> str:
    """Return how long something has waited, in its largest unit.

    >>> age(datetime(2026, 5, 26, 9), datetime(2026, 5, 26, 11, 40))
    '2 h'
    """
    seconds = max(0, (now - since).total_seconds())
    if seconds < MINUTE:
        return "a moment"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR:.0f} h"
    return f"{seconds // DAY:,.0f} days"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its word.

    >>> plural(1, "review"), plural(1200, "review")
    ('1 review', '1,200 reviews')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def outcome_in_words(done: str, outcome: Outcome) -> str:
    """Return what became of several items: "3 items reserved for Kim. 2 not: This item is closed. …"

    done: what was done with them, such as "closed".
    """
    said = [f"{plural(outcome.done, 'item')} {done}."] if outcome.done else ["Nothing was changed."]
    return " ".join([*said, *(f"{count:,} not: {why}" for why, count in outcome.refused.most_common())])


def preview_in_words(preview: RulePreview, *, is_comparing: bool) -> str:
    """Return what a rule would have drawn: "Would have drawn about 62 of the last 1,240 responses: 5 in 100 …"."""
    if not preview.looked_at:
        return "No response has come in yet, so nobody can say how many it would draw."
    of = f"the last {plural(preview.looked_at, 'response')}" if preview.looked_at > 1 else "the only response"
    what = plural(preview.fitting, "input") if is_comparing else f"{preview.fitting:,}"
    fits = "fits" if preview.fitting == 1 else "fit"
    is_less_than_one = 0 < preview.expected < 1
    drawn = "fewer than one" if is_less_than_one else f"{preview.expected:,.0f}"
    about = "" if is_less_than_one or preview.expected == preview.fitting else "about "
    if is_comparing:
        return f"Would have compared {about}{drawn} of {what} that several models answered, among {of}."
    return f"Would have drawn {about}{drawn} of {of}; {what} {fits}."


def waits_in_words(terms: Terms, rubric: Rubric | None) -> str:
    """Return what the rubric in use keeps a rule from; nothing where it judges all that the rule draws."""
    if terms.compare is None or rubric is None:
        return ""
    counts = sorted({terms.compare.at_least, terms.compare.at_most})
    can_judge = [rubric.can_judge("comparison", count) for count in counts]
    if all(can_judge):
        return ""
    if rubric.can_judge("comparison", 2):
        return "The rubric in use compares two responses and no more: inputs with more answers wait until one does."
    return "The rubric in use compares no responses: nothing is drawn until one does."


def kinds_in_words(by_kind: Mapping[str, int]) -> str:
    """Return how many of each kind: "320 responses, 12 comparisons"; nothing where there are only responses."""
    others = [plural(by_kind[kind], kind) for kind in ("comparison", "conversation") if by_kind.get(kind)]
    if not others:
        return ""
    responses = [plural(by_kind["response"], "response")] if by_kind.get("response") else []
    return ", ".join(responses + others)


def taken_in_words(counts: SlotCounts) -> str:
    """Return who is at it: "1 held, 1 reserved"; nothing if nobody is."""
    parts = [f"{count} {word}" for count, word in ((counts.running, "held"), (counts.reserved, "reserved")) if count]
    return ", ".join(parts)


def fits_in_words(condition: AnyCondition) -> str:
    """Return which responses a rule fits, for people who may know the models."""
    if isinstance(condition, ModelCondition):
        return f"responses of {condition.name}" + (f", version {condition.version}" if condition.version else "")
    if isinstance(condition, FeedbackCondition):
        kind = f" “{condition.feedback_kind}”" if condition.feedback_kind else ""
        if condition.negative_only:
            return f"responses that end users complained about{f' by{kind}' if kind else ''}"
        value = "" if condition.value is None else f" of {_value_in_words(condition.value)}"
        return f"responses with feedback{kind}{value}"
    if isinstance(condition, ExpressionCondition):
        return f"responses with {' '.join(condition.expression.split())}"
    return "all responses"


def _value_in_words(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"“{value}”" if isinstance(value, str) else f"{value:g}"


def terms_in_words(terms: Terms) -> str:
    """Return what a rule says: "5 in 100 of all responses, 2 reviews each, as if 1 day older"."""
    whom = fits_in_words(terms.condition)
    if terms.compare is not None:
        whom = f"inputs with {answers_in_words(terms.compare)} different answers, from {whom}"
    if terms.rate < 1:
        whom = f"{share_in_words(terms.rate)} of {whom}"
    reviews = plural(terms.reviews_wanted, "review")
    return f"{whom[0].upper()}{whom[1:]}, {reviews} each{_priority_in_words(terms.priority)}"


def _priority_in_words(priority: int) -> str:
    if priority == 0:
        return ""
    return f", as if {plural(abs(priority), 'day')} {'older' if priority > 0 else 'younger'}"


def capacity_in_words(capacity: Capacity) -> tuple[str, str]:
    """Return whether reviewers keep up: the fact, and what it comes to."""
    wanted, made, missing = capacity.wanted_per_day, capacity.made_per_day, capacity.missing
    if capacity.is_first_day:
        fact = f"{wanted:,.0f} {_reviews(wanted)} wanted, {made:,.0f} {'is' if made == 1 else 'are'} made."
        return fact, "Whether the reviewers keep up shows after the first day."
    fact = (
        f"{_per_day(wanted)} {_reviews(wanted)} wanted in a day, {_per_day(made)} {'is' if made == 1 else 'are'} made."
    )
    growth = wanted - made
    if missing == 0:
        return fact, "Nothing is left over."
    backlog = f"At this pace the backlog of {missing:,}"
    if round(growth) > 0:
        return fact, f"{backlog} grows by {_per_day(growth)} a day and reaches {missing + 7 * growth:,.0f} in a week."
    if round(growth) < 0:
        days = max(1, round(missing / -growth))
        return fact, f"{backlog} is done in {plural(days, 'day')}."
    return fact, f"{backlog} stays as it is."


def _per_day(number: float) -> str:
    return f"{number:,.0f}" if number == 0 or number >= 1 else "fewer than one"


def _reviews(number: float) -> str:
    return "review is" if 0 < number <= 1 else "reviews are"


def looked_at(capacity: Capacity) -> str:
    """Return which days figures are about."""
    return "today" if capacity.days == 1 else f"last {capacity.days} days"


def role_in_words(role: str) -> str:
    """Return a role with its article."""
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role}"
