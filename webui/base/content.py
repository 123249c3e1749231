"""What a single message holds: its parts, and when it was said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

SUMMARY_CHARACTERS = 80


@dataclass(frozen=True)
class Part:
    """A piece of a message: text, or the name of something that is not text."""

    kind: Literal["text", "placeholder"]
    text: str


def parts_of(content: Any) -> tuple[Part, ...]:
    """Return content, which is a text, nothing, or a list of parts, as texts and named placeholders."""
    if content is None or content == "":
        return ()
    if not isinstance(content, list):
        return (Part("text", plain(content)),)
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


def plain(value: Any) -> str:
    """Return a value as text: a text as it is, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def at_of(message: Mapping[str, Any]) -> str:
    """Return when a message was said, where it says so."""
    return time_of_day(message.get("at"))


def time_of_day(at: datetime | str | None) -> str:
    """Return hours and minutes in UTC, or nothing for what is no time."""
    if isinstance(at, str):
        try:
            at = datetime.fromisoformat(at)
        except ValueError:
            return ""
    return at.astimezone(UTC).strftime("%H:%M") if isinstance(at, datetime) else ""


def shortened(text: str) -> str:
    """Return the start of a text in one line, for a summary."""
    line = " ".join(text[: SUMMARY_CHARACTERS * 4].split())
    return line if len(line) <= SUMMARY_CHARACTERS else line[: SUMMARY_CHARACTERS - 1].rstrip() + "…"
