"""Words to search by: a text as both databases index it, and a search as both understand it.

Databases cut text into words each in their own way, by the locale they were set up with, and neither knows where a word
ends in Chinese or Thai. So we cut ourselves, and hand over plain letters and digits: `w` and a word in small letters,
without accents, other letters spelled by their number; or `u` and two neighbouring characters of a script without
blanks, so that whatever is two characters long is found. The same text gives the same words everywhere, and nothing
that somebody types into a search can mean anything to a database.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

MAX_TYPED = 500  # characters of a search
MAX_TERMS = 20
MAX_WORD = 64  # characters; the rest of a longer word is not looked at
MAX_WORDS_LENGTH = 200_000  # of what is indexed of one response; PostgreSQL takes a megabyte
MAX_WORDS = 10_000
BETWEEN_TEXTS = "z"  # no word, so that no phrase runs from one message into the next

# Thai, Lao, Burmese, Khmer, kana and Chinese characters are written without blanks between words.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Marks that belong to the letter before them, of which Python does not say that they are part of a word.
_MARKS = r"\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff"
_PIECES = re.compile(rf"([{_UNSPACED}]+)|(?:(?![{_UNSPACED}])(?:[^\W_]|[{_MARKS}]))+")
_ACCENTS = re.compile("[\u0300-\u036f]")
_NOT_PLAIN = re.compile("[^a-z0-9]")
_PLAIN_WORDS = re.compile("[a-z0-9]+")
_TERMS = re.compile(r'"([^"]*)"|([^\s"]+)')


class Word(NamedTuple):
    """One word as it is indexed, and where it stands in its text."""

    token: str
    start: int
    end: int


@dataclass(frozen=True)
class Term:
    """Words that have to follow one another.

    is_start: the last of them may go on: "refund" finds "refunds".
    """

    tokens: tuple[str, ...]
    is_start: bool

    def fits(self, words: Sequence[Word], place: int) -> bool:
        """Whether this term stands in a text at this word."""
        there = [word.token for word in words[place : place + len(self.tokens)]]
        if len(there) < len(self.tokens) or tuple(there[:-1]) != self.tokens[:-1]:
            return False
        return there[-1].startswith(self.tokens[-1]) if self.is_start else there[-1] == self.tokens[-1]


def words_in(text: str) -> Iterator[Word]:
    """Yield the words of a text in order."""
    for piece in _PIECES.finditer(text):
        if piece[1] is not None:
            yield from _pairs(piece[1], piece.start())
        else:
            spelled = _spelled(piece[0][:MAX_WORD])
            if len(spelled) > 1:  # not only accents
                yield Word(spelled, piece.start(), piece.end())


def indexed(texts: Iterable[str]) -> str:
    """Return the words of several texts as they are stored; of very long ones, those that come first."""
    words: list[str] = []
    length = 0
    for text in texts:
        for token in _tokens_in(text):
            length += len(token) + 1
            if len(words) >= MAX_WORDS or length > MAX_WORDS_LENGTH:
                return " ".join(words)
            words.append(token)
        words.append(BETWEEN_TEXTS)
    return " ".join(words)


def _tokens_in(text: str) -> Iterator[str]:
    """The words of a text without their places, which takes a tenth of the time where it is plain ASCII."""
    if text.isascii():
        return (f"w{word[:MAX_WORD]}" for word in _PLAIN_WORDS.findall(text.lower()))
    return (word.token for word in words_in(text))


def terms_in(typed: str) -> tuple[Term, ...]:
    """Return what somebody searches for: words, and "phrases" between quotes. Nothing where no word was typed."""
    terms: dict[Term, None] = {}
    for found in _TERMS.finditer(typed[:MAX_TYPED]):
        phrase, word = found[1], found[2]
        term = _term(phrase if phrase is not None else word, is_phrase=phrase is not None)
        if term is not None:
            terms[term] = None
    return tuple(terms)[:MAX_TERMS]


def of_project(project_id: UUID) -> str:
    """Return the word that the responses of a project have in common."""
    return f"p{project_id.hex}"


def as_fts5(terms: Iterable[Term]) -> str:
    """Return a search in the language of SQLite."""
    return " AND ".join(f'"{" ".join(term.tokens)}"{" *" if term.is_start else ""}' for term in terms)


def as_tsquery(terms: Iterable[Term]) -> str:
    """Return a search in the language of PostgreSQL."""
    return " & ".join(f"({' <-> '.join(term.tokens)}{':*' if term.is_start else ''})" for term in terms)


def _term(typed: str, *, is_phrase: bool) -> Term | None:
    words = list(words_in(typed))
    if not words:
        return None
    # The last character of a run stands alone only in a text that ends there; in a search it is the end of a pair.
    alone = len(words) > 1 and _is_single(words[-1]) and not _is_single(words[-2]) and words[-2].token[0] == "u"
    tokens = tuple(word.token for word in words)
    if alone:
        return Term(tokens[:-1], is_start=False)
    return Term(tokens, is_start=not is_phrase or _is_single(words[-1]))


def _is_single(word: Word) -> bool:
    return word.token[0] == "u" and word.end - word.start == 1


def _pairs(run: str, start: int) -> Iterator[Word]:
    for place in range(len(run)):
        pair = run[place : place + 2]
        yield Word(
            "u" + "".join(f"{ord(character):05x}" for character in pair), start + place, start + place + len(pair)
        )


def _spelled(word: str) -> str:
    if word.isascii():  # nothing but letters and digits
        return "w" + word.lower()
    word = _ACCENTS.sub("", unicodedata.normalize("NFD", unicodedata.normalize("NFKC", word).casefold()))
    word = unicodedata.normalize("NFC", word)
    return "w" + _NOT_PLAIN.sub(lambda other: f"u{ord(other[0]):05x}", word.lower())
