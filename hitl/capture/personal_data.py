"""Personal data in texts: found by patterns, and by their check digits where they have some.

What has a form of its own is found: addresses of mail and of machines, numbers of telephones, cards, accounts and
persons, keys and passwords. Names, streets and illnesses are not: those need a model of the language. A number that
could be anything (nine bare digits) counts only beside a word that says what it is.

docs/operations.md says how many are found, and how many of those are none, on data that others published.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import phonenumbers
from stdnum import iban, luhn
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cl import rut
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.us import itin, ssn
from stdnum.za import idnr as za_id

# Kind → what people read.
KINDS = {
    "email": "e-mail",
    "phone": "phone number",
    "card": "card number",
    "iban": "IBAN",
    "national_id": "ID number",
    "ip": "IP address",
    "secret": "key or token",
}
LONGEST = 100_000  # characters of one text that are looked at; more is a file, not something said


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of personal data. start, end: in characters of the text."""

    kind: str
    start: int
    end: int
    text: str


def personal_data_in(text: str) -> list[Found]:
    """Return what personal data stands in a text, in its order; nothing overlaps."""
    if not may_hold_personal_data(text):
        return []
    text = text[:LONGEST]
    found = sorted((one for find in _finders_for(text) for one in find(text)), key=_gravest_and_longest_first)
    apart: list[Found] = []
    for one in found:
        if not apart or one.start >= apart[-1].end:
            apart.append(one)
    return apart


def _gravest_and_longest_first(found: Found) -> tuple[int, bool, int]:
    """The password in an address is none of a mailbox."""
    return found.start, found.kind != "secret", -found.end


# --- What is worth looking for: most texts are done with here, and a second look costs fifty times as much ------------

_DIGIT = re.compile(r"[0-9]")
_DIGITS_TOGETHER = re.compile(r"[0-9](?:[^0-9\n]{0,2}[0-9]){5}")
_DIGITS_AND_CAPITAL = re.compile(r"[0-9]{4}[A-Z]")
_DOTTED = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]")
# How keys begin, and what stands before passwords.
_KEY_PREFIXES = (
    *("sk-", "k_live_", "k_test_", "whsec_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "AKIA"),
    *("ASIA", "AIza", "xox", "hf_", "npm_", "pypi-", "SG.", "eyJ", "hitl_", "-----BEGIN", "://"),
)
_SHORTEST_KEY = 10  # characters without a blank
_CUE_PIECES = ("pass", "pwd", "key", "token", "secret", "bearer", "credential")


def may_hold_personal_data(text: str) -> bool:
    """Whether it is worth looking closer: all that is found has a digit or an @, or is a password with a sign."""
    return (
        "@" in text
        or _DIGIT.search(text) is not None
        or any(piece in text for piece in ("passw", "Passw", "-----BEGIN"))
    )


def _finders_for(text: str) -> Iterator[Callable[[str], Iterator[Found]]]:
    if any(map(text.lower().__contains__, _CUE_PIECES)):
        yield _passwords
    if max(map(len, text.split()), default=0) >= _SHORTEST_KEY and any(map(text.__contains__, _KEY_PREFIXES)):
        yield _keys
    if "@" in text:
        yield _emails
    if _DOTTED.search(text) or text.count(":") >= 2:
        yield _addresses
    if _DIGITS_TOGETHER.search(text):
        yield from (_ibans, _cards, _identities, _phones)
    if _DIGITS_AND_CAPITAL.search(text):
        yield _accounts_of_taxpayers


# --- Mail, machines, telephones ---------------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?<![\w.+%-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b"
)


def _emails(text: str) -> Iterator[Found]:
    yield from _matches("email", _EMAIL, text)


# Patterns begin with what is rare in a text and found quickly; what stands before is looked at afterwards.
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")
_IPV6_INSIDE = re.compile(r":[0-9A-Fa-f]{0,4}:")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_VERSION = re.compile(r"(?:\bv|version|release|build|firmware|chapter|section)[ .:]{0,2}$", re.IGNORECASE)


def _addresses(text: str) -> Iterator[Found]:
    for one in _matches("ip", _IPV4, text):
        goes_on = text[one.start - 1 : one.start].isdigit() or text[one.start - 1 : one.start] == "."
        is_version = _VERSION.search(text, max(0, one.start - 12), one.start) is not None
        if not goes_on and not is_version and _is_address(one.text):
            yield one
    if _IPV6_INSIDE.search(text):
        yield from (one for one in _matches("ip", _IPV6, text) if _is_address(one.text))


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)  # those are everybody's


_WITH_COUNTRY = re.compile(r"(?<![\w+])\+\d[\d ().\-/]{6,20}\d(?!\w)")
_AMERICAN = re.compile(r"(?<![\w+.-])(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])")
_BESIDE_A_CUE = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|fax|whatsapp|telefon|téléphone|handy)\b[^\d\n+]{0,20}"
    r"(\d[\d ().\-/]{6,16}\d)(?!\w)",
    re.IGNORECASE,
)


def _phones(text: str) -> Iterator[Found]:
    if "+" in text:
        yield from (one for one in _matches("phone", _WITH_COUNTRY, text) if _is_phone(one.text))
    yield from (one for one in _matches("phone", _AMERICAN, text) if _is_phone(one.text, "US"))
    for found in _BESIDE_A_CUE.finditer(text):
        if 8 <= sum(map(str.isdigit, found.group(1))) <= 12:
            yield Found("phone", *found.span(1), found.group(1))


def _is_phone(text: str, region: str | None = None) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


# --- Cards, accounts, persons -----------------------------------------------------------------------------------------

_CARD = re.compile(r"(?<![\d.-])[2-6]\d{3}(?:[ -]?\d{3,6}){2,3}(?:[ -]?\d{1,4})?(?![\d-]|\.\d)")


def _cards(text: str) -> Iterator[Found]:
    for one in _matches("card", _CARD, text):
        digits = re.sub(r"\D", "", one.text)
        if 13 <= len(digits) <= 19 and luhn.is_valid(digits) and len(set(digits)) > 1:
            yield one


_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?!\w)")


def _ibans(text: str) -> Iterator[Found]:
    for one in _matches("iban", _IBAN, text):
        # The pattern runs into the next word in capitals: the longest beginning that is an IBAN counts.
        end = len(one.text)
        while end > 14 and not iban.is_valid(one.text[:end]):
            end = max(one.text.rfind(" ", 0, end), 0)
        if end > 14:
            yield Found("iban", one.start, one.start + end, one.text[:end])


@dataclass(frozen=True, slots=True)
class _Identity:
    """Numbers that a state gives to persons. cue: a word that must stand before; None: its form is telling enough."""

    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]
    cue: re.Pattern[str] | None = None


def _identity(pattern: str, check: Any, cue: str | None = None) -> _Identity:
    cued = None if cue is None else re.compile(rf"\b(?:{cue})\b", re.IGNORECASE)
    return _Identity(re.compile(rf"(?<![\w.-]){pattern}(?![\w-]|\.\d)"), check.is_valid, cued)


_IDENTITIES = (
    _identity(r"\d{3}-\d{2}-\d{4}", ssn),
    _identity(r"\d{3}-\d{2}-\d{4}", itin),
    _identity(r"\d{9}", ssn, "ssn|social security"),
    _identity(r"\d{3}[ -]\d{3}[ -]\d{3}", sin, "sin|social insurance"),
    _identity(r"\d{4} ?\d{4} ?\d{4}", aadhaar, "aadhaar|aadhar|uid(?:ai)?"),
    _identity(r"\d{4} \d{4} \d{4}", aadhaar),
    _identity(r"\d{3} ?\d{3} ?\d{4}", nhs, "nhs"),
    _identity(r"\d{8}-?[A-Z]", dni),
    _identity(r"[XYZ]-?\d{7}-?[A-Z]", nie),
    _identity(r"[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", nir),
    _identity(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", codicefiscale),
    _identity(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", idnr, "steuer-?id|steueridentifikationsnummer|idnr|steuernummer|tax id"),
    _identity(r"\d{9}", bsn, "bsn|burgerservicenummer|sofinummer"),
    _identity(r"\d{11}", pesel, "pesel"),
    _identity(r"\d{11}", fodselsnummer, "fødselsnummer|fodselsnummer|personnummer"),
    _identity(r"\d{6}-\d{4}", cpr, "cpr|personnummer"),
    _identity(r"(?:\d{2})?\d{6}[-+]\d{4}", personnummer),
    _identity(r"\d{6}[A+-]\d{3}[0-9A-Z]", hetu),
    _identity(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", nn),
    _identity(r"756\.\d{4}\.\d{4}\.\d{2}", ahv),
    _identity(r"\d{3}\.\d{3}\.\d{3}-\d{2}", cpf),
    _identity(r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", rut),
    _identity(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[0-9A-Z]\d", curp),
    _identity(r"\d{6}-[1-8]\d{6}", rrn),
    _identity(r"\d{17}[\dX]", ric),
    _identity(r"\d{13}", za_id, "id(?:entity)?(?: number)?"),
    _identity(r"\d{3} ?\d{3} ?\d{3}", tfn, "tfn|tax file"),
)
_NINO = re.compile(r"(?<!\w)(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D](?!\w)")
_CUE_REACHES = 40  # characters back from a number


def _identities(text: str) -> Iterator[Found]:
    for start, end in _around_digits(text):
        yield from _matches("national_id", _NINO, text, start, end)  # has no check digit, but a form of its own
        for identity in _IDENTITIES:
            for one in _matches("national_id", identity.pattern, text, start, end):
                is_named = identity.cue is None or identity.cue.search(
                    text, max(0, one.start - _CUE_REACHES), one.start
                )
                if is_named and identity.is_valid(one.text):
                    yield one


def _around_digits(text: str) -> Iterator[tuple[int, int]]:
    """Return the stretches in which numbers of persons may stand: the rest need not be asked of each country."""
    start = end = -1
    for found in _RUN_OF_DIGITS.finditer(text):
        if start >= 0 and found.start() - _LETTERS_AROUND > end:
            yield start, end
            start = -1
        if start < 0:
            start = max(0, found.start() - _LETTERS_AROUND)
        end = found.end() + _LETTERS_AROUND
    if start >= 0:
        yield start, end


_RUN_OF_DIGITS = re.compile(r"[0-9](?:[^0-9\n]{0,2}[0-9]){5,}")
_LETTERS_AROUND = 12  # an Italian code begins with six letters, a Mexican one ends with six
_PAN = re.compile(r"(?<!\w)[A-Z]{3}[ABCFGHLJPTK][A-Z][0-9]{4}[A-Z](?!\w)")


def _accounts_of_taxpayers(text: str) -> Iterator[Found]:
    """Of India: five letters, four digits, a letter."""
    yield from (one for one in _matches("national_id", _PAN, text) if pan.is_valid(one.text))


# --- Keys and passwords -----------------------------------------------------------------------------------------------

_KEYS = re.compile(
    r"""(?<![\w-])(?:
        sk-[A-Za-z0-9_-]{16,200}
      | [srp]k_(?:live|test)_[A-Za-z0-9]{16,200}
      | whsec_[A-Za-z0-9+/=]{16,200}
      | gh[pousr]_[A-Za-z0-9]{30,255} | github_pat_\w{40,255} | glpat-[\w-]{18,255}
      | (?:AKIA|ASIA)[A-Z0-9]{16}
      | AIza[\w-]{35}
      | xox[abeprs]-[A-Za-z0-9-]{10,255}
      | hf_[A-Za-z0-9]{30,255} | npm_[A-Za-z0-9]{30,255} | pypi-[\w-]{50,255}
      | SG\.[\w-]{16,64}\.[\w-]{16,64}
      | hitl_[\w-]{30,255}
      | eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,1000}
    )(?![\w-])""",
    re.VERBOSE,
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.{0,8000}?(?:-----END [A-Z ]{0,30}-----|\Z)", re.DOTALL
)
_PASSWORD_IN_URL = re.compile(r"://[^\s:/@]{1,64}:([^\s:/@]{3,128})@")
_CUE = r"(?:pass(?:word|wd|phrase|code)?|pwd|(?:api|access|secret)[ _-]?(?:key|token)|token|bearer|credentials?)"
_AFTER_A_CUE = re.compile(
    # It begins a word, or is the second half of one, as in dbPass.
    rf"(?:(?<![A-Za-z])|(?<=[a-z])(?-i:(?=[PTKS]))){_CUE}\b(?:\s+(?:is|was|to|of|as))?\s*(?:[:=]{{1,2}}\s*)?"
    r"[\"'“‘`(]?([^\s\"'“”‘’`,;()<>]{6,128})",
    re.IGNORECASE,
)


def _keys(text: str) -> Iterator[Found]:
    yield from _matches("secret", _KEYS, text)
    if "-----BEGIN" in text:
        yield from _matches("secret", _PRIVATE_KEY, text)
    for found in _PASSWORD_IN_URL.finditer(text):
        yield Found("secret", *found.span(1), found.group(1))


def _passwords(text: str) -> Iterator[Found]:
    end = 0
    for at in _places_of_cues(text):
        if at < end:
            continue
        found = _AFTER_A_CUE.search(text, max(0, at - _CUE_BEGINS), at + _PASSWORD_ENDS)
        if found is None:
            continue
        end = found.end()
        said = found.group(1).rstrip(".!?")
        if _is_no_word(said) and _EMAIL.fullmatch(said) is None:
            yield Found("secret", found.start(1), found.start(1) + len(said), said)


_CUE_BEGINS, _PASSWORD_ENDS = 8, 160  # characters: "access key", and what comes after it


def _places_of_cues(text: str) -> list[int]:
    lowered = text.lower()
    if len(lowered) != len(text):  # some capitals become two letters
        lowered = "".join(char.lower() if char.isascii() else char for char in text)
    places = []
    for piece in _CUE_PIECES:
        at = lowered.find(piece)
        while at >= 0:
            places.append(at)
            at = lowered.find(piece, at + 1)
    return sorted(places)


def _is_no_word(text: str) -> bool:
    """Whether a text looks drawn, not spoken: letters and digits in one, or signs that words do not have."""
    has_letter, has_digit = any(map(str.isalpha, text)), any(map(str.isdigit, text))
    has_sign = any(not char.isalnum() and char not in "-_./:'’" for char in text)
    return len(text) >= 6 and has_letter and (has_digit or has_sign)


def _matches(kind: str, pattern: re.Pattern[str], text: str, start: int = 0, end: int = LONGEST) -> Iterator[Found]:
    for found in pattern.finditer(text, start, end):
        yield Found(kind, found.start(), found.end(), found.group())
