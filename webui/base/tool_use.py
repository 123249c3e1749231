"""Calls of tools, as a transcript shows them: what was asked, what came back, and in one word how it went."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from webui.base.content import Part, at_of, parts_of, plain, shortened


@dataclass(frozen=True)
class ToolUse:
    """A call of a tool and, if it came, the tool's answer."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()  # empty when they are no JSON object
    raw_arguments: str = ""  # what the model wrote, when it is no JSON object
    arguments_problem: str = ""
    summary: str = ""
    answer: tuple[Part, ...] | None = None  # None: no answer was recorded
    outcome: str = ""  # the answer's own short word, such as "Reservation Failed"
    outcome_tone: Literal["", "bad"] = ""
    at: str = ""
    is_open: bool = False
    is_under_review: bool = False
    place: int | None = None  # as a message's, where the message that calls it has no entry of its own
    kind: Literal["tool"] = "tool"


def tool_uses(message: Mapping[str, Any]) -> Iterable[tuple[str, ToolUse]]:
    """Yield the calls that a message makes, by their ids."""
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, Mapping):
            continue
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        use = _tool_use(str(function.get("name") or "tool"), function.get("arguments"), at_of(message))
        yield str(call.get("id")), use


def _tool_use(name: str, arguments: Any, at: str) -> ToolUse:
    """Arguments are a JSON text by the letter, but models write what they like."""
    raw = plain(arguments)
    try:
        read = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        return ToolUse(name, raw_arguments=raw, arguments_problem="not valid JSON", summary=shortened(raw), at=at)
    if not isinstance(read, dict):
        return ToolUse(name, raw_arguments=raw, arguments_problem="not a JSON object", summary=shortened(raw), at=at)
    facts = tuple((key, plain(value) if value is not None else "null") for key, value in read.items())
    return ToolUse(name, arguments=facts, summary=shortened(" · ".join(value for _, value in facts)), at=at)


def with_answer(use: ToolUse, message: Mapping[str, Any]) -> ToolUse:
    """Return a call with what the tool answered."""
    answer = parts_of(message.get("content"))
    outcome = _outcome(answer)
    tone: Literal["", "bad"] = "bad" if _SOUNDS_BAD.search(outcome) else ""
    return replace(use, answer=answer, outcome=outcome, outcome_tone=tone)


_OUTCOME_KEYS = ("error", "status", "message", "reservationstatus", "result", "outcome")
_SOUNDS_BAD = re.compile(r"\b(fail\w*|error|denied|refused|rejected|invalid|not found|unavailable|timeout)\b", re.I)


def _outcome(answer: tuple[Part, ...]) -> str:
    """Return the short word in which a tool says how it went, if its answer is JSON and has one."""
    if len(answer) != 1 or len(answer[0].text) > 20_000:
        return ""
    try:
        read = json.loads(answer[0].text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(read, dict):
        return ""
    by_key = {key.lower(): value for key, value in read.items()}
    words = (by_key.get(key) for key in _OUTCOME_KEYS)
    return next((word for word in words if isinstance(word, str) and 0 < len(word) <= 40), "")
