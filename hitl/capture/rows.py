"""What a client sends: one row for each response, one for each piece of feedback.

Rows are validated one by one, so that one bad row never harms the others.
"""

import functools
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, TypeVar
from uuid import UUID

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
    with_config,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from hitl.capture.errors import RowInvalid
from hitl.capture.json_values import ensure_storable, pointer
from hitl.capture.messages import OPEN, Input, Output

MAX_ID_CHARACTERS = 255
MAX_METADATA_BYTES = 64 * 1024  # as JSON; of metadata and of parameters
MAX_SIGNALS = 256
MAX_PASSAGES = 256
MAX_COMMENT_CHARACTERS = 10_000
MAX_WORD_CHARACTERS = 1_000  # a feedback's value when it is a text
MAX_COUNT = 2**31 - 1  # what an integer column holds
EARLIEST_YEAR, LATEST_YEAR = 1970, 2999

RowT = TypeVar("RowT", bound=BaseModel)


def read_time(value: Any) -> datetime:
    """Only texts: a bare number could be seconds or milliseconds, and a guess would be wrong unnoticed."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        raise PydanticCustomError("time", "A time is written as in RFC 3339, such as 2026-11-20T19:12:00Z")
    if value.tzinfo is None:
        raise PydanticCustomError("time_zone", "A time needs its zone, such as Z or +01:00")
    if not EARLIEST_YEAR < value.year < LATEST_YEAR:  # a year off either end, so that no zone moves it out of range
        raise PydanticCustomError("time_range", f"A time lies between {EARLIEST_YEAR} and {LATEST_YEAR}")
    return value.astimezone(UTC)


def _ensure_small(value: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(value)) > MAX_METADATA_BYTES:
        raise PydanticCustomError("too_big", f"This takes at most {MAX_METADATA_BYTES:,} bytes as JSON")
    return value


def _none_is(empty: Any) -> BeforeValidator:
    """Take null for absent: what is absent is empty."""
    return BeforeValidator(lambda value: type(empty)() if value is None else value)


ClientId: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
Word: TypeAlias = Annotated[str, Field(max_length=MAX_ID_CHARACTERS)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Amount: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Time: TypeAlias = Annotated[datetime, BeforeValidator(read_time, json_schema_input_type=datetime)]
SmallObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(_ensure_small)]


def _ensure_plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        raise PydanticCustomError("plain_value", "A value is true, false, a number or a short text")
    return value


FeedbackValue: TypeAlias = Annotated[
    bool | int | float | str, Field(union_mode="left_to_right"), BeforeValidator(_ensure_plain)
]


@with_config(OPEN)
class Passage(TypedDict):
    """A text that was retrieved for the model; further keys, such as a score, are kept."""

    text: str
    title: NotRequired[str | None]
    source: NotRequired[str | None]


class ResponseRow(BaseModel):
    """What a model saw and what it said, as the client sends it."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=(), title="Response row")

    client_id: ClientId | None = Field(
        None,
        description="Your own id, unique in the project. The same row again is a duplicate and stores nothing; other "
        "content under the same id is refused. Without it, a repeat is stored again.",
    )
    input: Input
    output: Output
    model: Word | None = Field(None, description="Null when a person wrote the response")
    model_version: Word | None = None
    prompt_name: Word | None = None
    prompt_version: Word | None = None
    parameters: Annotated[SmallObject, _none_is({})] = Field(default_factory=dict)
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    latency_seconds: Amount | None = None
    cost_usd: Amount | None = None
    trace_id: Word | None = None
    context: Annotated[list[Passage], Field(max_length=MAX_PASSAGES), _none_is([])] = Field(
        default_factory=list, description="What was retrieved for the model"
    )
    signals: Annotated[
        dict[Word, Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=MAX_SIGNALS), _none_is({})
    ] = Field(default_factory=dict, description="Named finite numbers, such as a guard's score")
    metadata: Annotated[SmallObject, _none_is({})] = Field(default_factory=dict)
    may_train: Annotated[Literal["yes", "no", "unknown"], BeforeValidator(lambda v: "unknown" if v is None else v)] = (
        Field("unknown", description="Unknown: the project's default decides")
    )
    conversation_id: ClientId | None = Field(None, description="Your own id of the conversation")
    turn: Count | None = Field(None, description="Position in the conversation, from 0")
    end_user: ClientId | None = Field(
        None, description="Your name for the person; only a keyed hash of it is stored, never the name"
    )
    created_at: Time | None = Field(None, description="When the model answered; by default now")


class FeedbackRow(BaseModel):
    """What an end user said about one response or about a whole conversation."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Feedback row")

    response: Annotated[UUID, Field(strict=False)] | None = Field(None, description="Our id of the response")
    client_id: ClientId | None = Field(None, description="Your own id of the response; it may still be on its way")
    conversation_id: ClientId | None = Field(None, description="Your own id of the conversation")
    kind: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="“thumbs” (value true or false), “stars” (1 to 5), or a word of your own"
    )
    value: FeedbackValue | None = None
    comment: Annotated[str, Field(max_length=MAX_COMMENT_CHARACTERS)] | None = None
    source: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "end_user", description="Who said it; a repeat by the same source updates"
    )
    given_at: Time | None = Field(None, description="By default now. What was said later counts")

    @model_validator(mode="after")
    def _ensure_one_subject(self) -> "FeedbackRow":
        subjects = [self.response, self.client_id, self.conversation_id]
        if sum(subject is not None for subject in subjects) != 1:
            raise PydanticCustomError("subject", "Name one of `response`, `client_id` and `conversation_id`")
        return self

    @model_validator(mode="after")
    def _ensure_value_fits_kind(self) -> "FeedbackRow":
        if self.kind == "thumbs" and not isinstance(self.value, bool):
            raise _wrong_value("Thumbs are true (up) or false (down)")
        if self.kind == "stars" and not _is_star(self.value):
            raise _wrong_value("Stars are a whole number from 1 to 5")
        if isinstance(self.value, str) and len(self.value) > MAX_WORD_CHARACTERS:
            raise _wrong_value(f"A text as value has at most {MAX_WORD_CHARACTERS:,} characters; use `comment`")
        if self.value is None and not self.comment:
            raise _wrong_value("Feedback needs a value or a comment")
        return self


def _is_star(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value in range(1, 6)


def _wrong_value(message: str) -> PydanticCustomError:
    return PydanticCustomError("feedback_value", message)


def read_row(kind: type[RowT], raw: Any, at: str = "") -> RowT:
    """Return a raw JSON value as a row of this kind.

    at: JSON pointer of the row in what was sent.
    Raises RowInvalid, whose `param` points to the field.
    """
    try:
        ensure_storable(raw)
        return kind.model_validate(raw)
    except RowInvalid as problem:
        problem.param = at + (problem.param or "")
        raise
    except ValidationError as error:
        message, path = _first_problem(error, raw)
        raise RowInvalid(message, param=at + path) from None


def _first_problem(error: ValidationError, raw: Any) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    path = [*_real_path(first["loc"], raw, first["type"] == "missing"), *_field_at_fault(first)]
    return _sentence(first), pointer(tuple(path))


def _real_path(location: tuple[int | str, ...], raw: Any, is_missing: bool) -> list[str | int]:
    """Leave out of pydantic's location the names of the union's branches, which are no keys of what was sent."""
    path: list[str | int] = []
    here = raw
    for place, part in enumerate(location):
        if _leads_on(here, part):
            here = here[part]
            path.append(part)
        elif is_missing and place == len(location) - 1:
            path.append(part)
    return path


def _leads_on(here: Any, part: int | str) -> bool:
    return (isinstance(here, dict) and part in here) or (
        isinstance(here, list) and isinstance(part, int) and part < len(here)
    )


_EXTRA_PLACES: dict[str, list[str | int]] = {
    "union_tag_invalid": ["role"],
    "union_tag_not_found": ["role"],
    "feedback_value": ["value"],
}


def _field_at_fault(problem: ErrorDetails) -> list[str | int]:
    return _EXTRA_PLACES.get(problem["type"], [])


def _sentence(problem: ErrorDetails) -> str:
    kind = problem["type"]
    if kind == "missing":
        return f"`{problem['loc'][-1]}` is required."
    if kind == "extra_forbidden":
        return f"`{problem['loc'][-1]}` is not a known key here. Facts of your own go into the row's `metadata`."
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return "A message needs a role: system, developer, user, assistant or tool."
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "This has to be a JSON object."
    return f"{problem['msg']}."


@functools.cache
def row_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of a row, for the API's description."""
    return kind.model_json_schema(ref_template="#/components/schemas/{model}")
