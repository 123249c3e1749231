"""Repeated requests: the same key gets the first answer again, and nothing happens twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from hitl.core import clock, jobs
from hitl.core.database import Base
from hitl.core.errors import Invalid
from hitl.core.prepared import Prepared

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
    connection, ours = db.connection(), {"owner_id": owner_id, "key": key}
    reserved = {**ours, "request_hash": request_hash, "created_at": clock.now()}
    if _RESERVE[connection.dialect.name].first(connection, reserved) is not None:
        return None
    earlier_hash, status, body = _EARLIER.first(connection, ours) or (None, None, None)
    if earlier_hash != request_hash:
        raise IdempotencyKeyReused
    return EarlierAnswer(status or 200, body or "")


def finish(db: Session, owner_id: UUID, key: str, status: int, body: str) -> None:
    """Remember the answer, in the transaction of what it tells."""
    _FINISH.run(db.connection(), {"owner_id": owner_id, "key": key, "status": status, "body": body})


_table: Table = RememberedRequest.__table__  # type: ignore[assignment]
_is_theirs = (_table.c.owner_id == bindparam("owner_id")) & (_table.c.key == bindparam("key"))
_RESERVE = {
    # The second of two that come at once waits here for the first.
    dialect.dialect.name: Prepared(
        dialect.insert(_table).on_conflict_do_nothing().returning(_table.c.key),
        ("owner_id", "key", "request_hash", "created_at"),
    )
    for dialect in (postgresql, sqlite)
}
_EARLIER = Prepared(select(_table.c.request_hash, _table.c.status, _table.c.body).where(_is_theirs))
_FINISH = Prepared(update(_table).where(_is_theirs).values(status=bindparam("status"), body=bindparam("body")))


@jobs.periodic("hitl.core.idempotency.forget_old_requests", every_seconds=3600)
def forget_old_requests(db: Session) -> None:
    """Delete the remembered requests whose day is over."""
    db.execute(delete(RememberedRequest).where(RememberedRequest.created_at < clock.now() - KEPT))
