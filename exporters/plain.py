"""What any file of ours can hold: finite numbers, 64-bit integers and real Unicode, not nested without end."""

from __future__ import annotations

import math
from typing import Any

from exporters.errors import RowRefused

DEEPEST = 200  # levels; orjson itself stops at 254


def ensure_plain(value: Any, place: str = "the row") -> None:
    """Refuse, by name, a value that JSON writers would drop, alter or choke on.

    orjson writes NaN as null and NUL as an escape that PostgreSQL and many readers refuse, so neither is left to it.
    """
    if not is_plain(value):  # as hardly any: only then it is worth to find out what is wrong, and where
        ensure_each_plain(value, place, 0)


def is_plain(value: Any, levels: int = DEEPEST) -> bool:
    """Whether there is nothing to refuse. Some five times as fast as finding out what."""
    kind = type(value)
    if kind is str:
        return "\0" not in value and (value.isascii() or is_text(value))
    if kind is dict or kind is list:
        if levels == 0 or (kind is dict and not all(type(key) is str and is_plain(key) for key in value)):
            return False
        for member in value.values() if kind is dict else value:
            # Nearly every member is such a text, and a call would cost more than the look.
            is_common = type(member) is str and member.isascii() and "\0" not in member
            if not is_common and not is_plain(member, levels - 1):
                return False
        return True
    if kind is float:
        return math.isfinite(value)
    return value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63)


def ensure_each_plain(value: Any, place: str, depth: int) -> None:
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
            ensure_each_plain(member, place, depth)
        return
    for key, member in value.items():
        if not isinstance(key, str):
            raise RowRefused(f"{place} has a key that is no text: {key!r}", "not_json")
        ensure_text(key, place)
        ensure_each_plain(member, key if depth == 1 else place, depth)


def ensure_text(text: str, place: str) -> None:
    if "\0" in text:
        raise RowRefused(f"{place} holds a NUL character", "nul_character")
    if not is_text(text):
        raise RowRefused(f"{place} holds half of a surrogate pair, which is no text", "lone_surrogate")


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
