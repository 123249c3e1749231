"""A response and what led to it, as the entries of a transcript: plain values that `conversation.html` draws.

    messages, output, feedback  →  transcript()  →  Transcript(entries=(Instructions, Earlier, Message, ToolUse, …))

Nothing here names a model: a page shows exactly what it hands over, so what is kept from it stays hidden.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

# A conversation with more entries than this is folded, so that the response is on the first screen.
FOLD_ABOVE = 10
KEEP_OPEN = 6
SUMMARY_CHARACTERS = 80

_ROLE_NAMES = {"user": "User", "assistant": "Assistant", "tool": "Tool", "system": "System", "developer": "Developer"}


@dataclass(frozen=True)
class Part:
    """A piece of a message: text, or the name of something that is not text."""

    kind: Literal["text", "placeholder"]
    text: str


@dataclass(frozen=True)
class Instructions:
    """What the model was told to be: a system or developer message."""

    who: str
    parts: tuple[Part, ...]
    word_count: int
    kind: Literal["instructions"] = "instructions"


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


@dataclass(frozen=True)
class Message:
    """What somebody said."""

    role: str
    who: str
    parts: tuple[Part, ...]
    reasoning: str = ""
    refusal: str = ""
    at: str = ""
    tool_uses: tuple[ToolUse, ...] = ()  # of the response under review; elsewhere they are entries of their own
    notes: tuple[str, ...] = ()
    is_under_review: bool = False
    place: int | None = None  # among the messages of the input, and then the output
    kind: Literal["message"] = "message"


@dataclass(frozen=True)
class Passage:
    """Something that was looked up for the model and put before it."""

    title: str
    text: str
    source: str = ""


@dataclass(frozen=True)
class Retrieved:
    """The passages the response could draw on."""

    passages: tuple[Passage, ...]
    kind: Literal["retrieved"] = "retrieved"


@dataclass(frozen=True)
class Earlier:
    """The beginning of a long conversation, folded."""

    entries: "tuple[Entry, ...]"
    summary: str
    kind: Literal["earlier"] = "earlier"


Entry = Instructions | Message | ToolUse | Retrieved | Earlier


@dataclass(frozen=True)
class Transcript:
    """All entries in reading order; one message is under review."""

    entries: tuple[Entry, ...]


def transcript(
    messages: Sequence[Mapping[str, Any]],
    output: Mapping[str, Any],
    *,
    feedback: Iterable[Mapping[str, Any]] = (),
    context: Sequence[Any] = (),
    later: Sequence[Mapping[str, Any]] = (),
    output_at: datetime | str | None = None,
    folds: bool = True,
    is_whole: bool = False,
) -> Transcript:
    """Return the entries of a conversation with the response under review.

    messages: the input in OpenAI's chat shape; a message may carry `at`, a time, which is then shown.
    output: the assistant message under review.
    feedback: what end users said: `kind`, `value`, `comment`; `about` is "conversation" where it is not the response.
    context: retrieved passages, `{"title", "text", "source"}` each.
    later: what came after the response, if it is known.
    folds: whether a long beginning is folded.
    is_whole: the conversation is under review, and the output no more than its other messages.
    """
    place = len(messages)
    last = _under_review(output, tuple(map(feedback_note, feedback)), _time_of_day(output_at))
    last = replace(last, place=place, is_under_review=not is_whole)
    return Transcript((*_what_led_to_it(messages, context, folds), last, *_entries(later, place + 1)))


def prompt(messages: Sequence[Mapping[str, Any]], *, context: Sequence[Any] = ()) -> Transcript:
    """Return the entries of what several responses answer, which stand beside each other below it."""
    return Transcript(tuple(_what_led_to_it(messages, context)))


def answered(output: Mapping[str, Any]) -> Message:
    """Return a response that stands beside others, its tool calls open; its time could tell which is the older."""
    return replace(_under_review(output, (), ""), at="", is_under_review=False)


def retrieved(context: Sequence[Any]) -> Retrieved | None:
    """Return the passages that a response could draw on; None where there were none."""
    return Retrieved(_passages(context)) if context else None


def feedback_note(feedback: Mapping[str, Any]) -> str:
    """Return the sentence that tells what an end user said.

    >>> feedback_note({"kind": "thumbs", "value": False, "comment": "Not booked."})
    'The user gave a thumbs down: “Not booked.”'
    """
    kind, value = str(feedback.get("kind") or "feedback"), feedback.get("value")
    who = "The user" if feedback.get("source", "end_user") == "end_user" else f"“{feedback['source']}”"
    if feedback.get("about") == "conversation":
        who = f"About the whole conversation, {who[0].lower()}{who[1:]}"
    if kind == "thumbs":
        is_up = value in (True, 1, "up", "yes", "true")
        sentence = f"{who} gave a thumbs {'up' if is_up else 'down'}"
    elif kind == "stars":
        sentence = f"{who} gave {value} {'star' if value == 1 else 'stars'}"
    elif isinstance(value, bool):
        sentence = f"{who} answered “{kind}” with {'yes' if value else 'no'}"
    elif value is None:
        sentence = f"{who} left “{kind}”"
    else:
        sentence = f"{who} answered “{kind}” with {_plain(value)}"
    comment = str(feedback.get("comment") or "").strip()
    return f"{sentence}: “{comment}”" if comment else f"{sentence}."


def _entries(messages: Sequence[Mapping[str, Any]], start: int = 0) -> list[Entry]:
    entries: list[Entry] = []
    unanswered: dict[str, int] = {}  # tool call id → place of its entry; ids may come again in a later turn
    for at, message in enumerate(messages, start):
        role = message.get("role")
        if role in ("system", "developer"):
            entries.append(_instructions(message))
        elif role == "tool":
            place = unanswered.pop(str(message.get("tool_call_id")), None)
            call = entries[place] if place is not None else None
            if isinstance(call, ToolUse) and place is not None:
                entries[place] = _answered(call, message)
            else:
                entries.append(_answered(ToolUse(str(message.get("name") or "tool"), at=_at(message)), message))
        else:
            said = _message(message)
            own: int | None = at  # only its first entry has the place of the message
            if said.parts or said.reasoning or said.refusal or not message.get("tool_calls"):
                entries.append(replace(said, place=own))
                own = None
            for call_id, use in _tool_uses(message):
                unanswered[call_id] = len(entries)
                entries.append(replace(use, place=own))
                own = None
    return _open_the_last_tool_use(entries)


def _instructions(message: Mapping[str, Any]) -> Instructions:
    parts = _parts(message.get("content"))
    word_count = sum(len(part.text.split()) for part in parts if part.kind == "text")
    return Instructions("System prompt" if message.get("role") == "system" else "Developer prompt", parts, word_count)


def _message(message: Mapping[str, Any]) -> Message:
    role = str(message.get("role") or "unknown")
    who = _ROLE_NAMES.get(role, role)
    name = message.get("name")
    return Message(
        role=role,
        who=f"{who} {name}" if name else who,
        parts=_parts(message.get("content")),
        reasoning=_plain(message.get("reasoning_content")),
        refusal=_plain(message.get("refusal")),
        at=_at(message),
    )


def _under_review(output: Mapping[str, Any], notes: tuple[str, ...], at: str) -> Message:
    said = _message(output)
    uses = tuple(replace(use, is_open=True) for _, use in _tool_uses(output))
    return replace(said, tool_uses=uses, notes=notes, at=at or said.at, is_under_review=True)


def _what_led_to_it(
    messages: Sequence[Mapping[str, Any]], context: Sequence[Any], folds: bool = True
) -> Iterable[Entry]:
    before = _entries(messages)
    yield from (entry for entry in before if isinstance(entry, Instructions))
    spoken = [entry for entry in before if not isinstance(entry, Instructions)]
    yield from _fold_the_beginning(spoken) if folds else spoken
    looked_up = retrieved(context)
    if looked_up:
        yield looked_up


# --- Content ----------------------------------------------------------------------------------------------------------


def _parts(content: Any) -> tuple[Part, ...]:
    """Return content, which is a text, nothing, or a list of parts, as texts and named placeholders."""
    if content is None or content == "":
        return ()
    if not isinstance(content, list):
        return (Part("text", _plain(content)),)
    return tuple(_part(part) for part in content)


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return Part("text", part)
    if not isinstance(part, Mapping):
        return Part("placeholder", "A part of unknown kind")
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return Part("text", part["text"])
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return Part("text", part["refusal"])
    names = {
        "image_url": "Image",
        "image": "Image",
        "input_image": "Image",
        "input_audio": "Audio",
        "audio": "Audio",
        "video_url": "Video",
        "file": "File",
        "input_file": "File",
    }
    name = names.get(str(kind), f"Part of kind “{str(kind)[:40]}”")
    detail = _part_detail(part, str(kind))
    return Part("placeholder", f"{name}: {detail}, not shown" if detail else f"{name}, not shown")


def _part_detail(part: Mapping[str, Any], kind: str) -> str:
    """Name the file or the host of a part, never its bytes."""
    inside = part.get(kind)
    inside = inside if isinstance(inside, Mapping) else {"url": inside}
    for key in ("filename", "name", "format"):
        if isinstance(inside.get(key), str):
            return str(inside[key])[:80]
    url = inside.get("url")
    if not isinstance(url, str):
        return ""
    if url.startswith("data:"):
        return url[5:].split(";")[0].split(",")[0][:40]
    return url[:80]


def _plain(value: Any) -> str:
    """Return a value as text: a text as it is, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


# --- Tools ------------------------------------------------------------------------------------------------------------


def _tool_uses(message: Mapping[str, Any]) -> Iterable[tuple[str, ToolUse]]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, Mapping):
            continue
        function = call.get("function")
        function = function if isinstance(function, Mapping) else {}
        use = _tool_use(str(function.get("name") or "tool"), function.get("arguments"), _at(message))
        yield str(call.get("id")), use


def _tool_use(name: str, arguments: Any, at: str) -> ToolUse:
    """Arguments are a JSON text by the letter, but models write what they like."""
    raw = _plain(arguments)
    try:
        read = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        return ToolUse(name, raw_arguments=raw, arguments_problem="not valid JSON", summary=_shortened(raw), at=at)
    if not isinstance(read, dict):
        return ToolUse(name, raw_arguments=raw, arguments_problem="not a JSON object", summary=_shortened(raw), at=at)
    facts = tuple((key, _plain(value) if value is not None else "null") for key, value in read.items())
    return ToolUse(name, arguments=facts, summary=_shortened(" · ".join(value for _, value in facts)), at=at)


def _answered(use: ToolUse, message: Mapping[str, Any]) -> ToolUse:
    answer = _parts(message.get("content"))
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


def _open_the_last_tool_use(entries: list[Entry]) -> list[Entry]:
    """Open the last tool call: it is what a response most often has to agree with."""
    for place in range(len(entries) - 1, -1, -1):
        entry = entries[place]
        if isinstance(entry, ToolUse):
            entries[place] = replace(entry, is_open=True)
            break
    return entries


# --- Folding ----------------------------------------------------------------------------------------------------------


def _fold_the_beginning(entries: list[Entry]) -> list[Entry]:
    if len(entries) <= FOLD_ABOVE:
        return entries
    folded, shown = entries[:-KEEP_OPEN], entries[-KEEP_OPEN:]
    return [Earlier(tuple(folded), _summary(folded)), *shown]


def _summary(entries: list[Entry]) -> str:
    """Return the first words a user said: they tell best what a conversation is about."""
    spoken = [entry for entry in entries if isinstance(entry, Message)]
    by_users = [entry for entry in spoken if entry.role == "user"]
    texts = [" ".join(part.text for part in entry.parts).strip() for entry in by_users or spoken]
    # "hello" tells nothing: the first that is more than a greeting, else whatever there is.
    telling = [text for text in texts if len(text.split()) > 2] or [text for text in texts if text]
    return _shortened(telling[0]) if telling else ""


def _shortened(text: str) -> str:
    line = " ".join(text[: SUMMARY_CHARACTERS * 4].split())
    return line if len(line) <= SUMMARY_CHARACTERS else line[: SUMMARY_CHARACTERS - 1].rstrip() + "…"


def _passages(context: Sequence[Any]) -> tuple[Passage, ...]:
    passages = []
    for number, passage in enumerate(context, start=1):
        if isinstance(passage, Mapping):
            title = _plain(passage.get("title")) or f"Passage {number}"
            text = _plain(passage.get("text") if "text" in passage else passage.get("content"))
            passages.append(Passage(title, text, _plain(passage.get("source"))))
        else:
            passages.append(Passage(f"Passage {number}", _plain(passage)))
    return tuple(passages)


def _at(message: Mapping[str, Any]) -> str:
    return _time_of_day(message.get("at"))


def _time_of_day(at: datetime | str | None) -> str:
    """Return hours and minutes in UTC, or nothing for what is no time."""
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return ""
    return at.astimezone(UTC).strftime("%H:%M") if isinstance(at, datetime) else ""
