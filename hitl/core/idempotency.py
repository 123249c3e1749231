"""Repeated requests: the same key gets the first answer again, and nothing happens twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from hitl.core import clock, jobs
from hitl.core.database import Base
from hitl.core.errors import Invalid

KEPT = timedelta(hours=24)
MAX_KEY_CHARACTERS = 255


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key came before with another body. Use a fresh key for a different request."""

    code = "idempotency_key_reused"


class BadIdempotencyKey(Invalid):
    """An Idempotency-Key has 1 to 255 visible ASCII characters."""

    code = "bad_idempotency_key"


class RememberedRequest(Base):
    """A request that carried an Idempotency-Key, and what it was answered; stored in the request's transaction."""

    __tablename__ = "remembered_requests"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)  # the API key that asked
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    # A committed row always has its answer: both are written in one transaction.
    status: Mapped[int | None]
    body: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now, index=True)


@dataclass(frozen=True)
class EarlierAnswer:
    """What the first request with this key was answered."""

    status: int
    body: str


def begin(db: Session, owner_id: UUID, key: str, request_hash: str) -> EarlierAnswer | None:
    """Reserve the key, or return the answer given before.

    A second request that comes while the first is under way waits for it (PostgreSQL on the row, SQLite on its write
    lock). Raises IdempotencyKeyReused when the key came with another body, BadIdempotencyKey.
    """
    if not (0 < len(key) <= MAX_KEY_CHARACTERS and key.isascii() and key.isprintable()):
        raise BadIdempotencyKey
    try:
        with db.begin_nested():
            db.add(RememberedRequest(owner_id=owner_id, key=key, request_hash=request_hash))
    except IntegrityError:
        return _earlier_answer(db, owner_id, key, request_hash)
    return None


def finish(db: Session, owner_id: UUID, key: str, status: int, body: str) -> None:
    """Remember the answer, in the transaction of what it tells."""
    remembered = db.get_one(RememberedRequest, (owner_id, key))
    remembered.status, remembered.body = status, body


def _earlier_answer(db: Session, owner_id: UUID, key: str, request_hash: str) -> EarlierAnswer:
    earlier = db.scalars(
        select(RememberedRequest).where(RememberedRequest.owner_id == owner_id, RememberedRequest.key == key)
    ).one()
    if earlier.request_hash != request_hash:
        raise IdempotencyKeyReused
    return EarlierAnswer(earlier.status or 200, earlier.body or "")


@jobs.periodic("hitl.core.idempotency.forget_old_requests", every_seconds=3600)
def forget_old_requests(db: Session) -> None:
    """Delete the remembered requests whose day is over."""
    db.execute(delete(RememberedRequest).where(RememberedRequest.created_at < clock.now() - KEPT))
