"""JSON shapes."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from hitl.core.http import ApiModel


class ProjectSummary(ApiModel):
    """A project, as its keys see it."""

    id: UUID
    slug: str
    name: str


class KeyInfo(ApiModel):
    """What the key that asks may do."""

    id: UUID
    name: str
    scopes: list[str]
    permissions: list[str]  # what the scopes allow now, as far as the maker's role covers them
    project: ProjectSummary
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the hour; null before its first use")
