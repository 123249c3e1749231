"""`@client.captured(…)`: what a function answers is captured, whether it is plain or async, returns or yields."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from hitl.client.recording import AsyncWatched, Captures, Recording, Watched, quietly, watch_stream

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def captured_function(client: Captures, function: FunctionT, fields: Mapping[str, Any]) -> FunctionT:
    """Return the function as it was, but for what it captures on the side."""
    place = _place_of_messages(function)

    def begin(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Recording | None:
        def recording() -> Recording:
            messages = named["messages"] if "messages" in named else arguments[place]
            return Recording(client, messages, fields_of_call(fields, *arguments, **named))

        found: Recording | None = quietly(client, recording)
        return found

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        def generate_async(*arguments: Any, **named: Any) -> Any:
            recording = begin(arguments, named)
            source = function(*arguments, **named)
            return source if recording is None else AsyncWatched(source, recording)

        return cast(FunctionT, generate_async)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def answer_async(*arguments: Any, **named: Any) -> Any:
            recording = begin(arguments, named)
            return record(client, await function(*arguments, **named), recording)

        return cast(FunctionT, answer_async)

    @functools.wraps(function)
    def answer(*arguments: Any, **named: Any) -> Any:
        recording = begin(arguments, named)
        return record(client, function(*arguments, **named), recording)

    return cast(FunctionT, answer)


def record(client: Captures, answer: Any, recording: Recording | None) -> Any:
    """Capture an answer, at once or as it is read, and return what the caller gets."""
    if recording is None:
        return answer
    if inspect.isgenerator(answer):
        return Watched(answer, recording)
    if inspect.isasyncgen(answer):
        return AsyncWatched(answer, recording)
    is_stream = hasattr(answer, "_iterator") and hasattr(answer, "response")  # of the `openai` package
    quietly(client, watch_stream if is_stream else _capture_whole, answer, recording)
    return answer


def _capture_whole(answer: Any, recording: Recording) -> None:
    recording.whole(answer)


def fields_of_call(fields: Mapping[str, Any], *arguments: Any, **named: Any) -> dict[str, Any]:
    """Return the fields of one call: those that are functions are asked."""
    return {name: value(*arguments, **named) if callable(value) else value for name, value in fields.items()}


def _place_of_messages(function: Callable[..., Any]) -> int:
    """Return where the messages stand among the arguments: the one of that name, else the first that is not `self`."""
    names = list(inspect.signature(function).parameters)
    if "messages" in names:
        return names.index("messages")
    return 1 if names[:1] in (["self"], ["cls"]) else 0
