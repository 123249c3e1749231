"""JSON shapes of the gateway's administration."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from hitl.core.http import ApiModel, ProjectPath
from hitl.gateway.models import Upstream
from hitl.gateway.settings import Handling
from hitl.gateway.upstreams import UpstreamTerms

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class UpstreamPath(ProjectPath):
    """An upstream of a project."""

    upstream_id: UUID


class BudgetPath(ProjectPath):
    """A budget of a project."""

    budget_id: UUID


class HandlingBody(ApiModel):
    """What is to change; the rest stays."""

    mode: Literal["observe", "gate", "person"] | None = None
    hold_seconds: int | None = Field(None, description="The longest that a request waits for a person, 1 to 3600")
    when_nobody: Literal["send", "safe_reply", "refuse"] | None = Field(
        None, description="Person mode: what happens when nobody comes in time; “send” asks the model"
    )
    when_database_down: Literal["send", "safe_reply", "refuse"] | None = Field(
        None, description="Gate and person modes: what is answered while the database does not answer"
    )
    safe_reply: Text | None = None
    cache_seconds: int | None = Field(None, description="How long an answer serves the very same request; 0: never")
    prices: dict[str, dict[str, float]] | None = Field(
        None, description='By model: {"input": …, "output": …}, in US dollars a million tokens'
    )


class UpstreamBody(ApiModel):
    """What is said of an upstream; on a change what is left out stays."""

    name: Text | None = None
    base_url: Text | None = Field(None, description="Such as https://api.openai.com/v1")
    key: Text | None = Field(
        None, description="Sent to it as bearer token. Kept sealed, never told again, dropped when the host changes"
    )
    models: list[Text] | None = Field(None, description="Those that it serves; empty: all")
    position: int | None = Field(None, description="The lowest is asked first; equal ones share by weight")
    weight: int | None = None
    retries: int | None = Field(None, description="After the first try, 0 to 5")
    connect_seconds: float | None = None
    silence_seconds: float | None = Field(None, description="How long nothing may come")
    total_seconds: float | None = None
    is_on: bool | None = None

    def said(self) -> dict[str, Any]:
        """Return what is said, without the key."""
        return self.model_dump(exclude_none=True, exclude={"key"})


class UpstreamOut(ApiModel):
    """An upstream. Its key is not told."""

    id: UUID
    name: str
    base_url: str
    has_key: bool
    key_hint: str | None = Field(description="The last characters of its key")
    models: list[str]
    position: int
    weight: int
    retries: int
    connect_seconds: float
    silence_seconds: float
    total_seconds: float
    is_on: bool
    is_left_alone: bool = Field(description="It failed so often that this process does not ask it for a while")

    @classmethod
    def of(cls, upstream: Upstream, *, is_left_alone: bool) -> "UpstreamOut":
        told = {name: getattr(upstream, name) for name in UpstreamTerms.model_fields}
        return cls(
            id=upstream.id,
            has_key=upstream.sealed_key is not None,
            key_hint=upstream.key_hint,
            is_left_alone=is_left_alone,
            **told,
        )


class BudgetBody(ApiModel):
    """What may be used in a period."""

    period: Literal["day", "month"]
    max_tokens: int | None = None
    max_usd: float | None = None
    api_key_id: UUID | None = Field(None, description="Null: all keys of the project together")
    model: Text | None = Field(None, description="Null: all models together")


class BudgetOut(BudgetBody):
    """A budget."""

    id: UUID


class RecordingOut(ApiModel):
    """How this process keeps up with recording what went through it."""

    waiting: int
    on_disk: int = Field(description="Could not be recorded yet; of all processes that share the folder")
    recorded: int
    refused: int = Field(description="Answers that could not be captured as they were")
    spooled: int
    lost: int = Field(description="Neither the database nor the disk took them")


class GatewayOut(ApiModel):
    """How a project's calls are handled."""

    settings: Handling
    upstreams: list[UpstreamOut]
    budgets: list[BudgetOut]
    recording: RecordingOut


class UsageQuery(ApiModel):
    """Since when."""

    since: date | None = Field(None, description="A day (UTC); by default 30 days ago")


class UsageOut(ApiModel):
    """What a key used of a model on one day (UTC)."""

    day: date
    api_key_id: UUID
    model: str
    answers: int
    failures: int
    from_cache: int
    without_usage: int = Field(description="Answers whose tokens the upstream did not tell: they count as none")
    input_tokens: int
    output_tokens: int
    cost_usd: float


class UsageList(ApiModel):
    """What was used, the newest day first."""

    usage: list[UsageOut]
    as_of: datetime
