"""The instance's secret, and the keys derived from it.

One secret, given or made once; from it a key for each purpose, so that a leak of one tells nothing about another.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hitl.core.database import Base, Database, insert_into
from hitl.core.errors import AppError
from hitl.core.settings import Settings, sqlite_file

MIN_SECRET_CHARACTERS = 32


class SecretMissing(AppError):
    """HITL_SECRET is not set. On PostgreSQL every process needs the same one: `openssl rand -hex 32` makes it."""

    code = "secret_missing"


class SecretTooShort(AppError):
    """HITL_SECRET is too short to be safe. Use at least 32 characters: `openssl rand -hex 32` makes them."""

    code = "secret_too_short"


class SecretDiffers(AppError):
    """This database was set up with another HITL_SECRET. With this one, sign-ins and pseudonyms would not match."""

    code = "secret_differs"


class SecretFileUnusable(AppError):
    """The secret beside the SQLite database can be neither read nor made."""

    code = "secret_file_unusable"


class Instance(Base):
    """What this installation knows about itself: one row."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(primary_key=True, default=1)
    secret_fingerprint: Mapped[str]


@dataclass(frozen=True)
class Keys:
    """Keys for each purpose, 32 bytes each."""

    sessions: bytes
    pseudonyms: bytes  # never rotated: an end user's pseudonym stays the same
    sampling: bytes
    encryption: bytes
    fingerprint: str

    @classmethod
    def derive(cls, secret: str) -> "Keys":
        """Derive the keys by HMAC-SHA256 with the purpose as message (the expand step of RFC 5869)."""

        def key(purpose: str) -> bytes:
            return hmac.digest(secret.encode(), f"hitl {purpose} 1".encode(), "sha256")

        return cls(
            sessions=key("sessions"),
            pseudonyms=key("pseudonyms"),
            sampling=key("sampling"),
            encryption=key("encryption"),
            fingerprint=key("fingerprint").hex()[:16],
        )


def keys_of(db: Session) -> Keys:
    """Return the keys of the instance whose database this session talks to."""
    keys: Keys = db.info["keys"]
    return keys


def load_keys(settings: Settings) -> Keys:
    """Return the keys of this instance; on SQLite the secret is made once and kept beside the database, mode 0600.

    Raises SecretMissing, SecretTooShort, SecretFileUnusable.
    """
    return Keys.derive(secret_in_use(settings))


def secret_in_use(settings: Settings) -> str:
    """Return the secret itself. Raises as `load_keys` does."""
    if settings.secret is not None:
        secret = settings.secret.get_secret_value()
        if len(secret) < MIN_SECRET_CHARACTERS:
            raise SecretTooShort
        return secret
    kept = secret_file(settings)
    if kept is None:
        raise SecretMissing
    try:
        return _kept_secret(kept)
    except OSError as error:
        raise SecretFileUnusable(
            f"The secret beside the database {sqlite_file(settings.database_url)} can be neither read nor made: "
            f"{error.strerror}. Check HITL_DATABASE_URL and the rights on its folder."
        ) from error


def secret_file(settings: Settings) -> Path | None:
    """Return the file beside a SQLite database in which its secret is kept; None for other databases."""
    database_file = sqlite_file(settings.database_url)
    return None if database_file is None else database_file.with_name(database_file.name + ".secret")


def ensure_same_secret(database: Database, keys: Keys) -> None:
    """Store the secret's fingerprint the first time; raise SecretDiffers when a process comes with another one."""
    fingerprint = select(Instance.secret_fingerprint)
    with database.reading() as db:
        known = db.scalar(fingerprint)
    if known is None:
        with database.writing() as db:
            # Several processes may start at once on a new database: the first one's secret counts.
            first = insert_into(db, Instance).values(id=1, secret_fingerprint=keys.fingerprint)
            db.execute(first.on_conflict_do_nothing())
            known = db.scalars(fingerprint).one()
    if not hmac.compare_digest(known, keys.fingerprint):
        raise SecretDiffers


def token_digest(token: str) -> str:
    """Return what is stored of a random token: knowing it does not give the token back.

    A plain SHA-256 is enough because tokens have 256 random bits; passwords are another matter (argon2).
    """
    return hashlib.sha256(token.encode()).hexdigest()


def _kept_secret(path: Path) -> str:
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name) as fresh:  # mode 0600
            fresh.write(secrets.token_hex(32))
            fresh.flush()
            os.fsync(fresh.fileno())
            # Linked whole, never overwritten: of two processes that start at once, both use the secret of the first.
            with contextlib.suppress(FileExistsError):
                os.link(fresh.name, path)
    return path.read_text().strip()
