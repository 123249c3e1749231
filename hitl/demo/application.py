"""Applications as others write them, for the demo: they know the gateway's address and a key, and little else.

One serves a small chat page, and lets customers of the STAR dialogues, whose words are replayed, talk to the bot, so
that something goes on to be watched. What was said in a conversation it asks of the service, because a person may have
spoken. The other wants texts written, a few at a time, and waits until an editor has let each pass.
"""

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

import structlog
import urllib3

from hitl.client.live import Conversation, LiveClient, LiveRefused, LiveUnreachable
from hitl.demo import bot, real_data, writer

log = structlog.get_logger()

AT_ONCE = 4  # replayed customers
TEXTS_AT_ONCE = 2  # which an editor has before them
PAUSES_SECONDS = (5.0, 14.0)  # between an answer and the next words of a replayed customer
ANSWER_SECONDS = 600.0  # a held answer takes its time
MAX_BODY_BYTES = 64 * 1024
FILES = {
    "/": ("chat.html", "text/html"),
    "/chat.css": ("chat.css", "text/css"),
    "/chat.js": ("chat.js", "text/javascript"),
}


class NotAnswered(Exception):
    """The gateway gave no answer that could be shown. `code` is its word for the reason, such as `still_waiting`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Application:
    """Talks to the gateway for its customers."""

    def __init__(self, service: str, project: str, key: str) -> None:
        self.service, self.project = service.rstrip("/"), project
        self._key = key
        self._live = LiveClient(self.service, key, project)
        self._http = urllib3.PoolManager(maxsize=32)
        self._talks: dict[str, Conversation] = {}

    def begin(self, name: str, end_user: str | None = None) -> Conversation:
        """Begin a conversation."""
        talk = self._talks[name] = self._live.conversation(name, end_user=end_user)
        return talk

    def say(self, name: str, text: str) -> str:
        """Hand on what a customer wrote, and return the answer. Raises NotAnswered, KeyError."""
        return self.ask(name, bot.NAME, [*_spoken(self._talks[name]), {"role": "user", "content": text}])

    def ask(self, name: str, model: str, messages: list[dict[str, Any]]) -> str:
        """Return what the model, or a person, answers in a conversation. Raises NotAnswered."""
        answer = self._http.request(
            "POST",
            f"{self.service}/gateway/{self.project}/v1/chat/completions",
            json={"model": model, "messages": messages},
            headers={"Authorization": f"Bearer {self._key}", "X-HITL-Conversation": name},
            timeout=ANSWER_SECONDS,
            retries=False,
        )
        content = answer.json()
        if answer.status != 200:
            raise NotAnswered(content["error"]["code"], content["error"]["message"])
        return str(content["choices"][0]["message"]["content"])


def _spoken(talk: Conversation) -> list[dict[str, Any]]:
    """Return what was said so far, whoever said it, as a model wants it."""
    return [{"role": "user" if said.by == "user" else "assistant", "content": said.text} for said in talk.events()]


class Handler(BaseHTTPRequestHandler):
    """One connection of a customer's browser."""

    application: ClassVar[Application]
    board: ClassVar[str]

    def do_GET(self) -> None:
        """Serve the chat page."""
        name, kind = FILES.get(self.path, (None, ""))
        if name is None:
            self._answer(404, {"message": "There is nothing here."})
        else:
            self._send(200, f"{kind}; charset=utf-8", (files("hitl.demo") / "data" / "chat" / name).read_bytes())

    def do_POST(self) -> None:
        """Begin a conversation, or say something in one."""
        try:
            if self.path == "/begin":
                self._begin()
            elif self.path == "/say":
                self._say()
            else:
                self._answer(404, {"message": "There is nothing here."})
        except (NotAnswered, LiveRefused, LiveUnreachable, urllib3.exceptions.HTTPError) as error:
            self._answer(502, {"message": f"There is no answer just now. {error}"})
        except (ValueError, KeyError):
            self._answer(400, {"message": "This could not be understood."})

    def _begin(self) -> None:
        name = f"chat-{uuid4().hex[:8]}"
        talk = self.application.begin(name, end_user=name)
        about = {"service": self.application.service, "board": self.board}
        self._answer(200, {"conversation": name, "token": talk.customer_token(), **about})

    def _say(self) -> None:
        size = min(int(self.headers.get("Content-Length", 0)), MAX_BODY_BYTES)
        said = json.loads(self.rfile.read(size))
        self._answer(200, {"text": self.application.say(str(said["conversation"]), str(said["text"]))})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the demo's terminal shows the sign-ins."""


def replay(application: Application) -> None:
    """Let the customers of the STAR dialogues talk, a few at once, for as long as the process lives."""
    dialogues = list(real_data.star_customers())
    random.shuffle(dialogues)
    numbers = count(1)
    waiting = iter(dialogues * 100)
    lock = threading.Lock()

    def customers() -> Iterator[tuple[str, Sequence[str]]]:
        while True:
            with lock:
                source, lines = next(waiting)
                name = f"{source}-live-{next(numbers)}"
            yield name, lines

    def talk() -> None:
        for name, lines in customers():
            try:
                application.begin(name, end_user=name)
                for line in lines:
                    application.say(name, line)
                    time.sleep(random.uniform(*PAUSES_SECONDS))  # noqa: S311 - a pause, not a secret
            except (NotAnswered, LiveRefused, LiveUnreachable, urllib3.exceptions.HTTPError) as error:
                log.warning("customer_leaves", conversation=name, why=str(error))
                time.sleep(PAUSES_SECONDS[1])

    for _ in range(AT_ONCE):
        threading.Thread(target=talk, name="customer", daemon=True).start()


def have_texts_written(application: Application) -> None:
    """Ask for one text after another, until each has been let pass by an editor. What was once let pass is done."""
    waiting = iter(real_data.writing_requests())
    lock = threading.Lock()

    def write() -> None:
        while True:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            try:
                talk = application.begin(request.name)
                if all(said.by == "user" for said in talk.events()):
                    _have_written(application, request)
            except (NotAnswered, LiveRefused, LiveUnreachable, urllib3.exceptions.HTTPError) as error:
                log.warning("text_is_not_written", conversation=request.name, why=str(error))
                time.sleep(PAUSES_SECONDS[1])

    for _ in range(TEXTS_AT_ONCE):
        threading.Thread(target=write, name="writing", daemon=True).start()


def _have_written(application: Application, request: real_data.WritingRequest) -> str:
    """Ask for a text until an editor has decided: a request ends before they do, and the same one again waits on."""
    while True:
        try:
            return application.ask(request.name, writer.NAME, [{"role": "user", "content": request.text}])
        except NotAnswered as error:
            if error.code != "still_waiting":
                raise


def serve(port: int, application: Application) -> ThreadingHTTPServer:
    """Return the server of the chat page, which listens already, to this machine only."""
    Handler.application = application
    Handler.board = f"{application.service}/projects/{application.project}/live"
    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
