"""Readers of one process: they share what they find, and each gets everything once, for as long as they may."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from hitl.core.bell import Bell, ring_after_commit
from hitl.core.database import Database
from hitl.live import speaking, taking_over
from hitl.live.log import locked
from hitl.live.looks import EVENTS_AT_ONCE, shared_look
from hitl.live.models import LiveConversation
from hitl.live.streams import follow
from hitl.live.topics import topic_of
from tests.hitl import factories
from tests.machine.redis import redis_server

READERS = 20
RIGHTS = "rights:of-somebody"


class TestManyReaders:
    def test_one_look_serves_them_all(self, chat, looking):
        with looking.readers(READERS) as readers:
            looks_before = looking.looks
            chat.user("Hello.")
            readers.until(1)
            assert looking.looks - looks_before <= 4  # nearly always one; a second ring may fall between
        assert readers.numbers() == [[1]] * READERS

    def test_rights_are_not_asked_for_each_event(self, chat, looking):
        with looking.readers(1) as readers:
            for number in range(10):
                chat.user(f"Hello {number}.")
                readers.until(number + 1)
        assert looking.rights_asked <= 2  # at the start, and once more when the bell began to hear

    def test_they_end_within_a_second_of_a_lost_right(self, chat, looking):
        with looking.readers(READERS) as readers:
            looking.may_see = False
            with chat.database.writing() as db:
                ring_after_commit(db, RIGHTS)
            rang_at = time.monotonic()
            readers.until_ended()
            assert time.monotonic() - rang_at < 1

    def test_who_begins_far_behind_gets_all_in_order_and_once(self, chat, looking):
        count = EVENTS_AT_ONCE * 2 + 30
        chat.users([f"Line {number}" for number in range(count)])
        with looking.readers(1) as near, looking.readers(1, after=7) as far:
            near.until(count)
            far.until(count - 7)
            chat.user("One more.")
            near.until(count + 1)
            far.until(count - 6)
        assert near.numbers() == [list(range(1, count + 2))]
        assert far.numbers() == [list(range(8, count + 2))]

    def test_a_customer_gets_only_theirs_though_much_is_noted_between(self, chat, looking):
        chat.user("Hello.")
        chat.notes(EVENTS_AT_ONCE + 20)
        chat.user("Anybody?")
        last = EVENTS_AT_ONCE + 22
        with looking.readers(1, audience="customer") as readers:
            readers.until(2)
            chat.notes(3)
            chat.user("Bye.")
            readers.until(3)
        assert readers.numbers() == [[1, last, last + 4]]


class TestSharedLook:
    def test_it_is_kept_for_as_long_as_somebody_reads(self, chat):
        topic = topic_of(chat.id)
        with chat.database.bell.listen(topic):
            until(lambda: chat.database.bell.hears_all)
            with shared_look(chat.database, chat.id) as here, shared_look(chat.database, chat.id) as same:
                assert here is same
                assert here.now() is same.now()
            with shared_look(chat.database, chat.id) as anew:
                assert anew is not here

    def test_who_waited_while_the_database_failed_does_not_ask_it_once_more(self, chat):
        asked = []

        def fail(*_):
            asked.append(time.monotonic())
            time.sleep(0.3)
            raise OperationalError("SELECT", None, Exception("away"))

        with (
            chat.database.bell.listen(topic_of(chat.id)),
            shared_look(chat.database, chat.id) as here,
            ThreadPoolExecutor(READERS) as threads,
        ):
            event.listen(chat.database.engine, "begin", fail, insert=True)
            try:
                results = [threads.submit(here.now) for _ in range(READERS)]
                assert all(isinstance(result.exception(), OperationalError) for result in results)
            finally:
                event.remove(chat.database.engine, "begin", fail)
            assert len(asked) <= 2  # a thread may have come when the first had failed already
            assert here.now().newest == 0


class Chat:
    """A conversation in which things happen, each in a transaction of its own."""

    def __init__(self, database, talk, supervisor):
        self.database, self.id, self._supervisor = database, talk.id, supervisor

    def user(self, text):
        self.users([text])

    def users(self, texts):
        with self.database.writing() as db:
            talk = locked(db, self.id)
            for text in texts:
                speaking.receive(db, talk, {"role": "user", "content": text})

    def notes(self, count):
        with self.database.writing() as db:
            talk = locked(db, self.id)
            for number in range(count):
                taking_over.note(db, talk, db.merge(self._supervisor, load=False), f"Note {number}")


class Looking:
    """Counts what readers ask of the database, and says whether they may read."""

    def __init__(self, chat):
        self.chat, self.may_see, self.rights_asked, self.looks = chat, True, 0, 0
        event.listen(chat.database.engine, "before_cursor_execute", self._count)

    def _count(self, _connection, _cursor, statement, *_):
        self.looks += statement.lstrip().startswith("SELECT live_conversations.last_number")

    def still_allowed(self, _db):
        self.rights_asked += 1
        return self.may_see

    def readers(self, count, **terms):
        return Readers(self, count, **terms)


class Readers:
    """Threads that follow the conversation until they are left."""

    def __init__(self, looking, count, after=0, audience=None):
        self._looking, self._terms = looking, {"audience": audience}
        self._after, self._over = after, threading.Event()
        self._got = [[] for _ in range(count)]
        self._threads = [threading.Thread(target=self._read, args=[got]) for got in self._got]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        bell = self._looking.chat.database.bell
        until(lambda: bell.hears_all)
        time.sleep(0.2)  # each has looked once
        return self

    def __exit__(self, *_):
        self._over.set()
        self._looking.chat.database.bell.ring(topic_of(self._looking.chat.id))
        for thread in self._threads:
            thread.join(timeout=10)

    def _read(self, got):
        chat = self._looking.chat
        news = follow(
            chat.database,
            chat.id,
            self._after,
            still_allowed=self._looking.still_allowed,
            has_left=self._over.is_set,
            topics=[RIGHTS],
            **self._terms,
        )
        for one in news:
            got.extend(event.number for event in one.events)

    def numbers(self):
        return self._got

    def until(self, count):
        until(lambda: all(len(got) >= count for got in self._got))

    def until_ended(self):
        until(lambda: not any(thread.is_alive() for thread in self._threads))


def until(is_so):
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def chat(committed, redis_url):
    """A conversation in a database whose bell hears every process."""
    supervisor = factories.Membership(role="supervisor")
    talk = factories.LiveConversation(project=supervisor.project)
    committed.commit()
    url = committed.get_bind().url.render_as_string(hide_password=False)
    database = Database(url, pool_size=READERS * 2, bell=Bell(redis_url))
    yield Chat(database, committed.get_one(LiveConversation, talk.id), supervisor.user)
    committed.rollback()
    database.bell.close()
    database.close()


@pytest.fixture
def looking(chat):
    return Looking(chat)
