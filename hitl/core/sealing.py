"""Secrets of others that we must be able to read again, such as the key to an upstream: sealed in the database.

AES-256-GCM under a key derived from the instance's secret. What is sealed for one place cannot be opened for another.
"""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hitl.core.errors import AppError
from hitl.core.secrets import Keys

VERSION = "1"  # of key and method, so that a later one can be told apart
NONCE_BYTES = 12


class CannotOpen(AppError):
    """A stored key cannot be read: it was sealed under another HITL_SECRET, or for another place. Enter it again."""

    code = "cannot_open"


def seal(keys: Keys, text: str, place: str) -> str:
    """Return a text so that only `open_sealed` with the same keys and place reads it. place: what it is for."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(keys.encryption).encrypt(nonce, text.encode(), place.encode())
    return f"{VERSION}.{base64.b64encode(nonce + sealed).decode()}"


def open_sealed(keys: Keys, sealed: str, place: str) -> str:
    """Return the text. Raises CannotOpen."""
    version, _, content = sealed.partition(".")
    try:
        raw = base64.b64decode(content, validate=True)
        if version != VERSION:
            raise CannotOpen
        return AESGCM(keys.encryption).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], place.encode()).decode()
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise CannotOpen from error
