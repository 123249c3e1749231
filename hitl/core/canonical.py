"""One spelling for equal JSON values, so that equal content has equal hashes everywhere."""

import contextlib
import hashlib
from typing import Any

import orjson
import rfc8785

MAX_WHOLE_NUMBER = 2**53 - 1


def canonical_json(value: Any, *, has_texts_only: bool = False) -> bytes:
    """Return the canonical UTF-8 spelling of a JSON value.

    has_texts_only: the caller knows that there are no numbers in it, and that all keys are ASCII.
    Raises rfc8785.CanonicalizationError for what JSON cannot say: not-a-number, infinities, integers beyond 2**53,
    lone surrogates.
    Source: RFC 8785, "JSON Canonicalization Scheme".
    """
    if has_texts_only or _is_spelled_alike(value):
        with contextlib.suppress(orjson.JSONEncodeError):  # the careful way says what is wrong
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return rfc8785.dumps(value)


def content_hash(value: Any, *, has_texts_only: bool = False) -> str:
    """Return the SHA-256 of a JSON value's canonical spelling, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value, has_texts_only=has_texts_only)).hexdigest()


def _is_spelled_alike(value: Any) -> bool:
    """Whether orjson, some ten times as fast, spells this value as RFC 8785 does.

    They differ in numbers that JavaScript writes in its own way (1.0 as 1, 1e-7, 1e21) and in the order of keys beyond
    the Basic Multilingual Plane; texts they escape alike, and both refuse lone surrogates.
    """
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is dict:
        for key, below in value.items():
            if type(key) is not str or not key.isascii() or (type(below) is not str and not _is_spelled_alike(below)):
                return False
        return True
    if kind is list:
        return all(map(_is_spelled_alike, value))
    if kind is int:
        return bool(-MAX_WHOLE_NUMBER <= value <= MAX_WHOLE_NUMBER)
    # In this range both write the shortest decimal that reads back equal, without an exponent.
    return kind is float and 1e-4 < abs(value) < 1e15 and not value.is_integer()
