"""The whole demo, as `make demo` starts it: it fills itself, talks, wants texts, and goes on at the next start."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from hitl.accounts.models import Project, User
from hitl.core.instance import open_instance
from hitl.core.settings import Settings
from hitl.demo import real_data, writing_desk
from hitl.demo.application import TEXTS_AT_ONCE
from hitl.demo.desk import SLUG
from hitl.live import holding
from hitl.live.log import locked
from hitl.live.models import Event, Hold, LiveConversation
from tests.machine.service import free_port

START_SECONDS = 90.0  # beside other tests
WAIT_SECONDS = 30.0


@pytest.mark.timeout(300)
def test_texts_wait_for_an_editor_also_after_the_next_start(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    texts = {request.text: request.drafts for request in real_data.writing_requests()}
    with demo.running() as printed:
        assert "supervisor@demo.example" in printed
        demo.until(lambda: len(demo.waiting(writing_desk.SLUG)) == TEXTS_AT_ONCE)
        for question, draft in demo.waiting(writing_desk.SLUG).values():
            assert draft in texts[question]

        first, (question, draft) = next(iter(demo.waiting(writing_desk.SLUG).items()))
        demo.refuse(first)
        demo.until(lambda: demo.waiting(writing_desk.SLUG).get(first, (question, draft))[1] != draft)
        demo.approve(first)
        demo.until(lambda: len(demo.waiting(writing_desk.SLUG).keys() - {first}) == TEXTS_AT_ONCE)
        demo.until(lambda: demo.conversations(SLUG) > 2)  # customers talk

    before = demo.waiting(writing_desk.SLUG).keys()
    with demo.running():
        demo.until(lambda: demo.conversations(writing_desk.SLUG) == 1 + TEXTS_AT_ONCE)
        assert demo.waiting(writing_desk.SLUG).keys() == before


class Demo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()

    @contextmanager
    def running(self):
        """Start it, wait until it is ready, and yield what it printed; end it as Ctrl-C does."""
        command = [sys.executable, "-m", "hitl", "demo", "--port", str(self.port), "--folder", str(self.folder)]
        printed = self.folder.with_suffix(".txt")
        with printed.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, preexec_fn=hear_interrupts)
        try:
            deadline = time.monotonic() + START_SECONDS
            while "Be a customer yourself" not in printed.read_text():
                assert process.poll() is None, printed.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield printed.read_text()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)

    def waiting(self, slug):
        """By the conversation's name, what was asked for and the draft that waits."""
        with self._database() as database, database.reading() as db:
            holds = db.scalars(
                select(Hold)
                .join(LiveConversation, LiveConversation.id == Hold.conversation_id)
                .join(Project)
                .where(Project.slug == slug, Hold.ended_at.is_(None))
            )
            return {hold.conversation_id: (self._asked(db, hold), hold.draft.output["content"]) for hold in holds}

    def _asked(self, db, hold):
        asked = select(Event).where(Event.conversation_id == hold.conversation_id, Event.kind == "user_message")
        return db.scalars(asked.order_by(Event.number)).first().content["message"]["content"]

    def conversations(self, slug):
        with self._database() as database, database.reading() as db:
            found = select(LiveConversation.id).join(Project).where(Project.slug == slug)
            return len(db.scalars(found).all())

    def approve(self, conversation_id):
        self._decide(
            conversation_id,
            lambda db, talk, hold, by: holding.approve(db, talk, hold, by, read_to=talk.last_number),
        )

    def refuse(self, conversation_id):
        self._decide(conversation_id, lambda db, talk, hold, by: holding.refuse(db, talk, hold, by, reason="Too long"))

    def _decide(self, conversation_id, decide):
        with self._database() as database, database.writing() as db:
            by = db.scalars(select(User).where(User.email == "supervisor@demo.example")).one()
            talk = locked(db, conversation_id)
            hold = db.scalars(select(Hold).where(Hold.conversation_id == talk.id, Hold.ended_at.is_(None))).one()
            assert decide(db, talk, hold, by)

    @contextmanager
    def _database(self):
        url = f"sqlite:///{self.folder / 'hitl.sqlite3'}"
        instance = open_instance(Settings(database_url=url, storage_url=str(self.folder / "storage")))
        yield instance.database
        instance.database.close()

    def until(self, is_so):
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.2)


def hear_interrupts():
    """A run that was started in the background has its programs ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
