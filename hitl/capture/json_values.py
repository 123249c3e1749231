"""JSON as it comes from outside: read leniently, then checked, so that a refusal can name the place.

What passes `ensure_storable` can be stored in both databases, reads back equal, and has one canonical spelling.
"""

import json
import math
from collections.abc import Collection, Iterable
from typing import Any

import orjson

from hitl.capture.errors import NotStorable, RowInvalid, TooBig
from hitl.core.canonical import MAX_WHOLE_NUMBER

MAX_DEPTH = 32
MAX_ENTRIES = 50_000  # object keys and list entries in one row
MAX_KEY_CHARACTERS = 1_000
MAX_TEXT_CHARACTERS = 1_000_000


def read_json(text: bytes) -> Any:
    """Return what a JSON text says. Of a key that comes twice in one object, the last counts.

    Lone surrogates, NaN and infinities are let through, so that `ensure_storable` can refuse the one row and name the
    place. Raises ValueError when the text is not JSON at all, UnicodeDecodeError (one of them) when it is not UTF-8.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as strict:
        try:
            return json.loads(text.decode())
        except RecursionError:
            raise strict from None


def ensure_storable(value: Any) -> None:
    """Walk through a JSON value and refuse what cannot be kept exactly.

    Raises NotStorable (NUL, lone surrogates, numbers that are not finite or too large to be exact, things that are not
    JSON) or TooBig (depth, number of entries, length of a text), with a JSON pointer.
    """
    if _count_entries(value, 1) > MAX_ENTRIES:
        raise TooBig(f"One row has at most {MAX_ENTRIES:,} keys and list entries.", param="")


def _count_entries(value: Any, depth: int) -> int:
    """Check everything below; the place of a problem is put together on the way out, so that good rows pay nothing."""
    kind = type(value)
    if kind is str:
        _ensure_text(value)
    elif kind is dict:
        return _count_in(value, value.items(), depth)
    elif kind is list:
        return _count_in(value, enumerate(value), depth)
    elif kind is int or kind is float:
        _ensure_number(value)
    elif value is not None and kind is not bool:
        raise NotStorable(f"A {kind.__name__} is not a JSON value.", param="")
    return 0


def _count_in(container: Collection[Any], entries: Iterable[tuple[Any, Any]], depth: int) -> int:
    if depth > MAX_DEPTH:
        raise TooBig(f"Objects and lists are nested at most {MAX_DEPTH} deep.", param="")
    count = len(container)
    for key, below in entries:
        # Nearly all values are texts that need no further look. Asked here, not in a function: this runs for each key.
        if key not in _FAMILIAR and type(key) is not int:
            _ensure_key(key)
        kind = type(below)
        if kind is str:
            if below.isascii() and len(below) <= MAX_TEXT_CHARACTERS and "\0" not in below:
                continue
        elif kind is int:
            if -MAX_WHOLE_NUMBER <= below <= MAX_WHOLE_NUMBER:
                continue
        elif below is None or kind is bool:
            continue
        try:
            count += _count_entries(below, depth + 1)
        except RowInvalid as problem:
            problem.param = pointer((key,)) + (problem.param or "")
            raise
    return count


_FAMILIAR = frozenset(
    {"role", "content", "messages", "input", "output", "client_id", "model", "metadata", "parameters"}
)


def _ensure_key(key: Any) -> None:
    """A bad key cannot be part of a pointer, so its object is named instead."""
    if type(key) is not str:
        raise NotStorable("The keys of a JSON object are texts.", param="")
    if len(key) > MAX_KEY_CHARACTERS:
        raise TooBig(f"A key has at most {MAX_KEY_CHARACTERS:,} characters.", param="")
    _ensure_text(key)


def _ensure_text(text: str) -> None:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise TooBig(f"One text has at most {MAX_TEXT_CHARACTERS:,} characters.", param="")
    if "\0" in text:
        raise NotStorable("A text has a NUL character (\\u0000), which cannot be stored.", param="")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotStorable("A text has half of a surrogate pair, which is no character.", param="") from None


def _ensure_number(number: float) -> None:
    if type(number) is float and not math.isfinite(number):
        raise NotStorable("A number is not finite.", param="")
    if abs(number) > MAX_WHOLE_NUMBER:
        raise NotStorable("A number lies beyond 2^53, where it would not be kept exactly. Send it as a text.", param="")


def pointer(path: tuple[str | int, ...]) -> str:
    """Return the JSON pointer (RFC 6901) of a place in a value."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
