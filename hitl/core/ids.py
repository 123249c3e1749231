"""Identifiers: UUID version 7, so that rows made later sort later and index pages stay dense."""

from typing import Annotated
from uuid import UUID

from sqlalchemy import Uuid
from sqlalchemy.orm import mapped_column
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Return a fresh identifier; those made later in one process compare greater."""
    return uuid7()


Id = Annotated[UUID, mapped_column(Uuid, primary_key=True, default=new_id)]
