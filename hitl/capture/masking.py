"""What a project does with personal data in what it captures: keep it, mark it, or put placeholders in its place.

A placeholder such as ⟨e-mail k3fd⟩ has a keyed hash of the value in it: the same value in the same conversation has the
same placeholder, so that a reader and a model can follow who is meant, and in another conversation it has another.
Nothing needs to be remembered for that, and without the key nothing leads back.

Looked through are texts: of messages, of the arguments of tool calls, of retrieved passages, in metadata, in comments
of end users. Not looked through are the application's own ids and names (they are identifiers of its own choosing, and
end users' are pseudonyms already), parameters, and the descriptions of tools.
"""

import base64
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from hitl.accounts.models import Project
from hitl.accounts.projects import settings_of
from hitl.capture.personal_data import KINDS, Found, may_hold_personal_data, personal_data_in
from hitl.core.canonical import content_hash
from hitl.core.secrets import Keys

CODE_CHARACTERS = 4  # of 32 letters and digits: two of thirty values in a conversation collide once in 2,400
_SPOKEN_KEYS = ("content", "refusal", "reasoning_content")  # of a message
_SEPARATORS = re.compile(r"[\s().\-/]+")

Replace = Callable[[str], str]


class Masking:
    """A project's choice, for a batch of rows. `Masking.of(project, keys)`."""

    def __init__(self, choice: str, project_id: UUID, keys: Keys) -> None:
        """choice: keep, mark or pseudonymise."""
        self.looks = choice != "keep"
        self._replaces = choice == "pseudonymise"
        self._project_id, self._key = project_id, keys.pseudonyms
        self._known: dict[str, list[Found]] = {}  # a conversation's rows repeat what was said before

    @classmethod
    def of(cls, project: Project, keys: Keys) -> "Masking":
        """Return what this project chose."""
        return cls(settings_of(project).personal_data, project.id, keys)

    def row(self, row: dict[str, Any]) -> str | None:
        """Put placeholders into a row of responses, in place; or return the kinds of what it holds: "email,phone".

        What a client sent is not changed: parts with personal data are copied.
        """
        if not self.looks:
            return None
        kinds = {found.kind for text in _texts_of_row(row) for found in self._found(text)}
        if not kinds:
            return None
        if not self._replaces:
            return ",".join(sorted(kinds))
        # Without a conversation the same input has the same placeholders, so that answers to it can be compared.
        scope = row.get("conversation_id") or f"input {content_hash(row['input'])}"
        _rewrite_row(row, self._replacing(scope))
        return None

    def text(self, text: str | None, scope: str) -> str | None:
        """Return a text with placeholders where the project wants them. scope: the client's id of its conversation."""
        if text is None or not self._replaces:
            return text
        return self._replacing(scope)(text)

    def message(self, message: Mapping[str, Any], scope: str) -> dict[str, Any]:
        """Return a message with placeholders where the project wants them."""
        return _rewritten_message(message, self._replacing(scope)) if self._replaces else dict(message)

    def _found(self, text: str) -> list[Found]:
        if not may_hold_personal_data(text):
            return []
        if text not in self._known:
            self._known[text] = personal_data_in(text)
        return self._known[text]

    def _replacing(self, scope: str) -> Replace:
        def replace(text: str) -> str:
            pieces, end = [], 0
            for found in self._found(text):
                pieces += [text[end : found.start], self._placeholder(found, scope)]
                end = found.end
            return "".join([*pieces, text[end:]])

        return replace

    def _placeholder(self, found: Found, scope: str) -> str:
        value = found.text.lower() if found.kind == "email" else _SEPARATORS.sub("", found.text)
        said = "\0".join((found.kind, scope, value)).encode()
        digest = hmac.digest(self._key, b"personal data" + self._project_id.bytes + said, "sha256")
        return f"⟨{KINDS[found.kind]} {base64.b32encode(digest).decode()[:CODE_CHARACTERS].lower()}⟩"


def _texts_of_row(row: Mapping[str, Any]) -> Iterator[str]:
    for message in (*row["input"]["messages"], row["output"]):
        yield from _texts_of_message(message)
    for name in ("context", "metadata"):
        if row.get(name):
            yield from _texts_in(row[name])


def _texts_of_message(message: Mapping[str, Any]) -> Iterator[str]:
    for key in _SPOKEN_KEYS:
        said = message.get(key)
        if isinstance(said, str):
            yield said
        elif said is not None:
            yield from _texts_in([part["text"] for part in said if part["type"] == "text"])
    for call in message.get("tool_calls") or ():
        yield call["function"]["arguments"]


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts_in(each)


def _rewrite_row(row: dict[str, Any], replace: Replace) -> None:
    messages = [_rewritten_message(message, replace) for message in row["input"]["messages"]]
    row["input"] = {**row["input"], "messages": messages}
    row["output"] = _rewritten_message(row["output"], replace)
    for name in ("context", "metadata"):
        if row.get(name):
            row[name] = _rewritten(row[name], replace)


def _rewritten_message(message: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    rewritten = dict(message)
    for key in _SPOKEN_KEYS:
        said = message.get(key)
        if isinstance(said, str):
            rewritten[key] = replace(said)
        elif said is not None:
            rewritten[key] = [
                {**part, "text": replace(part["text"])} if part["type"] == "text" else part for part in said
            ]
    if message.get("tool_calls"):
        rewritten["tool_calls"] = [_rewritten_call(call, replace) for call in message["tool_calls"]]
    return rewritten


def _rewritten_call(call: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    function = call["function"]
    return {**call, "function": {**function, "arguments": replace(function["arguments"])}}


def _rewritten(value: Any, replace: Replace) -> Any:
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, dict):
        return {key: _rewritten(each, replace) for key, each in value.items()}
    if isinstance(value, list):
        return [_rewritten(each, replace) for each in value]
    return value
