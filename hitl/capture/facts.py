"""What expressions may speak of: an answer, what led to it, its signals, and what end users said about it.

Policy rules (hitl/live) and the queue's rules ask alike, so that a condition that proved right in the one can be used
in the other. Everything is cut to a bounded size, because an expression cannot be interrupted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from hitl.capture.models import Feedback
from hitl.capture.signals import BUILT_IN, Said, reasons, signals_of
from hitl.core.expressions import (
    NEITHER,
    Expression,
    ExpressionUnacceptable,
    Name,
    Values,
    Vocabulary,
    read_expression,
)

MESSAGES = 50  # the newest
MESSAGE_CHARACTERS = 2_000
ENTRIES = 50  # of a list or an object that clients sent
DEPTH = 4
WORD_CHARACTERS = 500  # of a text in such an object

VOCABULARY: Vocabulary = {
    "answer": Name("text", "What the model said, at most 20,000 characters of it.", 'answer.contains("refund")'),
    "question": Name("text", "The newest words of the user.", 'question.matches("(?i)cancel|refund")'),
    "messages": Name(
        "list of {role, text}",
        f"What was said before, the newest {MESSAGES} messages with {MESSAGE_CHARACTERS:,} characters each.",
        'messages.exists(m, m.role == "user" && m.text.contains("lawyer"))',
    ),
    "turn_count": Name("number", "How often the user has spoken so far.", "turn_count > 10"),
    "tool_calls": Name(
        "list of texts", "Names of the functions that the answer calls.", '"issue_refund" in tool_calls'
    ),
    "context_count": Name("number", "How many passages were retrieved for the answer.", "context_count == 0"),
    "signals": Name(
        "object of numbers",
        "The signals below, and those that the application sent by its own names, which go first.",
        "signals.refusal > 0 || signals.unsupported > 0.5",
    ),
    "feedback": Name(
        "list of {kind, value, is_negative}",
        "What end users said about this answer or its conversation so far.",
        "feedback.exists(f, f.is_negative)",
    ),
    "metadata": Name("object", "What the application sent along.", 'has(metadata.plan) && metadata.plan == "free"'),
    "model": Name("text", "The model, as the application names it; empty where none is named.", 'model == "small-1"'),
    "model_version": Name("text", "Its version; empty where none is named.", 'model_version != "2"'),
    "prompt_name": Name("text", "The prompt, as the application names it.", 'prompt_name.startsWith("support")'),
    "prompt_version": Name("text", "Its version.", 'prompt_version == "7"'),
}


class Answer(Protocol):
    """What facts are read from: a captured response, or a draft of a running conversation."""

    @property
    def input(self) -> Any: ...

    @property
    def output(self) -> Any: ...

    @property
    def model(self) -> Any: ...

    @property
    def model_version(self) -> Any: ...

    @property
    def prompt_name(self) -> Any: ...

    @property
    def prompt_version(self) -> Any: ...

    @property
    def context(self) -> Any: ...

    @property
    def signals(self) -> Any: ...

    @property
    def details(self) -> Any: ...


class Facts:
    """What is known about one answer, for any number of expressions; each thing is worked out once, when asked for."""

    def __init__(
        self,
        answer: Answer,
        feedback: Callable[[], Iterable[Feedback]] = tuple,
        *,
        mean_logprob: float | None = None,
    ) -> None:
        """feedback: returns what was said about it; called when an expression asks."""
        self._answer = answer
        self._feedback = feedback
        self.said = Said.of(answer.input, answer.output, answer.context, mean_logprob=mean_logprob)
        self.values = Values(
            {
                "answer": lambda: self.said.answer,
                "question": lambda: self.said.question,
                "messages": self._messages,
                "turn_count": lambda: len(self.said.of_user),
                "tool_calls": self._tool_calls,
                "context_count": lambda: len(answer.context),
                "signals": self._signals,
                "feedback": self._feedback_given,
                "metadata": lambda: _bounded(answer.details, DEPTH),
                "model": lambda: _word(answer.model),
                "model_version": lambda: _word(answer.model_version),
                "prompt_name": lambda: _word(answer.prompt_name),
                "prompt_version": lambda: _word(answer.prompt_version),
            }
        )

    def reasons(self, names: Iterable[str]) -> list[str]:
        """Return what the raised ones of these built-in signals say, as sentences; what was not asked for is silent."""
        wanted = set(names)
        if not wanted or "signals" not in self.values.known:
            return []
        said = reasons(self.said, self.values["signals"])
        return [words for name, words in said.items() if name in wanted and name not in self._answer.signals]

    def _signals(self) -> dict[str, float]:
        sent = dict(list(self._answer.signals.items())[:ENTRIES])
        return {**signals_of(self.said), **{name: float(value) for name, value in sent.items()}}

    def _messages(self) -> list[dict[str, str]]:
        return [{"role": role, "text": text[:MESSAGE_CHARACTERS]} for role, text in self.said.turns[-MESSAGES:]]

    def _tool_calls(self) -> list[str]:
        return [_word(call["function"]["name"]) for call in (self._answer.output.get("tool_calls") or [])[:ENTRIES]]

    def _feedback_given(self) -> list[dict[str, Any]]:
        given = list(self._feedback())[:ENTRIES]
        return [
            {"kind": each.kind, "value": _bounded(each.value, 1), "is_negative": each.is_negative is True}
            for each in given
        ]


def ensure_usable(source: str, *, param: str = "/expression") -> Expression:
    """Return an expression over this vocabulary, tried out on a long conversation.

    Raises ExpressionUnacceptable: as `read_expression` does, or it says neither true nor false, or takes too long.
    """
    try:
        expression = read_expression(source, VOCABULARY)
    except ExpressionUnacceptable as error:
        raise ExpressionUnacceptable(error.message, param=param) from error
    outcome = expression.about(_long_conversation().values)
    if outcome.fault is not None and outcome.fault.startswith(NEITHER):
        raise ExpressionUnacceptable(outcome.fault, param=param)
    # Tried twice: the first time the engine is told of the values, and a machine may hiccup.
    if outcome.is_overrun and expression.about(_long_conversation().values).is_overrun:
        raise ExpressionUnacceptable("This takes too long to be asked of each answer.", param=param)
    return expression


def expression_over_facts(source: str) -> Expression:
    """Return an expression that was found usable before. Raises ExpressionUnacceptable where the names were others."""
    return read_expression(source, VOCABULARY)


@cache
def _long_conversation() -> Facts:
    text = "What was said is as long as it gets: 0123 5678. " * 500
    messages = [{"role": ("user", "assistant")[turn % 2], "content": text} for turn in range(MESSAGES)]
    return Facts(_Example({"messages": messages}, {"role": "assistant", "content": text}))


@dataclass(frozen=True)
class _Example:
    input: Any
    output: Any
    model: str = "a-model"
    model_version: str = "1"
    prompt_name: str = "a-prompt"
    prompt_version: str = "1"
    context: tuple[Any, ...] = ({"text": "A passage about this and that, as it was retrieved."},)
    signals: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def names_for_people() -> list[tuple[str, Name]]:
    """Return all that expressions may speak of, the built-in signals one by one after the names."""
    signals = [
        (
            f"signals.{signal.name}",
            Name(
                "number",
                signal.means,
                f"signals.{signal.name} {'<=' if signal.is_low_bad else '>='} {signal.raised_from:g}",
            ),
        )
        for signal in BUILT_IN.values()
    ]
    return [*VOCABULARY.items(), *signals]


def signal_names(members: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return which built-in signals an expression speaks of. members: as the expression knows them."""
    return members.get("signals", frozenset()) & BUILT_IN.keys()


def _word(text: Any) -> str:
    return "" if text is None else str(text)[:WORD_CHARACTERS]


def _bounded(value: Any, depth: int) -> Any:
    """Return a JSON value without what lies too deep or comes too late in it."""
    if isinstance(value, str):
        return value[:WORD_CHARACTERS]
    if isinstance(value, Mapping):
        return (
            {key[:WORD_CHARACTERS]: _bounded(each, depth - 1) for key, each in _first(value.items())} if depth else {}
        )
    if isinstance(value, Sequence):
        return [_bounded(each, depth - 1) for each in value[:ENTRIES]] if depth else []
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value)  # the language knows 64 bits
    return value


def _first(items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return list(items)[:ENTRIES]
