"""One spelling for equal JSON values, so that equal content has equal hashes everywhere."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import orjson
import rfc8785

MAX_WHOLE_NUMBER = 2**53 - 1  # beyond it, readers of JSON disagree about the number


def canonical_json(value: Any, *, has_texts_only: bool = False) -> bytes:
    """Return the canonical UTF-8 spelling of a JSON value.

    has_texts_only: the caller knows that there are no numbers in it but whole ones below 2**53, and that all keys are
        ASCII. What is an orjson.Fragment of canonical spelling already counts as a text.
    Raises rfc8785.CanonicalizationError for what JSON cannot say: not-a-number, infinities, integers beyond 2**53,
    lone surrogates.
    Source: RFC 8785, "JSON Canonicalization Scheme".
    """
    try:
        return orjson.dumps(value if has_texts_only else _for_orjson(value), option=orjson.OPT_SORT_KEYS)
    except (_NeedsCare, orjson.JSONEncodeError):  # the careful way says what is wrong, if anything is
        return rfc8785.dumps(value)


def content_hash(value: Any, *, has_texts_only: bool = False) -> str:
    """Return the SHA-256 of a JSON value's canonical spelling, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value, has_texts_only=has_texts_only)).hexdigest()


class _NeedsCare(Exception):
    """orjson would spell this otherwise than RFC 8785, or at all where that refuses."""


def _for_orjson(value: Any) -> Any:
    """Return what orjson, some ten times as fast, spells as RFC 8785 spells the value: the value itself if it can be.

    They differ in numbers that JavaScript writes in its own way (1.0 as 1, 1e-7, 1e21), which are replaced, and in the
    order of keys beyond the Basic Multilingual Plane. Texts they escape alike, and both refuse lone surrogates.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is dict:
        for key in value:
            if type(key) is not str or not key.isascii():
                raise _NeedsCare
        changed = _changed(value.items())
        return {**value, **changed} if changed else value
    if kind is list:
        changed = _changed(enumerate(value))
        return [changed.get(place, below) for place, below in enumerate(value)] if changed else value
    if kind is int and -MAX_WHOLE_NUMBER <= value <= MAX_WHOLE_NUMBER:
        return value
    if kind is float and math.isfinite(value):
        return _number_for_orjson(value)
    raise _NeedsCare


def _changed(entries: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return, of the entries of an object or a list, those that orjson has to be given otherwise."""
    changed = {}
    for key, below in entries:
        if type(below) is not str:  # spares most values the call
            given = _for_orjson(below)
            if given is not below:
                changed[key] = given
    return changed


def _number_for_orjson(number: float) -> Any:
    if not 1e-4 < abs(number) < 1e15:
        return orjson.Fragment(rfc8785.dumps(number))
    # In this range both write the shortest decimal that reads back equal, without an exponent.
    return int(number) if number.is_integer() else number
