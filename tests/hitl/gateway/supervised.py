"""An application whose answers people look at, and the supervisor who does."""

import http.client
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import select

from hitl.live.log import locked
from hitl.live.models import Draft, Event, Hold, LiveConversation
from hitl.live.policy.rules import PolicyTerms, create_rule
from tests.hitl import factories

ASKED = [{"role": "user", "content": "When do you open?"}]
WAIT_SECONDS = 20.0


class Desk:
    """An application that talks, and a supervisor."""

    def __init__(self, place, database) -> None:
        self.place, self.database = place, database
        place.set(mode="gate", hold_seconds=30)
        self.client = place.client()
        self.kim = factories.Membership(project=place.project, role="supervisor").user
        place.db.commit()
        self._threads = ThreadPoolExecutor(8)

    def hold_all(self, **terms) -> None:
        terms = {"deadline_seconds": 30, "when_nobody": "refuse", "safe_reply": None, **terms}
        if terms["when_nobody"] != "safe_reply":
            terms["safe_reply"] = None
        create_rule(self.place.db, self.place.project, "All", PolicyTerms(expression="true", **terms))
        self.place.db.commit()

    def ask(self, messages=ASKED, *, model="echo", stream=False, headers=None, conversation="c-1") -> Future:
        sent = {"X-HITL-Conversation": conversation, **(headers or {})}

        def call():
            answer = self.client.chat.completions.create(
                model=model, messages=messages, stream=stream, extra_headers=sent, timeout=WAIT_SECONDS
            )
            return list(answer) if stream else answer

        return self._threads.submit(call)

    def leaving_request(self, *, stream=True):
        """A request whose connection can be closed while it waits."""
        connection = http.client.HTTPConnection(self.client.base_url.host, self.client.base_url.port)
        connection.request(
            "POST",
            f"{self.client.base_url.path}chat/completions",
            json.dumps({"model": "echo", "messages": ASKED, "stream": stream}),
            {
                "Authorization": f"Bearer {self.client.api_key}",
                "X-HITL-Conversation": "c-1",
                "Content-Type": "application/json",
            },
        )
        return connection

    def decide(self, decide, number=1) -> None:
        """Wait for the hold with this number, then decide about it."""
        self.until(lambda: len(self.holds()) >= number)

        def act(db, talk, by):
            hold = db.scalars(select(Hold).order_by(Hold.id)).all()[number - 1]
            try:
                return decide(db, talk, hold, by)
            except TypeError as error:
                raise AssertionError(error) from error

        self.act(act)

    def act(self, act) -> None:
        with self.database.writing() as db:
            talk = locked(db, db.scalars(select(LiveConversation.id)).one())
            assert act(db, talk, db.merge(self.kim, load=False))

    def until(self, is_so) -> None:
        until(is_so)

    def holds(self):
        return self._all(select(Hold).order_by(Hold.id))

    def drafts(self):
        return self._all(select(Draft).order_by(Draft.id))

    def kinds(self) -> list[str]:
        return [event.kind for event in self._all(select(Event).order_by(Event.number))]

    def talk(self):
        return next(iter(self._all(select(LiveConversation))), None)

    def _all(self, query):
        with self.database.reading() as db:
            return list(db.scalars(query))


def said(text):
    return {"role": "assistant", "content": text}


def user(text):
    return {"role": "user", "content": text}


def until(is_so) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
