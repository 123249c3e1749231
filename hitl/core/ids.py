"""Identifiers: UUID version 7, so that rows made later sort later and index pages stay dense."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import Uuid
from sqlalchemy.orm import mapped_column
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a fresh identifier; those made later in one process compare greater."""
    return uuid7()


def first_id_at(moment: datetime) -> UUID:
    """Return a value not above any identifier made at or after a moment, and above those made before it.

    "Since yesterday" is thus a range of the primary key, which needs no index of its own.
    """
    return UUID(int=int(moment.timestamp() * 1000) << 80)


Id = Annotated[UUID, mapped_column(Uuid, primary_key=True, default=new_id)]
