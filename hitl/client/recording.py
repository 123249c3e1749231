"""Watches answers on their way to the caller, who gets them unchanged and as soon as they come."""

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Protocol, Unpack

from hitl.client.completions import Assembly, is_completion, message_of
from hitl.client.fields import Messages, ResponseFields, merged


class Captures(Protocol):
    """What takes the rows: the client."""

    def capture(self, *, messages: Messages, output: Any, **fields: Unpack[ResponseFields]) -> str:
        """Take a response."""

    def now_noted(self) -> Mapping[str, Any]:
        """Return the fields noted for what is captured now."""

    def report_failure(self, error: Exception) -> None:
        """Count a response that could not be captured."""


class Recording:
    """One call: begun before it is made, captured once, when its answer has come or broken off."""

    def __init__(self, client: Captures, messages: Any, fields: Mapping[str, Any]) -> None:
        """Begin.

        messages: what the model saw. Copied, for the caller may go on writing in the same list.
        fields: of the row; what the answer says itself is added.
        """
        self.client = client
        self._messages = messages if isinstance(messages, str) else [_copied(message) for message in messages]
        self._fields = merged(client.now_noted(), fields)
        self._assembly = Assembly()
        self._started = time.monotonic()
        self._first_piece: float | None = None
        self._is_done = False
        self.is_reading = False  # while the next piece is on its way

    def __enter__(self) -> None:
        """The next piece is on its way."""
        self.is_reading = True

    def __exit__(self, error: type[BaseException] | None, *_details: object) -> None:
        """It has come; or what came instead is the end, in good order or not."""
        self.is_reading = False
        if error is not None:
            self.end_quietly(came_to_its_end=issubclass(error, StopIteration | StopAsyncIteration))

    def add(self, piece: Any) -> None:
        """Take in a piece of the answer."""
        if self._first_piece is None:
            self._first_piece = time.monotonic()
        self._assembly.add(piece)

    def end(self, *, came_to_its_end: bool) -> None:
        """Capture what came, if anything did. Only the first end counts."""
        if self._is_done:
            return
        self._is_done = True
        seconds = {} if self._first_piece is None else {"first_piece_seconds": self._first_piece - self._started}
        marks: dict[str, Any] = {"signals": seconds}
        if not self._assembly.is_whole(came_to_its_end):
            # Imitating half an answer would teach a model to stop halfway.
            marks = {**marks, "metadata": {"is_partial": True}, "may_train": "no"}
        for number, answer in self._assembly.answers():
            self._capture(answer, marks, number)

    def end_quietly(self, *, came_to_its_end: bool) -> None:
        """The same for the caller's own thread, which must not notice what goes wrong."""
        quietly(self.client, self.end, came_to_its_end=came_to_its_end)

    def whole(self, answer: Any) -> None:
        """Capture an answer that came at once: a completion, a text or a message."""
        self._is_done = True
        if is_completion(answer):
            self._assembly.add(answer)
            for number, choice in self._assembly.answers():
                self._capture(choice, number=number)
        elif answer is not None:
            self._capture({"output": message_of(answer)})

    def _capture(self, answer: Mapping[str, Any], marks: Mapping[str, Any] | None = None, number: int = 0) -> None:
        """Capture one choice. What the caller says wins, except that what is partial is marked and not trained on."""
        fields = merged({"latency_seconds": time.monotonic() - self._started}, answer, self._fields, marks or {})
        asked, answered = self._fields.get("model"), answer.get("model")
        if asked and answered and asked != answered:
            fields.setdefault("model_version", answered)  # a provider answers “bot-4” with the version that served it
        if number and self._fields.get("client_id"):
            fields["client_id"] = f"{self._fields['client_id']}-{number}"
        output = fields.pop("output")
        self.client.capture(messages=self._messages, output=output, **fields)


def _copied(message: Any) -> Any:
    return dict(message) if isinstance(message, Mapping) else message


def quietly(client: Captures, step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Do something for capture only; whatever goes wrong in it, the caller's own work goes on."""
    try:
        return step(*arguments, **named)
    except Exception as error:
        client.report_failure(error)
        return None


class _Stream:
    """What both kinds of stream have in common."""

    def __init__(self, source: Any, recording: Recording) -> None:
        self._source, self._recording = source, recording

    def __del__(self) -> None:
        """Nobody reads on: the caller turned away in the middle."""
        self._recording.end_quietly(came_to_its_end=False)

    def _recorded(self, piece: Any) -> Any:
        quietly(self._recording.client, self._recording.add, piece)
        return piece


class Watched(_Stream, Generator[Any, Any, Any]):
    """A generator that passes everything through to another and records what it yields."""

    def __next__(self) -> Any:
        return self._watch(self._source.__next__)

    def send(self, value: Any) -> Any:
        """Pass a value in."""
        return self._watch(self._source.__next__) if value is None else self._watch(self._source.send, value)

    def throw(self, *error: Any) -> Any:
        """Pass an error in."""
        return self._watch(self._source.throw, *error)

    def close(self) -> None:
        """End it; what came so far is captured as partial."""
        try:
            if hasattr(self._source, "close"):
                self._source.close()
        finally:
            self._recording.end_quietly(came_to_its_end=False)

    def _watch(self, step: Callable[..., Any], *arguments: Any) -> Any:
        with self._recording:
            piece = step(*arguments)
        return self._recorded(piece)


class AsyncWatched(_Stream, AsyncGenerator[Any, Any]):
    """The same for an async generator."""

    async def __anext__(self) -> Any:
        return await self._watch(self._source.__anext__)

    async def asend(self, value: Any) -> Any:
        """Pass a value in."""
        if value is None:
            return await self._watch(self._source.__anext__)
        return await self._watch(self._source.asend, value)

    async def athrow(self, *error: Any) -> Any:
        """Pass an error in."""
        return await self._watch(self._source.athrow, *error)

    async def aclose(self) -> None:
        """End it; what came so far is captured as partial."""
        try:
            if hasattr(self._source, "aclose"):
                await self._source.aclose()
        finally:
            self._recording.end_quietly(came_to_its_end=False)

    async def _watch(self, step: Callable[..., Any], *arguments: Any) -> Any:
        with self._recording:
            piece = await step(*arguments)
        return self._recorded(piece)


def watch_stream(stream: Any, recording: Recording) -> None:
    """Record a stream of the `openai` package from inside; it stays the object that it is."""
    is_async = hasattr(stream, "__anext__")
    stream._iterator = (AsyncWatched if is_async else Watched)(stream._iterator, recording)
    _end_when_closed(stream.response, "aclose" if is_async else "close", recording, is_async=is_async)


def _end_when_closed(response: Any, name: str, recording: Recording, *, is_async: bool) -> None:
    """A caller who leaves a `with` block early closes the response and never asks for the next chunk."""
    close = getattr(response, name)

    def end() -> None:
        if not recording.is_reading:  # else it closes itself at its end, and the reader notices
            recording.end_quietly(came_to_its_end=False)

    def close_and_end() -> Any:
        end()
        return close()

    async def aclose_and_end() -> Any:
        end()
        return await close()

    setattr(response, name, aclose_and_end if is_async else close_and_end)
