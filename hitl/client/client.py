"""The client: takes rows from any thread at once and leaves the rest to the background."""

import atexit
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar, Unpack
from uuid import uuid4

from hitl.client.completions import Assembly, client_id_of, is_completion, message_of
from hitl.client.fields import FieldsOfCalls, Messages, ResponseFields, merged
from hitl.client.functions import captured_function
from hitl.client.limits import Limits, Misconfigured
from hitl.client.outbox import Outbox
from hitl.client.problems import OnProblem, Problem
from hitl.client.rows import Kind, Unsendable, row_of
from hitl.client.sender import Sender
from hitl.client.statistics import Statistics
from hitl.client.transport import Transport

SANE_YEARS = range(2000, 2999)  # a machine whose clock was never set says 1970

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Client:
    """Sends responses and feedback of one project to one service.

    Make one for the whole program and share it among threads. Nothing it does after it was made raises, and only
    `flush` and `close` wait. What is lost is counted (`statistics`) and told (log `hitl.client`, `on_problem`).
    A forked child starts with an empty memory; what waits in the parent, the parent sends.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        project: str | None = None,
        *,
        enabled: bool = True,
        limits: Limits | None = None,
        on_problem: OnProblem | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make a client; nothing is sent yet.

        url, key, project: where the service is, an API key with the scopes `capture` and `feedback`, the project's
            slug; by default HITL_URL, HITL_KEY, HITL_PROJECT.
        enabled: False makes a client that does nothing and needs no address, for tests and development.
        on_problem: called in the background with each loss.
        tls: by default certificates are checked against the machine's authorities.
        Raises Misconfigured.
        """
        self._is_enabled = enabled
        self._limits = limits or Limits()
        self._on_problem = on_problem
        self._noted: ContextVar[Mapping[str, Any]] = ContextVar("noted")
        self._is_closed = False
        self._delivery: tuple[Outbox, Sender] | None = None
        self._starting = threading.RLock()  # reentrant: a finalizer may capture while its own thread is in here
        self._new_names = _names()
        if enabled:
            self._project = given("project", project)
            self._transport = Transport(given("url", url), given("key", key), self._limits, tls)
            _open_clients.add(self)

    def capture(self, *, messages: Messages, output: Any, **fields: Unpack[ResponseFields]) -> str:
        """Give a response to be sent, and return its client id.

        messages: what the model saw, in OpenAI's chat shape; a text is what the user said.
        output: what it answered: a text, an assistant message, or a completion of the `openai` package.
        """
        name = self._name_of(fields, output)
        self._give("responses", name, lambda: self._response(name, messages, output, fields))
        return name

    def feedback(
        self,
        *,
        kind: str,
        value: bool | float | str | None = None,
        comment: str | None = None,
        client_id: str | None = None,
        response: str | None = None,
        conversation_id: str | None = None,
        source: str | None = None,
        given_at: Any = None,
    ) -> None:
        """Give feedback to be sent: what an end user said about a response or a conversation.

        kind: `thumbs` (value True or False), `stars` (1 to 5), or a word of your own.
        client_id, response (the service's id), conversation_id: one of them; the response may still be on its way.
        """
        fields = {
            "kind": kind,
            "value": value,
            "comment": comment,
            "client_id": client_id,
            "response": response,
            "conversation_id": conversation_id,
            "source": source,
        }
        name = _subject_of(client_id, response, conversation_id)
        self._give("feedback", name, lambda: {**fields, "given_at": given_at or _now()})

    def captured(self, **fields: Unpack[FieldsOfCalls]) -> Callable[[FunctionT], FunctionT]:
        """Return a decorator: what the function returns, or yields, is captured.

            @client.captured(model="bot-4", conversation_id=lambda messages, chat: chat.id)
            def answer(messages, chat): ...

        The function takes the messages as `messages` or as its first argument, and returns a text, a message, or a
        completion, or yields texts or chunks; plain or async. A field may be a function of the same arguments.
        What it raises is passed on and not captured.
        """
        return lambda function: captured_function(self, function, fields)

    @contextmanager
    def noting(self, **fields: Unpack[ResponseFields]) -> Iterator[None]:
        """Note fields of every response that is captured inside: `with client.noting(conversation_id=…, end_user=…):`.

        It holds for this thread or task. What a capture says itself wins.
        """
        token = self._noted.set(merged(self.now_noted(), fields))
        try:
            yield
        finally:
            self._noted.reset(token)

    def statistics(self) -> Statistics:
        """Return what became of the rows so far, in this process."""
        return Statistics() if self._delivery is None else self._delivery[0].statistics()

    def flush(self, timeout: float = 10.0) -> bool:
        """Send everything that was given before; return whether all of it has an outcome within so many seconds."""
        delivery = self._delivery
        return True if delivery is None else delivery[0].flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Send what is left within so many seconds, and take nothing in any more. The end of the program does it too.

        timeout: by default `limits.exit_seconds`.
        """
        _open_clients.discard(self)
        self._is_closed = True
        if self._is_enabled:
            self._started()[1].finish(self._limits.exit_seconds if timeout is None else timeout)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def report_failure(self, error: Exception) -> None:
        """Count a response that could not be captured because of a mistake, ours or of a function given to us."""
        if self._is_enabled:
            self._refuse("responses", "", Unsendable("not_captured", f"{type(error).__name__} while capturing."))

    def _response(self, name: str, messages: Messages, output: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
        read = _read_completion(output) if is_completion(output) else {"output": message_of(output)}
        said = merged({"created_at": _now()}, read, self.now_noted(), fields, {"client_id": name})
        tools = said.pop("tools", None)
        seen = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return {"input": {"messages": seen, **({"tools": tools} if tools else {})}, **said}

    def _give(self, kind: Kind, name: str, make: Callable[[], dict[str, Any]]) -> None:
        """Whatever a value does when it is written down, the caller's request goes on."""
        if not self._is_enabled:
            return
        try:
            outbox, sender = self._started()
            try:
                row = row_of(kind, name, make(), most_bytes=self._limits.row_bytes)
            except Unsendable as problem:
                self._refuse(kind, name, problem)
            else:
                outbox.put(row)
            if not self._is_closed:
                sender.ensure_running()
        except Exception as error:
            self._refuse(kind, name, Unsendable("not_captured", f"{type(error).__name__} while capturing."))

    def _name_of(self, fields: Mapping[str, Any], output: Any) -> str:
        try:
            own = fields.get("client_id") or self.now_noted().get("client_id")
            return str(own or (is_completion(output) and client_id_of(output)) or next(self._new_names))
        except Exception:  # a strange object; what is wrong with it is found again when it is written down
            return next(self._new_names)

    def _refuse(self, kind: Kind, name: str, problem: Unsendable) -> None:
        outbox, _ = self._started()
        outbox.refuse(Problem(problem.code, problem.message, kind, names=(name,)))

    def now_noted(self) -> Mapping[str, Any]:
        """Return the fields that `noting` holds for this thread or task."""
        return self._noted.get({})

    def _started(self) -> tuple[Outbox, Sender]:
        """Return what sends in this process, made when first used.

        Not before: a program may be forked, or patched for greenlets, between making the client and its first request.
        """
        if self._delivery is None:
            with self._starting:
                outbox = Outbox(self._limits)
                sender = Sender(outbox, self._transport, self._project, self._limits, self._on_problem)
                # Asked again: a finalizer that captures may have run in between, in this very thread.
                if self._delivery is None:
                    self._delivery = outbox, sender
                    _close_with_child_process()
        return self._delivery

    def _forget(self) -> None:
        """Begin anew, also after a fork: the parent sends what it has, and its locks may be held by threads it kept."""
        self._starting = threading.RLock()
        self._delivery = None
        self._new_names = _names()


def given(name: str, value: str | None) -> str:
    """Return a value, or what the environment says instead. Raises Misconfigured."""
    found = value or os.environ.get(f"HITL_{name.upper()}")
    if not found:
        raise Misconfigured(f"The client needs {name}=…, or HITL_{name.upper()} in the environment.")
    return found


def _subject_of(*names: Any) -> str:
    """Return what feedback is about, for a report: whatever was given instead of a text."""
    try:
        return str(next((name for name in names if name is not None), ""))[:255]
    except Exception:  # what is wrong with it is found again when it is written down
        return ""


def _names() -> Iterator[str]:
    """Return ids that no other process makes. Randomness is asked for once: it is a call to the system each time."""
    return map(f"{uuid4().hex}-{{:x}}".format, count(1))


def _now() -> str | None:
    """Return the present moment, or None where the clock is plainly wrong: then the service says when it was."""
    now = datetime.now(UTC)
    return now.isoformat() if now.year in SANE_YEARS else None


def _read_completion(completion: Any) -> dict[str, Any]:
    assembly = Assembly()
    assembly.add(completion)
    return next((fields for _, fields in assembly.answers()), {})


_open_clients: "set[Client]" = set()


def _close_all() -> None:
    """Give all clients together the time that the most patient of them would take."""
    clients = [*_open_clients]
    end = time.monotonic() + max((client._limits.exit_seconds for client in clients), default=0.0)
    for client in clients:
        client.close(max(0.0, end - time.monotonic()))


def _forget_all() -> None:
    for client in [*_open_clients]:
        client._forget()


def _close_with_child_process() -> None:
    """A child of `multiprocessing` ends without `atexit`; it calls finalizers of its own."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=0)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
