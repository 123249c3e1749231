"""Conversations that people may step into, for applications that do not talk through the gateway.

    live = LiveClient()  # HITL_URL, HITL_KEY, HITL_PROJECT
    chat = live.conversation("chat-7", end_user="kim")
    asked = chat.user_says("Is it open on Sunday?")
    draft = chat.propose("Yes, from ten.", messages=[…], answers=asked)
    draft = draft.decided()                # waits while a person looks at it
    if draft.word == "send":
        show(draft.message)

Unlike `Client`, this asks and waits for answers, and raises when it gets none: whoever has to know whether an answer
may be sent cannot go on without knowing.
"""

import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from hitl.client.client import given

WAIT_SECONDS = 30  # of one request that waits for a decision; then it asks again
REQUEST_SECONDS = 20.0  # beside that
STREAM_SECONDS = 60.0  # without any sign of life, which the service gives every 15
LONGEST_PAUSE_SECONDS = 10.0


class LiveRefused(Exception):
    """The service said no. `code` is its word for it, such as `not_found` or `invalid`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(message)


class LiveUnreachable(Exception):
    """The service gave no answer. The same call may be made again: nothing is stored twice."""


@dataclass(frozen=True)
class Said:
    """Something that the customer said or was shown, or that somebody did. by: user, bot or person."""

    number: int
    kind: str
    by: str | None
    message: Mapping[str, Any] | None
    is_partial: bool

    @property
    def text(self) -> str:
        """Return its words, where it is a plain message."""
        content = (self.message or {}).get("content")
        return content if isinstance(content, str) else ""


@dataclass(frozen=True)
class Turn:
    """Who may speak. whispers: what people told the bot to do with its next answer; put them into the prompt, once."""

    holder: str
    holder_number: int
    user_number: int
    answered_number: int
    whispers: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """What is to become of an answer.

    word: `send` (show `message`), `stream` (send it by pieces), `wait` (a person looks at it), `regenerate` (it was
        refused, for `reason`; write another) or `drop` (do not show it; `why` says why).
    """

    id: str
    word: str
    message: Mapping[str, Any] | None
    number: int | None
    why: str | None
    reason: str | None
    deadline_at: str | None
    _service: "_Service"

    def decided(self, timeout: float | None = None) -> "Draft":
        """Wait until it waits for nobody any more, at most so many seconds, and return what is known then.

        While the service cannot be reached it asks again and again. Raises LiveUnreachable once the time is over,
        LiveRefused.
        """
        draft, end = self, None if timeout is None else time.monotonic() + timeout
        pause = 0.5
        while draft.word == "wait":
            left = WAIT_SECONDS if end is None else min(WAIT_SECONDS, int(end - time.monotonic()))
            if left <= 0:
                break
            try:
                found = self._service.ask("GET", f"drafts/{self.id}", {"wait_seconds": left}, waits=left)
                draft, pause = _draft(found, self._service), 0.5
            except LiveUnreachable:
                if end is not None and time.monotonic() + pause > end:
                    raise
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return draft

    def piece(self, text: str) -> bool:
        """Ask, before a piece of a streamed answer is shown, whether it may be. Show nothing more after False."""
        return bool(self._service.ask("POST", f"drafts/{self.id}/pieces", body={"text": text})["go_on"])

    def end(self) -> "Draft":
        """Say that a streamed answer went out whole."""
        return _draft(self._service.ask("POST", f"drafts/{self.id}/end", body={}), self._service)


class Conversation:
    """One conversation. Made by `LiveClient.conversation`."""

    def __init__(self, service: "_Service", begun: Mapping[str, Any]) -> None:
        self.id: str = begun["id"]
        self._service = service
        self._here = f"conversations/{self.id}"

    def user_says(self, text: str | Mapping[str, Any]) -> int:
        """Note what the user said; return its number, which answers name."""
        message = {"role": "user", "content": text} if isinstance(text, str) else dict(text)
        return int(self._service.ask("POST", f"{self._here}/messages", body={"message": message})["number"])

    def turn(self) -> Turn:
        """Return who may speak, and what was whispered since the bot's last answer."""
        found = self._service.ask("GET", f"{self._here}/turn")
        whispers = tuple(whisper["text"] for whisper in found["whispers"])
        names = ("holder", "holder_number", "user_number", "answered_number")
        return Turn(**{name: found[name] for name in names}, whispers=whispers)

    def propose(
        self,
        output: str | Mapping[str, Any],
        *,
        messages: Sequence[Mapping[str, Any]],
        answers: int,
        holder_number: int | None = None,
        streams: bool = False,
        **fields: Any,
    ) -> Draft:
        """Say what the bot would answer, and learn what is to become of it. It is captured in any case.

        messages: what the model saw. answers: the number of the user's message, from `user_says`.
        holder_number: of the turn when the bot began to think; by default asked for now.
        streams: you send it piece by piece, if it may be sent.
        fields: of the response: model, prompt_name, context, signals, may_train …; see `Client.capture`.
        """
        said = {"role": "assistant", "content": output} if isinstance(output, str) else dict(output)
        response = {"client_id": uuid4().hex, **fields, "input": {"messages": list(messages)}, "output": said}
        number = self.turn().holder_number if holder_number is None else holder_number
        body = {"answers": answers, "holder_number": number, "response": response, "stream": streams}
        return _draft(self._service.ask("POST", f"{self._here}/drafts", body=body), self._service)

    def events(self, after: int = 0) -> list[Said]:
        """Return what was said after a number: one page, which may be empty."""
        return [_said(event) for event in self._service.ask("GET", f"{self._here}/events", {"after": after})["events"]]

    def follow(self, after: int = 0, *, until: threading.Event | None = None) -> Iterator[Said]:
        """Yield what is said after a number, as it is said; nothing is missed, and nothing comes twice.

        Connects again by itself. until: set it to end at the next sign of life. Raises LiveRefused, such as when the
        key is revoked.
        """
        pause = 0.5
        while until is None or not until.is_set():
            try:
                for number, event in self._service.stream(f"{self._here}/events", after):
                    if event is not None and number > after:
                        after, pause = number, 0.5
                        yield _said(event)
                    if until is not None and until.is_set():
                        return
            except LiveUnreachable:
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def delivered(self, number: int) -> None:
        """Say up to which number the customer was shown what was said."""
        self._service.ask("POST", f"{self._here}/deliveries", body={"number": number})

    def customer_token(self) -> str:
        """Return a token with which the customer's browser may follow and write here for an hour."""
        token: str = self._service.ask("POST", f"{self._here}/customer-token", body={})["token"]
        return token


class LiveClient:
    """Talks to one project of one service. Share it among threads."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        project: str | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        url, key, project: where the service is, an API key with the scope `capture`, the project's slug; by default
            HITL_URL, HITL_KEY, HITL_PROJECT.
        Raises Misconfigured.
        """
        self._service = _Service(given("url", url), given("key", key), tls)
        self._project = given("project", project)

    def conversation(self, name: str, *, end_user: str | None = None, metadata: Any = None) -> Conversation:
        """Begin a conversation that you call so, or go on with it.

        end_user: your name for the person; the service stores a keyed hash of it.
        """
        body = {"conversation_id": name, "end_user": end_user, "metadata": metadata or {}}
        return Conversation(
            self._service, self._service.ask("POST", f"projects/{self._project}/conversations", body=body)
        )


class _Service:
    """Requests and their answers."""

    def __init__(self, url: str, key: str, tls: ssl.SSLContext | None) -> None:
        self._root, self._key = f"{url.rstrip('/')}/api/v1/", key
        handlers: list[Any] = [_NoRedirects]
        if tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=tls))
        self._opener = urllib.request.build_opener(*handlers)

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        body: Any = None,
        waits: float = 0.0,
    ) -> dict[str, Any]:
        """Return the JSON of an answer. Raises LiveRefused, LiveUnreachable."""
        with self._open(self._request(method, path, query, body), REQUEST_SECONDS + waits) as answer:
            try:
                found: dict[str, Any] = json.load(answer)
            except (ValueError, OSError) as error:
                raise LiveUnreachable("The answer is none of this service's.") from error
            return found

    def stream(self, path: str, after: int) -> Iterator[tuple[int, dict[str, Any] | None]]:
        """Yield events by number, and None at each sign of life. Ends when the connection does."""
        request = self._request("GET", path)
        request.add_header("Accept", "text/event-stream")
        request.add_header("Last-Event-ID", str(after))
        number, data = after, ""
        with self._open(request, STREAM_SECONDS) as answer:
            try:
                for raw in answer:
                    line = raw.decode().rstrip("\r\n")
                    if line.startswith("id: "):
                        number = int(line[4:])
                    elif line.startswith("data: "):
                        data += line[6:]
                    elif not line:
                        yield number, json.loads(data) if data else None
                        data = ""
            except (OSError, ValueError) as error:
                raise LiveUnreachable("The stream broke off.") from error

    def _request(
        self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> urllib.request.Request:
        url = self._root + path + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(  # noqa: S310 - the address is the program's own
            url, method=method, data=None if body is None else json.dumps(body).encode()
        )
        request.add_header("Authorization", f"Bearer {self._key}")
        request.add_header("User-Agent", "hitl-client")
        if body is not None:
            request.add_header("Content-Type", "application/json")
        return request

    def _open(self, request: urllib.request.Request, seconds: float) -> Any:
        try:
            return self._opener.open(request, timeout=seconds)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _refusal(refusal.code, refusal.read(65_536)) from None
        except OSError as error:
            raise LiveUnreachable(f"{type(error).__name__} while asking the service.") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key goes to the address it was meant for, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _refusal(status: int, body: bytes) -> Exception:
    try:
        error = json.loads(body)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return LiveUnreachable(f"The answer has the status {status} and is none of this service's.")
    if status >= 500 or status == 429:
        return LiveUnreachable(message)
    return LiveRefused(status, code, message)


def _said(event: Mapping[str, Any]) -> Said:
    return Said(event["number"], event["kind"], event["by"], event["message"], event["is_partial"])


def _draft(found: Mapping[str, Any], service: _Service) -> Draft:
    names = ("id", "message", "number", "why", "reason", "deadline_at")
    return Draft(word=found["decision"], _service=service, **{name: found[name] for name in names})
