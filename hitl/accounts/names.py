"""What people call themselves and their things: one line that any page can show."""

import unicodedata

from hitl.accounts.errors import NameUnacceptable

MAX_CHARACTERS = 120
# Control, surrogate, unassigned and private characters, line and paragraph separators; formatting characters too,
# since some of them turn the direction of a whole line, except the two joiners that some scripts need.
_REFUSED_CATEGORIES = {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}


def clean_name(name: str, *, param: str = "/name") -> str:
    """Return the name in one spelling, without white space around it. Raises NameUnacceptable."""
    name = " ".join(unicodedata.normalize("NFC", name).split(" ")).strip()
    if not 1 <= len(name) <= MAX_CHARACTERS or any(map(_is_refused, name)):
        raise NameUnacceptable(param=param)
    return name


def _is_refused(character: str) -> bool:
    return unicodedata.category(character) in _REFUSED_CATEGORIES and character not in "\u200c\u200d"
