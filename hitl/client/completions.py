"""What OpenAI's chat completions say, whole or in chunks, as fields of a row.

Read by attribute or key, so that the `openai` package, servers that are only compatible, and plain dictionaries are
read alike, and nothing has to be imported.
"""

from collections.abc import Iterator, Mapping
from typing import Any

MESSAGE_KEYS = ("content", "refusal", "reasoning_content")
LONG_ENOUGH = 20  # characters of an id that its maker surely made unique


def get(thing: Any, name: str) -> Any:
    """Return a part of an object or a dictionary, or None."""
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def client_id_of(completion: Any, index: int = 0) -> str | None:
    """Return the client id under which an answer of the `openai` client is captured; None if it has no id.

    completion: what `create` returned, or any chunk of a stream.
    index: of the choice, when several were asked for.

    That is the completion's own id. Some servers make short ids that soon come again; they get the time beside them.
    """
    name = get(completion, "id")
    if not isinstance(name, str) or not name:
        return None
    if len(name) < LONG_ENOUGH:
        name = f"{name}-{get(completion, 'created')}"
    return f"{name}-{index}" if index else name


def is_completion(thing: Any) -> bool:
    """Whether this is an answer or a chunk of one."""
    return isinstance(get(thing, "choices"), list)


def message_of(thing: Any) -> Any:
    """Return a message with the keys that the service knows, from a text, a dictionary or an object of `openai`.

    Texts are what the assistant said. A dictionary stays as it is.
    """
    if isinstance(thing, str):
        return {"role": "assistant", "content": thing}
    if thing is None or isinstance(thing, Mapping):
        return thing
    said = {key: get(thing, key) for key in MESSAGE_KEYS}
    calls = [_call(call) for call in get(thing, "tool_calls") or ()]
    return {"role": "assistant", **said, **({"tool_calls": calls} if calls else {})}


def _call(call: Any) -> dict[str, Any]:
    function = get(call, "function")
    called = {"name": get(function, "name"), "arguments": get(function, "arguments")}
    return {"id": get(call, "id"), "type": get(call, "type") or "function", "function": called}


class Assembly:
    """An answer as it comes, chunk by chunk; or whole."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None
        self._names: dict[str, Any] = {}  # id, created, model: of the first chunk that tells
        self._texts: list[str] = []  # what came without being a chunk of OpenAI's

    def add(self, piece: Any) -> None:
        """Take in what came next: a text, or a chunk or completion in OpenAI's shape. Of others nothing is kept."""
        if isinstance(piece, str):
            self._texts.append(piece)
        elif is_completion(piece):
            self._add_chunk(piece)

    def answers(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the number of each choice that says anything, and the fields of its row."""
        if self._texts:
            yield 0, {"output": message_of("".join(self._texts))}
        for index, choice in sorted(self._choices.items()):
            if choice.says_something:
                yield (
                    index,
                    {
                        "client_id": client_id_of(self._names, index),
                        "output": choice.message(),
                        "model": self._names.get("model"),
                        "input_tokens": get(self._usage, "prompt_tokens"),
                        # The count is of all choices together; a share of it would be a guess.
                        "output_tokens": get(self._usage, "completion_tokens") if len(self._choices) == 1 else None,
                        "metadata": {"finish_reason": choice.finish_reason} if choice.finish_reason else {},
                    },
                )

    def is_whole(self, came_to_its_end: bool) -> bool:
        """Whether nothing is missing: each choice said why it ended, or the texts came to their end."""
        if self._choices:
            return all(choice.finish_reason for choice in self._choices.values())
        return came_to_its_end

    def _add_chunk(self, chunk: Any) -> None:
        for name in ("id", "created", "model"):
            if self._names.get(name) is None:
                self._names[name] = get(chunk, name)
        self._usage = get(chunk, "usage") or self._usage
        for choice in get(chunk, "choices"):
            number = get(choice, "index") or 0
            self._choices.setdefault(number, _Choice()).add(choice)


class _Choice:
    """One of the answers that were asked for."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._said: dict[str, list[str]] = {}
        self._calls: dict[Any, dict[str, Any]] = {}

    @property
    def says_something(self) -> bool:
        return bool(any(map(any, self._said.values())) or self._calls or self.finish_reason)

    def add(self, choice: Any) -> None:
        self.finish_reason = get(choice, "finish_reason") or self.finish_reason
        said = get(choice, "delta") or get(choice, "message")
        for key in MESSAGE_KEYS:
            text = get(said, key)
            if isinstance(text, str) and (text or key == "content"):
                self._said.setdefault(key, []).append(text)
        for call in get(said, "tool_calls") or ():
            self._add_call(call)

    def _add_call(self, piece: Any) -> None:
        """Calls come in pieces: the first has id and name, the arguments are spread over all."""
        number = get(piece, "index")
        if number is None:  # some servers send each call whole, without a number
            number = len(self._calls) if get(piece, "id") or not self._calls else len(self._calls) - 1
        call = self._calls.setdefault(number, {"id": None, "type": None, "name": None, "arguments": []})
        function = get(piece, "function")
        call["id"] = call["id"] or get(piece, "id")
        call["type"] = call["type"] or get(piece, "type")
        call["name"] = call["name"] or get(function, "name")
        call["arguments"].append(get(function, "arguments") or "")

    def message(self) -> dict[str, Any]:
        texts = {key: "".join(pieces) for key, pieces in self._said.items()}
        message: dict[str, Any] = {"role": "assistant", "content": texts.pop("content", None), **texts}
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": call["type"] or "function",
                    "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
                }
                for _, call in sorted(self._calls.items())
            ]
        if message["content"] is None and len(message) == 2:
            message["content"] = ""  # it ended without a word
        elif message["content"] == "" and len(message) > 2:
            message["content"] = None  # an empty first chunk before a call or a refusal says nothing
        return message
