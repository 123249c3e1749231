"""Messages in OpenAI's chat shape, as a client may send them and as they are stored.

A message is stored as it came, but for one thing: keys that say nothing (null, or an empty list) are left out, so that
`{"role": "assistant", "content": "Hi", "tool_calls": null}` and the same without `tool_calls` have the same hash. An
assistant message always has its `content`, if need be null. A key that says something and is not known is refused by
name, never dropped. The arguments of a tool call are a text and stay as they are, byte for byte, even if broken.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    with_config,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

MAX_MESSAGES = 2_000
MAX_PARTS = 1_000
MAX_TOOLS = 512
MAX_TOOL_CALLS = 512

STRICT = ConfigDict(extra="forbid", strict=True)
OPEN = ConfigDict(extra="allow", strict=True)

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]


@with_config(OPEN)
class TextPart(TypedDict):
    """A piece of text; further keys are kept."""

    type: Literal["text"]
    text: str


@with_config(OPEN)
class OtherPart(TypedDict):
    """A picture, a sound, a file: kept word for word, shown as a named placeholder."""

    type: Annotated[Name, Field(json_schema_extra={"not": {"const": "text"}})]


def _kind_of_part(part: Any) -> str | None:
    if not isinstance(part, dict):
        return None
    return "text" if part.get("type") == "text" else "other"


def _kind_of_content(content: Any) -> str | None:
    if isinstance(content, str):
        return "text"
    return "parts" if isinstance(content, list) else None


Part: TypeAlias = Annotated[
    Annotated[TextPart, Tag("text")] | Annotated[OtherPart, Tag("other")],
    Discriminator(
        _kind_of_part,
        custom_error_type="part",
        custom_error_message="A part is an object with a `type`, such as “text”",
    ),
]
Parts: TypeAlias = Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS)]
Content: TypeAlias = Annotated[
    Annotated[str, Tag("text")] | Annotated[Parts, Tag("parts")],
    Discriminator(
        _kind_of_content,
        custom_error_type="content",
        custom_error_message="The content of a message is a text or a list of parts",
    ),
]


@with_config(STRICT)
class CalledFunction(TypedDict):
    """Which function, and with what."""

    name: Name
    arguments: str


@with_config(STRICT)
class ToolCall(TypedDict):
    """An assistant's wish to call a function."""

    id: Name
    type: Literal["function"]
    function: CalledFunction


@with_config(STRICT)
class SystemMessage(TypedDict):
    """Instructions, by the application."""

    role: Literal["system", "developer"]
    content: Content
    name: NotRequired[Name]


@with_config(STRICT)
class UserMessage(TypedDict):
    """What a person said."""

    role: Literal["user"]
    content: Content
    name: NotRequired[Name]


@with_config(STRICT)
class ToolMessage(TypedDict):
    """What a tool answered."""

    role: Literal["tool"]
    content: Content
    tool_call_id: Name
    name: NotRequired[Name]


@with_config(STRICT)
class AssistantMessage(TypedDict):
    """What a model said, or wanted to call, or refused."""

    role: Literal["assistant"]
    content: NotRequired[Content | None]
    name: NotRequired[Name]
    tool_calls: NotRequired[Annotated[list[ToolCall], Field(max_length=MAX_TOOL_CALLS)]]
    refusal: NotRequired[str]
    reasoning_content: NotRequired[str]


def _leave_out_empty_keys(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return {key: value for key, value in message.items() if key == "content" or (value is not None and value != [])}


def _ensure_it_says_something(message: AssistantMessage) -> AssistantMessage:
    if message.get("content") is None:
        if "tool_calls" not in message and "refusal" not in message:
            raise PydanticCustomError("says_nothing", "An assistant message needs content, tool_calls or a refusal")
        message["content"] = None
    return message


_WORDS_ALONE = ("role", "content")
_SPEAKERS = frozenset({"system", "developer", "user", "assistant"})  # a tool also says which call it answers


def are_words_alone(messages: Sequence[Any]) -> bool:
    """Whether these, at least one, are messages as most are: who speaks and a text, and already as they are stored."""
    if not {dict}.issuperset(map(type, messages)) or not {_WORDS_ALONE}.issuperset(map(tuple, messages)):
        return False
    speakers, texts = zip(*map(dict.values, messages), strict=True)  # in this order: just seen
    return {str}.issuperset(map(type, speakers + texts)) and _SPEAKERS.issuperset(speakers)


def _pass_words_alone(messages: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Spare plain messages the full check, which would find nothing and return them equal."""
    if type(messages) is list and 0 < len(messages) <= MAX_MESSAGES and are_words_alone(messages):
        return messages
    return check(messages)


def _pass_answer_alone(message: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return message if are_words_alone([message]) and message["role"] == "assistant" else check(message)


_Assistant: TypeAlias = Annotated[AssistantMessage, AfterValidator(_ensure_it_says_something)]
Message: TypeAlias = Annotated[
    Annotated[SystemMessage | UserMessage | _Assistant | ToolMessage, Field(discriminator="role")],
    BeforeValidator(_leave_out_empty_keys),
]
Output: TypeAlias = Annotated[_Assistant, BeforeValidator(_leave_out_empty_keys), WrapValidator(_pass_answer_alone)]
Tool: TypeAlias = dict[str, Any]  # kept word for word: providers add to it faster than we could follow


def _no_tools_is_an_empty_list(tools: Any) -> Any:
    return [] if tools is None else tools


@with_config(STRICT)
class ModelInput(TypedDict):
    """What the model saw: the messages before its answer, and the tools it could call."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES), WrapValidator(_pass_words_alone)]
    tools: NotRequired[Annotated[list[Tool], Field(max_length=MAX_TOOLS), BeforeValidator(_no_tools_is_an_empty_list)]]


def _with_tools(given: ModelInput) -> ModelInput:
    given.setdefault("tools", [])
    return given


Input: TypeAlias = Annotated[ModelInput, AfterValidator(_with_tools)]
