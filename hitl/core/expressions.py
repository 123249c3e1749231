"""Expressions that people write about what the program knows: Common Expression Language, within bounds.

https://github.com/google/cel-spec says what the language means. An expression runs in the middle of a request and
cannot be interrupted, so that it is bounded before: in its length, by what it may call, by the size of what it looks
at (whoever gives the values cuts them), and macros that walk a list do not stand inside one another. What is slow in
spite of that (a huge regular expression) is told to the caller, who switches it off.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import cel

from hitl.core.errors import Invalid

MAX_BYTES = 1_000  # of an expression
MAX_CPU_SECONDS = 0.02  # for one evaluation: longer is an overrun
MAX_PATTERN_CPU_SECONDS = 0.002  # to read a pattern, which the engine does anew for each text that it looks at
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})  # they walk a list and bind a name to each element
FUNCTIONS = frozenset(
    {"bool", "contains", "double", "endsWith", "has", "int", "matches", "size", "startsWith", "string"} | MACROS
)
NEITHER = "It says neither true nor false"
_MADE_OF_WORDS = re.compile(r"\w+")  # operators have names of signs: `_&&_`
_TOKENS = re.compile(
    r"""
    (?P<text>[rRbB]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<comment>//[^\n]*)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>[^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)


class ExpressionUnacceptable(Invalid):
    """This expression cannot be used."""

    code = "expression_unacceptable"


@dataclass(frozen=True)
class Name:
    """Something that an expression may speak of.

    kind: what it is, in words. means: a sentence for whoever writes expressions. example: an expression with it.
    """

    kind: str
    means: str
    example: str


Vocabulary = Mapping[str, Name]


@dataclass(frozen=True)
class Outcome:
    """What an expression said.

    fits: whether it was true. What could not be worked out does not fit.
    fault: why it could not be worked out, as a sentence; None if it could.
    is_missing: because it asks for a key that is not there this time, as may well be.
    is_overrun: it took longer than anybody should wait.
    """

    fits: bool
    fault: str | None = None
    is_missing: bool = False
    is_overrun: bool = False


class Values:
    """What the names of a vocabulary stand for this time: each is worked out when an expression first speaks of it."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        """makers: by name, what gives its value: JSON values, cut to bounded sizes."""
        self._makers = makers
        self._context = cel.Context()
        self._told: set[str] = set()  # to the engine
        self.known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.known:
            self.known[name] = self._makers[name]()
        return self.known[name]

    def context_of(self, names: frozenset[str]) -> cel.Context:
        """Return what the engine asks: to turn a value into its own costs more than most expressions do."""
        for name in names - self._told:
            self._context.add_variable(name, self[name])
        self._told |= names
        return self._context


@dataclass(frozen=True)
class Expression:
    """An expression that was found acceptable.

    names: of the vocabulary, that it speaks of. members: after the dot of each name, such as `refusal` of
        `signals.refusal`; what it asks for in other ways (`signals["refusal"]`) is not among them.
    """

    source: str
    names: frozenset[str]
    members: Mapping[str, frozenset[str]]
    _program: cel.Program = field(repr=False, compare=False)

    def about(self, values: Values) -> Outcome:
        """Return whether it fits."""
        context = values.context_of(self.names)
        began = time.thread_time()  # not by the wall: a busy machine is not the author's fault
        is_missing = False
        try:
            said, fault = self._program.execute(context), None
        except KeyError as error:
            said, fault, is_missing = False, f"There is no {error}.", True
        except Exception as error:  # the engine raises what fits the mistake, even RuntimeError
            said, fault = False, _first_sentence(str(error))
        is_overrun = time.thread_time() - began > MAX_CPU_SECONDS
        if fault is None and not isinstance(said, bool):
            said, fault = False, f"{NEITHER}: {_shortly(said)}."
        return Outcome(said is True, fault, is_missing, is_overrun)


def read_expression(source: str, vocabulary: Vocabulary) -> Expression:
    """Return an expression as somebody wrote it.

    Raises ExpressionUnacceptable: too long, not CEL (with the place), unknown names or functions, nested macros, or a
    regular expression that is none.
    """
    return _read(source, tuple(sorted(vocabulary)))


@lru_cache(maxsize=4096)
def _read(source: str, known: tuple[str, ...]) -> Expression:
    if not source.strip():
        raise ExpressionUnacceptable("Write an expression, such as: signals.refusal > 0.")
    if len(source.encode()) > MAX_BYTES:
        raise ExpressionUnacceptable(f"An expression has at most {MAX_BYTES:,} bytes; this one is longer.")
    program = _compiled(source)
    tokens = list(_tokens(source))
    _ensure_no_objects(tokens)
    bound = _bound_names(tokens)
    names = frozenset(program.variables()) - bound
    _ensure_known("name", names, frozenset(known), tokens)
    functions = frozenset(filter(_MADE_OF_WORDS.fullmatch, program.functions()))
    _ensure_known("function", functions - {"@in"}, FUNCTIONS, tokens)
    _ensure_flat(tokens)
    _ensure_patterns(tokens)
    return Expression(source, names, _members(tokens, names), program)


def _compiled(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except ValueError as error:
        raise ExpressionUnacceptable(_where_and_what(str(error))) from error


# --- What it is made of -----------------------------------------------------------------------------------------------


class Token(NamedTuple):
    """A word, a text or a sign of an expression, and where it stands."""

    kind: str
    text: str
    line: int
    column: int  # from 1


def _tokens(source: str) -> Iterator[Token]:
    for found in _TOKENS.finditer(source):
        kind = found.lastgroup or ""
        if kind != "comment":
            line_start = source.rfind("\n", 0, found.start()) + 1
            yield Token(kind, found.group(), source.count("\n", 0, found.start()) + 1, found.start() - line_start + 1)


def _macro_calls(tokens: list[Token]) -> Iterator[int]:
    """Return where each macro's name stands: `.all(`."""
    for at in range(1, len(tokens) - 1):
        before, name, after = tokens[at - 1 : at + 2]
        if name.text in MACROS and before.text == "." and after.text == "(":
            yield at


def _bound_names(tokens: list[Token]) -> frozenset[str]:
    return frozenset(tokens[at + 2].text for at in _macro_calls(tokens) if at + 2 < len(tokens))


def _ensure_known(what: str, used: frozenset[str], known: frozenset[str], tokens: list[Token]) -> None:
    unknown = used - known
    if not unknown:
        return
    first = next((token for token in tokens if token.text in unknown), None)
    place = "" if first is None else f"{_place(first.line, first.column)}: "
    name = min(unknown) if first is None else first.text
    raise ExpressionUnacceptable(f"{place}there is no {what} “{name}”. There are: {', '.join(sorted(known))}.")


def _ensure_flat(tokens: list[Token]) -> None:
    """A macro inside another walks a list for each element of a list: that is where seconds go."""
    macros, depth, ends_at = set(_macro_calls(tokens)), 0, 0
    for at, token in enumerate(tokens):
        if at in macros:
            if ends_at:
                place = _place(token.line, token.column)
                raise ExpressionUnacceptable(f"{place}: {token.text} stands inside another walk over a list.")
            ends_at = depth + 1
        if token.kind != "sign":
            continue
        depth += (token.text in "([{") - (token.text in ")]}")
        if token.text == ")" and depth < ends_at:
            ends_at = 0


def _ensure_no_objects(tokens: list[Token]) -> None:
    for name, brace in pairwise(tokens):
        if name.kind == "word" and brace.text == "{":
            raise ExpressionUnacceptable(f"{_place(brace.line, brace.column)}: “{{” does not fit here.")


def _ensure_patterns(tokens: list[Token]) -> None:
    """A pattern is a text that stands there, and a regular expression: found out now, not at the first answer."""
    for at, token in enumerate(tokens[:-2]):
        if token.text != "matches" or tokens[at + 1].text != "(":
            continue
        pattern = tokens[at + 2]
        place = _place(pattern.line, pattern.column)
        if pattern.kind != "text" or tokens[at + 3 : at + 4] == [] or tokens[at + 3].text != ")":
            raise ExpressionUnacceptable(f"{place}: matches takes one pattern in quotes.")
        program = cel.compile(f'"".matches({pattern.text})')
        began = time.thread_time()
        try:
            program.execute()
        except Exception as error:
            said = str(error).partition("\nerror: ")[2].partition(". Check function")[0].partition("\n")[0]
            raise ExpressionUnacceptable(f"{place}: not a pattern: {said or 'it is too large'}.") from error
        if time.thread_time() - began > MAX_PATTERN_CPU_SECONDS:
            raise ExpressionUnacceptable(f"{place}: this pattern is too large to be used at each answer.")


def _members(tokens: list[Token], names: frozenset[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for at, (name, dot, member) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        is_first = at == 0 or tokens[at - 1].text != "."
        if is_first and name.text in names and dot.text == "." and member.kind == "word":
            found.setdefault(name.text, set()).add(member.text)
    return {name: frozenset(members) for name, members in found.items()}


# --- What is wrong, in words ------------------------------------------------------------------------------------------

_PROBLEM = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?([^\n]*)")
_UNEXPECTED = re.compile(
    r"(?:mismatched input|extraneous input|no viable alternative at input) '(.*?)'(?= expecting|$)"
)
_MISSING = re.compile(r"missing '(.*?)' at")
_UNREADABLE = re.compile(r"token recognition error at: '(.*)'$")


def _where_and_what(said: str) -> str:
    """Return what the parser said as a sentence for people."""
    problems = [found for found in _PROBLEM.finditer(said) if "Incomplete" not in found.group(3)]
    if not problems:
        return "This is not an expression."
    line, column, what = problems[0].groups()
    return f"{_place(int(line), int(column))}: {_in_words(what)}"


def _in_words(what: str) -> str:
    if found := _UNEXPECTED.match(what):
        return "it ends too early." if found.group(1) == "<EOF>" else f"“{found.group(1)}” does not fit here."
    if found := _MISSING.match(what):
        return f"“{found.group(1)}” is missing."
    if "Recursion limit" in what:
        return "nested too deeply."
    if found := _UNREADABLE.match(what):
        return f"“{found.group(1)}” cannot be read."
    return f"{what[:200]}."


def _place(line: int, column: int) -> str:
    return f"Character {column}" if line == 1 else f"Line {line}, character {column}"


def _first_sentence(text: str) -> str:
    return text.partition("\n")[0].partition(". ")[0].rstrip(".")[:200] + "."


def _shortly(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
