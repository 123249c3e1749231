"""Passwords: which ones we take, and how they are kept (argon2id)."""

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from hitl.accounts.errors import PasswordUnacceptable
from hitl.core.green import off_the_hub

MIN_CHARACTERS = 12
MAX_CHARACTERS = 256

# The second recommendation of RFC 9106: three passes over 64 MiB, about a tenth of a second.
_HASHER = PasswordHasher()
# Each computation takes 64 MiB: a burst of sign-ins waits in line instead of using up the memory.
_AT_WORK = threading.BoundedSemaphore(4)
# Stands in for the hash of somebody who does not exist; made by `hash_password` from random bytes that nobody kept.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$2Re50QmzLXBh1NJwZsCGng$uhH6kAZP6ljQaklPMBZcLEG/8OgblApgrow/2HGF9xw"


def ensure_acceptable(password: str, email: str) -> None:
    """Raise PasswordUnacceptable if a new password is too short, too long, or the person's e-mail address.

    Length is what counts; there are no rules about kinds of characters (NIST SP 800-63B).
    """
    if len(password) < MIN_CHARACTERS:
        raise PasswordUnacceptable(f"Use at least {MIN_CHARACTERS} characters.", param="/password")
    if len(password) > MAX_CHARACTERS:
        raise PasswordUnacceptable(f"Use at most {MAX_CHARACTERS} characters.", param="/password")
    if _encoded(password) is None:
        raise PasswordUnacceptable("This password holds characters that cannot be stored.", param="/password")
    if password.strip().casefold() == email.casefold():
        raise PasswordUnacceptable("Use something else than your e-mail address.", param="/password")
    if len(set(password)) == 1:
        raise PasswordUnacceptable("Use more than one character over and over.", param="/password")


def hash_password(password: str) -> str:
    """Return what is stored of a password. Takes about a tenth of a second: hold no lock meanwhile."""
    encoded = _encoded(password)
    if encoded is None:
        raise PasswordUnacceptable(param="/password")
    with _AT_WORK:
        return off_the_hub(_HASHER.hash, encoded)


def matches(password_hash: str | None, password: str) -> bool:
    """Tell whether a password is the one that was stored.

    password_hash: None for somebody without a password or nobody at all; takes the same time, so that the time does
        not tell who has an account.
    """
    encoded = _encoded(password) if len(password) <= MAX_CHARACTERS else None
    with _AT_WORK:
        try:
            off_the_hub(_HASHER.verify, password_hash or _NOBODY, encoded or b"")
        except (VerificationError, InvalidHashError):
            return False
    return None not in (password_hash, encoded)


def needs_new_hash(password_hash: str) -> bool:
    """Tell whether a hash was made with other parameters than we use today."""
    return _HASHER.check_needs_rehash(password_hash)


def _encoded(password: str) -> bytes | None:
    """Return one spelling for what looks the same, however the keyboard composed it; None for lone surrogates."""
    try:
        return unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        return None
