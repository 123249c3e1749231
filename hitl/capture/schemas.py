"""JSON shapes of capture."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hitl.capture.messages import AssistantMessage, Input
from hitl.capture.rows import FeedbackRow, ResponseRow, Time
from hitl.core.http import ApiModel, ErrorBody, FeedPage, FeedQuery

MAX_ROWS = 1_000


class ResponseBatch(ApiModel):
    """Many responses. Each is stored or refused by itself."""

    responses: Annotated[list[ResponseRow], Field(min_length=1, max_length=MAX_ROWS)]


class FeedbackBatch(ApiModel):
    """Many pieces of feedback. Each is kept or refused by itself."""

    feedback: Annotated[list[FeedbackRow], Field(min_length=1, max_length=MAX_ROWS)]


class _CheckedRowByRow(RootModel[Any]):
    """A body that is described like any other but let through as it is: its rows are checked one by one later."""

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        schema = super().model_json_schema(*args, **kwargs)
        schema["title"] = cls.__name__
        return schema


class ResponsesBody(_CheckedRowByRow):
    """One response, or a batch of them under the key `responses`."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _one_or_many(ResponseRow, ResponseBatch, handler)


class FeedbackBody(_CheckedRowByRow):
    """One piece of feedback, or a batch of them under the key `feedback`."""

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _one_or_many(FeedbackRow, FeedbackBatch, handler)


def _one_or_many(one: type[BaseModel], many: type[BaseModel], handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    return {"oneOf": [handler(one.__pydantic_core_schema__), handler(many.__pydantic_core_schema__)]}


class RowResult(ApiModel):
    """What became of one row."""

    id: UUID | None = Field(description="Our id; null when rejected")
    status: str = Field(
        description="Responses: created, duplicate or rejected. Feedback: created, updated, duplicate, rejected, or "
        "waiting (its response is not here yet; kept for 24 hours)."
    )


class BatchedRowResult(RowResult):
    """What became of one row of a batch."""

    index: int = Field(description="Position in the batch, from 0")
    error: ErrorBody | None = Field(description="Why it was rejected")


class BatchResults(ApiModel):
    """What became of each row, in the order sent."""

    results: list[BatchedRowResult]


def _with_zone(value: Any) -> Any:
    """A `+` in an address means a blank, so that `…T10:00:00+01:00` often arrives with one."""
    return value.replace(" ", "+") if isinstance(value, str) and "T" in value else value


QueryTime: TypeAlias = Annotated[Time, BeforeValidator(_with_zone)]


QueryWord: TypeAlias = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]


class ResponseQuery(FeedQuery):
    """Which responses."""

    model: QueryWord | None = Field(None, description="Only this model's")
    captured_since: QueryTime | None = Field(None, description="Only those that came in at or after this time")


class ResponsePath(ApiModel):
    """A response, by our id."""

    response_id: UUID


class FeedbackOut(ApiModel):
    """What an end user said."""

    id: UUID
    kind: str
    value: bool | int | float | str | None
    comment: str | None
    source: str
    given_at: datetime


class FeedbackQuery(FeedQuery):
    """Which feedback."""

    kind: QueryWord | None = Field(None, description="thumbs, stars, or a word of your own")
    source: QueryWord | None = Field(None, description="Who said it; end_user unless you said otherwise")


class FeedbackAboutOut(FeedbackOut):
    """What an end user said, and about what."""

    response_id: UUID | None = Field(description="Null where it is about a whole conversation")
    client_id: str | None = Field(description="Your own id of the response")
    conversation_id: str | None = Field(description="Your own id of the conversation, where it is about one as a whole")


class FeedbackPage(FeedPage):
    """Feedback in the order in which it was last said."""

    feedback: list[FeedbackAboutOut]


class ResponseOut(ApiModel):
    """A stored response. Who the end user is stays inside; only whether there is one is told."""

    id: UUID
    client_id: str | None
    conversation_id: str | None = Field(description="Your own id of the conversation")
    turn: int | None
    has_end_user: bool
    input: Input
    output: AssistantMessage
    model: str | None
    model_version: str | None
    prompt_name: str | None
    prompt_version: str | None
    parameters: dict[str, Any]
    input_tokens: int | None
    output_tokens: int | None
    latency_seconds: float | None
    cost_usd: float | None
    trace_id: str | None
    context: list[dict[str, Any]]
    signals: dict[str, float]
    metadata: dict[str, Any]
    may_train: str
    personal_data: list[str] = Field(
        description="Kinds of personal data that were found in it, where the project marks them"
    )
    created_at: datetime
    captured_at: datetime


class ResponseWithFeedback(ResponseOut):
    """A stored response and what end users said about it."""

    feedback: list[FeedbackOut]


class ResponsePage(FeedPage):
    """Responses in the order in which they came in."""

    responses: list[ResponseOut]
