"""Reads the payloads that try to run a script in a page: for these tests and for those of every page."""

import re
from pathlib import Path

_ESCAPE = re.compile(r"\\(?:([nrt\\])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def payloads() -> list[str]:
    """Return every payload, with its escapes read. One holds a lone surrogate, which no database takes."""
    lines = (Path(__file__).parent / "payloads.txt").read_text().splitlines()
    return [_ESCAPE.sub(_character, line) for line in lines if line and not line.startswith("# ")] + ["# <b>x</b>"]


def storable_payloads() -> list[str]:
    """Return the payloads that capture accepts: no NUL, no lone surrogate."""
    return [text for text in payloads() if "\0" not in text and not re.search("[\ud800-\udfff]", text)]


def _character(hit: re.Match[str]) -> str:
    plain, short, long = hit.groups()
    return _PLAIN[plain] if plain else chr(int(short or long, 16))
