"""Signals: what can be told about an answer at once, in this process, without a model.

Each is a number with a name, worked out from the answer and what led to it, and a sentence that says why. They stand
in the request path, so that they are plain patterns and counts, made for English. They point at what somebody should
look at; none of them is a judgement. benchmarks/policy.py says what they cost, docs/supervisors.md how often they are
right on data that others published.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hitl.capture.personal_data import KINDS, may_hold_personal_data, personal_data_in
from hitl.capture.words import text_of

LOOKED_AT = 20_000  # characters of a text: an answer of megabytes does not hold up the others
TURNS_LOOKED_AT = 50
QUOTED = 60  # characters


@dataclass(frozen=True)
class Said:
    """An answer, and what led to it. All texts are cut to LOOKED_AT characters."""

    answer: str
    turns: Sequence[tuple[str, str]]  # role and words of the messages before, oldest first
    passages: Sequence[str] = ()  # the context that was retrieved for it
    calls_tools: bool = False
    mean_logprob: float | None = None  # natural logarithm, per token of the answer
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        given: Mapping[str, Any],
        output: Mapping[str, Any],
        context: Sequence[Mapping[str, Any]] = (),
        *,
        mean_logprob: float | None = None,
    ) -> "Said":
        """Return it as it was captured. given: the input: messages and tools. context: passages with a text."""
        turns = [
            (str(message["role"]), text_of(message)[:LOOKED_AT]) for message in given["messages"][-TURNS_LOOKED_AT:]
        ]
        passages = [str(passage.get("text") or "")[:LOOKED_AT] for passage in context[:TURNS_LOOKED_AT]]
        answer = text_of(dict(output))[:LOOKED_AT]
        return cls(answer, turns, passages, bool(output.get("tool_calls")), mean_logprob)

    @cached_property
    def of_user(self) -> list[str]:
        """What the user said, oldest first."""
        return [text for role, text in self.turns if role == "user"]

    @property
    def question(self) -> str:
        """The newest words of the user; empty if they said none."""
        return self.of_user[-1] if self.of_user else ""


@dataclass(frozen=True)
class Signal:
    """A signal, for whoever writes rules.

    means: what its number counts, as a sentence. raised_from: the number from which it says something; of
        `mean_logprob` up to which. value: returns the number, None where it cannot be told. words: says why, given
        that it is raised.
    """

    name: str
    means: str
    raised_from: float
    value: Callable[[Said], float | None]
    words: Callable[[Said, float], str]
    is_low_bad: bool = False

    def is_raised(self, value: float) -> bool:
        """Whether this number is worth a word."""
        return value <= self.raised_from if self.is_low_bad else value >= self.raised_from


def signals_of(said: Said) -> dict[str, float]:
    """Return every signal that can be told of an answer."""
    values = ((name, signal.value(said)) for name, signal in BUILT_IN.items())
    return {name: value for name, value in values if value is not None}


def reasons(said: Said, values: Mapping[str, Any]) -> dict[str, str]:
    """Return by name what the raised ones of these signals say, as sentences."""
    return {
        name: signal.words(said, values[name])
        for name, signal in BUILT_IN.items()
        if name in values and signal.is_raised(values[name])
    }


# --- The user asked for a person --------------------------------------------------------------------------------------

_PERSON = (
    r"(?:(?:a|an|the|some|your|another|any)\s+)?(?:(?:real|live|actual|human|senior|different)\s+)*"
    r"(?:humans?|persons?|people|someone|somebody|agents?|advis[oe]rs?|representatives?|reps?|operators?|managers?"
    r"|supervisors?|customer\s+(?:service|support|care)|(?:support|service)\s+(?:team|staff)|member\s+of\s+(?:your\s+)?staff)"
)
_ASKS_FOR_PERSON = re.compile(
    rf"\b(?:(?:speak|talk|chat|escalate)\s+(?:directly\s+)?(?:to|with)\s+{_PERSON}"
    rf"|(?:connect|transfer|forward|hand|pass|switch|put)\s+(?:me|this|us)\s+(?:over\s+|through\s+|on\s+)?(?:to|with)\s+{_PERSON}"
    rf"|(?:get|give|find|bring|need|want|prefer)\s+(?:me\s+)?(?:to\s+(?:see|reach)\s+)?"
    r"(?:a|an|another|your|the)\s+(?:(?:real|live|actual|human|senior|different)\s+)*"
    r"(?:human(?:\s+being)?|real\s+person|live\s+(?:agent|person)|agent|representative|rep|operator|manager|supervisor)"
    rf"|(?:is\s+there|can\s+i\s+have|may\s+i\s+have|let\s+me\s+have|have)\s+(?:{_PERSON})\s+(?:i\s+can\s+|to\s+)(?:speak|talk|chat|call)"
    r"|(?:don['’]?t|do\s+not|not)\s+(?:want\s+to\s+|like\s+to\s+)?(?:talk|speak|chat)(?:ing)?\s+(?:to|with)\s+"
    r"(?:an?\s+|this\s+)?(?:bot|machine|robot|computer|ai)"
    r"|(?:rather|instead\s+of)\s+(?:than\s+)?(?:an?\s+|this\s+)?(?:bot|machine|robot|computer|ai))\b",
    re.IGNORECASE,
)
_NOT_ASKED = re.compile(r"\b(?:don'?t|do\s+not|no\s+need\s+to|rather\s+not)\s+(?:\w+\s+){0,2}$", re.IGNORECASE)


def words_asking_for_person(text: str) -> str | None:
    """Return the words by which a user asks for a person, None if they do not.

    Source: our own patterns, held against the STAR dialogues (docs/supervisors.md).
    """
    for found in _ASKS_FOR_PERSON.finditer(text[:LOOKED_AT]):
        if _NOT_ASKED.search(text, max(0, found.start() - 30), found.start()) is None:
            return found.group()
    return None


def _asked_for_person(said: Said) -> float:
    return float(words_asking_for_person(said.question) is not None)


def _asked_in_words(said: Said, _value: float) -> str:
    return f"The user asked for a person: {_quoted(words_asking_for_person(said.question) or '')}."


# --- The answer refuses -----------------------------------------------------------------------------------------------

_BEGINNING = 300  # characters: a refusal comes first; later "I cannot" is mostly about something else
_REFUSES = re.compile(
    r"\b(?:i|we)(?:['’]m|\s+am|['’]re|\s+are)?\s+(?:really\s+|very\s+|so\s+|truly\s+)?(?:sorry|afraid|apologi[sz]e),?\s+(?:but\s+)?(?:that\s+)?"
    r"(?:i|we)\s*(?:['’]m\s+not|['’]m\s+unable|\s+am\s+not|\s+am\s+unable|cannot|can['’]?t|could\s*n['’]?o?t|won['’]?t|do\s*n['’]?o?t\s+(?:feel|think|have))"
    r"|\bas\s+an?\s+(?:ai|artificial|language\s+model|large\s+language)\b"
    r"|\bi(?:['’]m|\s+am)\s+(?:not\s+able|unable|not\s+(?:comfortable|allowed|permitted|authori[sz]ed|programmed|going))\s+(?:to|with|about)"
    r"|\bi\s+(?:cannot|can['’]?t|can\s+not|won['’]?t|will\s+not|must\s+decline)\b\s*(?:\w+\s+)?"
    r"(?:help|assist|provide|answer|give|share|discuss|do\s+that|comply|support|recommend|engage|create|write|generate|tell\s+you|in\s+good)"
    r"|\bi\s+(?:don['’]?t|do\s+not)\s+(?:feel\s+comfortable|want\s+to\s+(?:help|answer|discuss|give)|think\s+i\s+(?:should|can))"
    r"|\bi(?:['’]d|\s+would)\s+(?:rather|prefer)\s+not\b",
    re.IGNORECASE,
)


def words_of_refusal(answer: str) -> str | None:
    """Return the words by which an answer refuses in its first 300 characters, None if it does not."""
    found = _REFUSES.search(answer[:_BEGINNING])
    return found.group() if found else None


def _refusal(said: Said) -> float:
    return float(words_of_refusal(said.answer) is not None)


def _refusal_in_words(said: Said, _value: float) -> str:
    return f"The answer refuses: {_quoted(words_of_refusal(said.answer) or '')}."


# --- It repeats itself ------------------------------------------------------------------------------------------------

_WORDS = re.compile(r"\w+")
_RUN = 4  # words
_MIN_RUNS = 40  # a list of a few items repeats its beginnings


def share_repeated(text: str) -> float:
    """Return the share of a text's runs of four words that stood in it before, from 0 to 1; 0 for short texts.

    Source: the repetition measure rep-4 of S. Welleck et al. (2019), "Neural Text Generation with Unlikelihood
    Training".
    """
    words = _WORDS.findall(text.lower())
    count = len(words) - _RUN + 1
    if count < _MIN_RUNS:
        return 0.0
    return 1 - len(set(zip(*(words[at:] for at in range(_RUN)), strict=False))) / count


def _repeats(said: Said) -> float:
    return 1.0 if _said_before(said) else round(share_repeated(said.answer), 3)


def _said_before(said: Said) -> bool:
    words = _WORDS.findall(said.answer.lower())
    if len(words) < 6:  # "You're welcome." may be said twice
        return False
    return any(role == "assistant" and _WORDS.findall(text.lower()) == words for role, text in said.turns)


def _repeats_in_words(said: Said, value: float) -> str:
    if _said_before(said):
        return "The answer says word for word what the bot said before."
    return f"The answer repeats itself: {value:.0%} of its runs of four words stood in it before."


# --- Its length -------------------------------------------------------------------------------------------------------

LONG = 4_000  # characters: two screens full; the longest of the 765 model outputs that are shipped has 2,905


def _very_long(said: Said) -> float:
    return float(len(said.answer) > LONG)


def _long_in_words(said: Said, _value: float) -> str:
    size = f"{len(said.answer):,}" if len(said.answer) < LOOKED_AT else f"{LOOKED_AT:,} or more"
    return f"The answer is very long: {size} characters."


def _empty(said: Said) -> float:
    return float(not said.calls_tools and _WORDS.search(said.answer) is None)


# --- Personal data ----------------------------------------------------------------------------------------------------


def _personal_kinds(said: Said) -> list[str]:
    """Kinds of what stands in the answer and was not said by the user: they know their own address."""
    if not may_hold_personal_data(said.answer):
        return []
    told = "\n".join(said.of_user)
    return [found.kind for found in personal_data_in(said.answer) if found.text not in told]


def _personal_data(said: Said) -> float:
    return float(len(_personal_kinds(said)))


def _personal_in_words(said: Said, _value: float) -> str:
    kinds = sorted({KINDS[kind] for kind in _personal_kinds(said)})
    return f"The answer holds personal data that the user did not give: {', '.join(kinds)}."


# --- Rude words, and angry users --------------------------------------------------------------------------------------

_SPOKEN = re.compile(r"[A-Za-z*]+")
_PROFANE = frozenset(
    """
    fuck fucks fucked fucker fuckers fuckin fucking motherfucker motherfuckers motherfucking f*ck f**k wtf stfu
    shit shits shitty shitting shithead bullshit horseshit sh*t asshole assholes arsehole arseholes dumbass
    dumbasses jackass jackasses bitch bitches bitching bitchy b*tch bastard bastards cunt cunts dickhead dickheads
    dick dicks prick pricks pussy pussies cock cocks cocksucker cocksuckers slut sluts whore whores twat twats
    wanker wankers wanking bollocks crap crappy goddamn goddamned damn damned damnit dammit retard retards
    retarded fag fags faggot faggots nigger niggers nigga niggas kike kikes spic spics chink chinks
    """.split()  # noqa: SIM905 - a text of words reads better than a list of quotes
)
_NAMES = frozenset({"Dick", "Dicks", "Cocks", "Cock"})  # with a capital: Moby Dick


def profane_words(text: str) -> list[str]:
    """Return the swear words and slurs of a text, in their order. Source: our own list, of English words."""
    return [word for word in _SPOKEN.findall(text) if word.lower() in _PROFANE and word not in _NAMES]


def _profanity(said: Said) -> float:
    return float(len(profane_words(said.answer)))


def _profanity_in_words(said: Said, value: float) -> str:
    first = profane_words(said.answer)[0]
    veiled = first[0] + "…"
    return f"The answer swears: {value:.0f} {'word' if value == 1 else 'words'}, the first is “{veiled}”."


_NEGATIVE = re.compile(
    r"\b(?:terribl[ey]|awful|horribl[ey]|useless|pathetic|ridiculous|unacceptable|outrageous"
    r"|disgust(?:ing|ed)|incompetent|disappoint(?:ed|ing)|frustrat(?:ed|ing)|annoy(?:ed|ing)|angry|furious|so\s+upset|pissed|the\s+worst|sucks|stupid"
    r"|idiots?|hate\s+(?:this|that|it|dealing|talking|you|your|when)"
    r"|waste\s+of\s+(?:my\s+)?time|wasting\s+my\s+time|fed\s+up"
    r"|sick\s+(?:of|and\s+tired)|rip[- ]?off|scam(?:med)?|never\s+(?:using|coming)|(?:make|file)\s+a\s+complaint"
    r"|lawsuit"
    r"|(?:you|it|this|that)\s*(?:do|does|did|is|are|['’]s|['’]re)\s?(?:n['’]?t|not)\s+(?:work(?:ing)?|help(?:ing|ful)?"
    r"|listen(?:ing)?|understand(?:ing)?|get(?:ting)?\s+it)"
    r"|not\s+(?:what\s+i\s+(?:asked|said|wanted|want|need|meant)|helpful|happy\s+with|satisfied|good\s+enough|acceptable)"
    r"|(?:that|this)(?:['’]s|\s+is|\s+was)\s+(?:wrong|incorrect|not\s+right|nonsense|bullshit)|you(?:['’]re|\s+are)\s+wrong"
    r"|i\s+(?:already|just)\s+(?:said|told|gave|answered)|(?:are|aren['’]?t)\s+you\s+(?:even\s+)?listening"
    r"|what\s+is\s+wrong\s+with\s+you|thanks\s+for\s+nothing|for\s+(?:god|christ|heaven)['’]?s?\s+sake"
    r"|seriously\s*\?|how\s+hard\s+(?:can|is)|unbelievable)(?:\b|(?<=\?))|(?:^|[.!?]\s*)come\s+on\s*[,.!]|\?[!?]{2,}",
    re.IGNORECASE,
)
# "Not bad" and "my memory is terrible": about something else than us.
_NOT_ABOUT_US = re.compile(
    r"\b(?:(?:no|not|isn['’]?t|wasn['’]?t|never|without)\s+(?:an?\s+|any\s+|too\s+|so\s+|very\s+)?"
    r"|(?:my\b|i\s+have|i\s+had|i['’]ve\s+had)[^.!?]{0,30}|would\s+be\s+(?:so\s+|very\s+)?)$",
    re.IGNORECASE,
)


def words_of_anger(text: str) -> str | None:
    """Return the words by which somebody shows that they are unhappy, None if they do not. Source: our own patterns."""
    for found in _NEGATIVE.finditer(text):
        if _NOT_ABOUT_US.search(text, max(0, found.start() - 40), found.start()) is None:
            return found.group()
    return None


def _unhappy_turns(said: Said) -> Iterator[str]:
    """Return what shows it in each of the user's newest turns, up to one without."""
    for text in reversed(said.of_user):
        words = words_of_anger(text)
        if words is None:
            return
        yield words


def _negative_turns(said: Said) -> float:
    return float(sum(1 for _ in _unhappy_turns(said)))


def _negative_in_words(said: Said, value: float) -> str:
    times = "in their newest message" if value == 1 else f"in their newest {value:.0f} messages"
    return f"The user sounds unhappy {times}: {_quoted(next(_unhappy_turns(said), ''))}."


# --- How sure the model was, and what it goes by ----------------------------------------------------------------------


def _unsure_in_words(_said: Said, value: float) -> str:
    return f"The model was not sure: its words had a mean log probability of {value:.2f}."


_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_CONTENT = re.compile(r"[0-9][0-9.,:]*|[^\W\d_]{4,}")  # numbers, and words of four letters or more
_COMMON = frozenset(
    """
    about above after again also although always another because been before being below between
    both cannot could does doing down during each either even every from further have
    having here however into itself just like many more most much must never only
    other over same should since some such than that their them then there these
    they this those though through under until upon very were what when where whether
    which while will with within without would your yours yourself
    """.split()  # noqa: SIM905 - a text of words reads better than a list of quotes
)
SUPPORTED_FROM = 0.5  # of a sentence's content words stand in the context
_MIN_CONTENT = 3  # words of a sentence; less is a greeting


def share_unsupported(answer: str, passages: Sequence[str]) -> float | None:
    """Return the share of an answer's sentences of which less than half the content words stand in the context.

    None where there is no context, or no sentence to judge. Words count as the same when their first five letters are.
    Source: lexical precision against the evidence, as in K. Shuster et al. (2021), "Retrieval Augmentation Reduces
    Hallucination in Conversation" (knowledge F1), by sentence.
    """
    known = {stem for passage in passages for stem in _stems(passage)}
    judged = [stems for sentence in _SENTENCES.split(answer) if len(stems := set(_stems(sentence))) >= _MIN_CONTENT]
    if not known or not judged:
        return None
    return round(sum(len(stems & known) < SUPPORTED_FROM * len(stems) for stems in judged) / len(judged), 3)


def _stems(text: str) -> Iterator[str]:
    for word in _CONTENT.findall(text.lower()):
        if word not in _COMMON:
            yield word.rstrip(".,:")[:5]


def _unsupported(said: Said) -> float | None:
    return share_unsupported(said.answer, said.passages) if any(said.passages) else None


def _unsupported_in_words(_said: Said, value: float) -> str:
    return f"{value:.0%} of the answer's sentences have little in common with the context that was given."


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:QUOTED]}{'…' if len(text) > QUOTED else ''}”"


_SIGNALS = (
    Signal(
        "asked_for_person",
        "1 if the user's newest words ask for a person, else 0.",
        1,
        _asked_for_person,
        _asked_in_words,
    ),
    Signal("refusal", "1 if the answer begins with a refusal, else 0.", 1, _refusal, _refusal_in_words),
    Signal(
        "repeats",
        "Share of the answer's runs of four words that stood in it before, from 0 to 1; 1 if the bot said it before.",
        0.3,
        _repeats,
        _repeats_in_words,
    ),
    Signal("very_long", f"1 if the answer has more than {LONG:,} characters, else 0.", 1, _very_long, _long_in_words),
    Signal(
        "empty",
        "1 if the answer has no words and calls no tool, else 0.",
        1,
        _empty,
        lambda _said, _value: "The answer is empty.",
    ),
    Signal(
        "personal_data",
        "How many pieces of personal data stand in the answer that the user did not give: "
        + ", ".join(KINDS.values())
        + ".",
        1,
        _personal_data,
        _personal_in_words,
    ),
    Signal("profanity", "How many swear words stand in the answer.", 1, _profanity, _profanity_in_words),
    Signal(
        "negative_turns",
        "How many of the user's newest messages, one after the other, sound unhappy.",
        1,
        _negative_turns,
        _negative_in_words,
    ),
    Signal(
        "mean_logprob",
        "Mean log probability of the answer's tokens, at most 0; only where the model told it.",
        -1.0,
        lambda said: said.mean_logprob,
        _unsure_in_words,
        is_low_bad=True,
    ),
    Signal(
        "unsupported",
        "Share of the answer's sentences that have little in common with the given context; only where there is one.",
        0.5,
        _unsupported,
        _unsupported_in_words,
    ),
)
BUILT_IN = {signal.name: signal for signal in _SIGNALS}
