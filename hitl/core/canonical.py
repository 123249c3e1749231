"""One spelling for equal JSON values, so that equal content has equal hashes everywhere."""

import hashlib
from typing import Any

import rfc8785


def canonical_json(value: Any) -> bytes:
    """Return the canonical UTF-8 spelling of a JSON value.

    Raises rfc8785.CanonicalizationError for what JSON cannot say: not-a-number, infinities, integers beyond 2**53,
    lone surrogates.
    Source: RFC 8785, "JSON Canonicalization Scheme".
    """
    return rfc8785.dumps(value)


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a JSON value's canonical spelling, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
