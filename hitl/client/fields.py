"""What may be said about a response, for type checkers.

Nothing is checked here: the service refuses a bad row by name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

Message: TypeAlias = Any  # in OpenAI's chat shape: a dictionary, or an object of the `openai` package
Messages: TypeAlias = str | Sequence[Message]  # a text is what the user said


class ResponseFields(TypedDict, total=False):
    """Everything of a response but `messages` and `output`. None is the same as left out."""

    client_id: str | None  # your own id, unique in the project; by default a new one
    model: str | None  # None: a person wrote it
    model_version: str | None
    prompt_name: str | None
    prompt_version: str | None
    parameters: Mapping[str, Any] | None
    tools: Sequence[Any] | None  # that the model could call
    input_tokens: int | None
    output_tokens: int | None
    latency_seconds: float | None
    cost_usd: float | None
    trace_id: str | None
    context: Sequence[Mapping[str, Any]] | None  # what was retrieved: `text`, `title`, `source`
    signals: Mapping[str, float] | None
    metadata: Mapping[str, Any] | None
    may_train: Literal["yes", "no", "unknown"] | None
    conversation_id: str | None
    turn: int | None
    end_user: str | None  # only a keyed hash of it is stored
    created_at: Any  # an aware datetime or a text as in RFC 3339; by default now


class FieldsOfCalls(TypedDict, total=False):
    """The same for functions and clients that are captured: a value, or a function that returns it for one call."""

    client_id: Callable[..., str | None]
    model: str | Callable[..., str | None] | None
    model_version: str | Callable[..., str | None] | None
    prompt_name: str | Callable[..., str | None] | None
    prompt_version: str | Callable[..., str | None] | None
    parameters: Mapping[str, Any] | Callable[..., Mapping[str, Any] | None] | None
    tools: Sequence[Any] | Callable[..., Sequence[Any] | None] | None
    cost_usd: Callable[..., float | None]
    trace_id: str | Callable[..., str | None] | None
    context: Sequence[Mapping[str, Any]] | Callable[..., Sequence[Mapping[str, Any]] | None] | None
    signals: Mapping[str, float] | Callable[..., Mapping[str, float] | None] | None
    metadata: Mapping[str, Any] | Callable[..., Mapping[str, Any] | None] | None
    may_train: Literal["yes", "no", "unknown"] | Callable[..., Literal["yes", "no", "unknown"] | None] | None
    conversation_id: str | Callable[..., str | None] | None
    turn: Callable[..., int | None]
    end_user: str | Callable[..., str | None] | None


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields from several places: a later one wins, None never does, `metadata` and `signals` are joined."""
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if value is None:
                continue
            if name in ("metadata", "signals") and isinstance(value, Mapping):
                before = result.get(name)
                value = {**(before if isinstance(before, Mapping) else {}), **value}
            result[name] = value
    return result
