"""A response and what led to it, as the entries of a transcript: plain values that `conversation.html` draws.

    messages, output, feedback  →  transcript()  →  Transcript(entries=(Instructions, Earlier, Message, ToolUse, …))

Nothing here names a model: a page shows exactly what it hands over, so what is kept from it stays hidden.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from webui.base.content import Part, at_of, parts_of, plain, shortened, time_of_day
from webui.base.tool_use import ToolUse, tool_uses, with_answer

# A conversation with more entries than this is folded, so that the response is on the first screen.
FOLD_ABOVE = 10
KEEP_OPEN = 6

_ROLE_NAMES = {"user": "User", "assistant": "Assistant", "tool": "Tool", "system": "System", "developer": "Developer"}


@dataclass(frozen=True)
class Instructions:
    """What the model was told to be: a system or developer message."""

    who: str
    parts: tuple[Part, ...]
    word_count: int
    kind: Literal["instructions"] = "instructions"


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
    last = _under_review(output, tuple(map(feedback_note, feedback)), time_of_day(output_at))
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
        sentence = f"{who} answered “{kind}” with {plain(value)}"
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
                entries[place] = with_answer(call, message)
            else:
                entries.append(with_answer(ToolUse(str(message.get("name") or "tool"), at=at_of(message)), message))
        else:
            said = _message(message)
            own: int | None = at  # only its first entry has the place of the message
            if said.parts or said.reasoning or said.refusal or not message.get("tool_calls"):
                entries.append(replace(said, place=own))
                own = None
            for call_id, use in tool_uses(message):
                unanswered[call_id] = len(entries)
                entries.append(replace(use, place=own))
                own = None
    return _open_the_last_tool_use(entries)


def _instructions(message: Mapping[str, Any]) -> Instructions:
    parts = parts_of(message.get("content"))
    word_count = sum(len(part.text.split()) for part in parts if part.kind == "text")
    return Instructions("System prompt" if message.get("role") == "system" else "Developer prompt", parts, word_count)


def _message(message: Mapping[str, Any]) -> Message:
    role = str(message.get("role") or "unknown")
    who = _ROLE_NAMES.get(role, role)
    name = message.get("name")
    return Message(
        role=role,
        who=f"{who} {name}" if name else who,
        parts=parts_of(message.get("content")),
        reasoning=plain(message.get("reasoning_content")),
        refusal=plain(message.get("refusal")),
        at=at_of(message),
    )


def _under_review(output: Mapping[str, Any], notes: tuple[str, ...], at: str) -> Message:
    said = _message(output)
    uses = tuple(replace(use, is_open=True) for _, use in tool_uses(output))
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
    return shortened(telling[0]) if telling else ""


def _passages(context: Sequence[Any]) -> tuple[Passage, ...]:
    passages = []
    for number, passage in enumerate(context, start=1):
        if isinstance(passage, Mapping):
            title = plain(passage.get("title")) or f"Passage {number}"
            text = plain(passage.get("text") if "text" in passage else passage.get("content"))
            passages.append(Passage(title, text, plain(passage.get("source"))))
        else:
            passages.append(Passage(f"Passage {number}", plain(passage)))
    return tuple(passages)
