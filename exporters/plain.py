"""What any file of ours can hold: finite numbers, 64-bit integers and real Unicode, not nested without end."""

from __future__ import annotations

import math
from typing import Any

from exporters.errors import RowRefused

DEEPEST = 200  # levels; orjson itself stops at 254


def ensure_plain(value: Any, place: str = "the row", depth: int = 0) -> None:
    """Refuse, by name, a value that JSON writers would drop, alter or choke on.

    orjson writes NaN as null and NUL as an escape that PostgreSQL and many readers refuse, so neither is left to it.
    """
    match value:
        case None | bool():
            return
        case str():
            ensure_text(value, place)
        case int():
            if not -(2**63) <= value < 2**63:
                raise RowRefused(f"{place} holds an integer beyond 64 bits", "integer_too_large")
        case float():
            if not math.isfinite(value):
                raise RowRefused(f"{place} holds {value}, which JSON has no number for", "number_not_finite")
        case list() | dict():
            if depth == DEEPEST:
                raise RowRefused(f"{place} is nested deeper than {DEEPEST} levels", "nested_too_deeply")
            ensure_members_plain(value, place, depth + 1)
        case _:
            raise RowRefused(f"{place} holds a {type(value).__name__}, which is no JSON value", "not_json")


def ensure_members_plain(value: list[Any] | dict[Any, Any], place: str, depth: int) -> None:
    if isinstance(value, list):
        for member in value:
            ensure_plain(member, place, depth)
        return
    for key, member in value.items():
        if not isinstance(key, str):
            raise RowRefused(f"{place} has a key that is no text: {key!r}", "not_json")
        ensure_text(key, place)
        ensure_plain(member, key if depth == 1 else place, depth)


def ensure_text(text: str, place: str) -> None:
    if "\0" in text:
        raise RowRefused(f"{place} holds a NUL character", "nul_character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RowRefused(f"{place} holds half of a surrogate pair, which is no text", "lone_surrogate") from error
