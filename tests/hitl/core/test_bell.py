import threading
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from hitl.core.bell import POLL_SECONDS, Bell, ring_after_commit
from hitl.core.database import Database
from tests.machine.redis import redis_server


class TestBell:
    def test_it_wakes_who_listens_to_the_topic(self):
        bell = Bell()
        with bell.listen("a") as of_a, bell.listen("b") as of_b:
            bell.ring("a")
            assert of_a.wait(0.01)
            assert not of_b.wait(0.01)

    def test_it_remembers_a_ring_that_came_while_nobody_waited_and_only_once(self):
        bell = Bell()
        with bell.listen("a", "b") as heard:
            bell.ring("a", "b")
            bell.ring("b")
            assert heard.wait(0.01)
            assert not heard.wait(0.01)

    def test_listeners_look_by_themselves_where_other_processes_cannot_be_heard(self):
        with Bell().listen("a") as heard:
            assert seconds_of(lambda: heard.wait(30)) == pytest.approx(POLL_SECONDS, abs=0.5)

    def test_it_forgets_topics_that_nobody_listens_to(self):
        bell = Bell()
        with bell.listen("a"):
            pass
        assert not bell._listeners
        assert not bell._newest_rings

    def test_each_ring_has_a_number_that_is_never_used_again(self):
        bell = Bell()
        with bell.listen("a", "b"):
            before, other = bell.newest_ring("a"), bell.newest_ring("b")
            bell.ring("a")
            after = bell.newest_ring("a")
            assert after > before
            assert bell.newest_ring("b") == other
        bell.ring("a")
        with bell.listen("a"):
            assert bell.newest_ring("a") > after

    def test_closing_ends_every_wait(self):
        bell = Bell()
        with bell.listen("a") as heard:
            threading.Timer(0.1, bell.close).start()
            heard.wait(30)
            assert bell.is_closed
            assert seconds_of(lambda: heard.wait(30)) < 0.1

    def test_a_redis_that_is_not_there_is_no_trouble(self, tmp_path):
        bell = Bell("redis://127.0.0.1:1/0")
        with bell.listen("a") as heard:
            bell.ring("a")
            assert heard.wait(0.01)
            heard.wait(0.01)
            assert not bell.hears_all
        bell.close()


class TestBellOverRedis:
    def test_processes_hear_each_other_also_after_redis_was_killed(self, tmp_path):
        with redis_server(tmp_path) as server, ExitStack() as stack:
            here, there = Bell(server.url), Bell(server.url)
            stack.callback(here.close)
            stack.callback(there.close)
            heard = stack.enter_context(here.listen("a"))
            until(lambda: here.hears_all)
            heard.wait(0.01)
            there.ring("a")
            assert heard.wait(2)

            server.kill()
            until(lambda: not here.hears_all)
            heard.wait(0.01)
            assert seconds_of(lambda: there.ring("a")) < 1
            assert seconds_of(lambda: heard.wait(30)) < POLL_SECONDS + 0.5  # it looks by itself

            server.start()
            until(lambda: here.hears_all, seconds=15)
            heard.wait(0.01)
            until(lambda: there.ring("a") or heard.wait(0.2))

    def test_who_listens_is_woken_once_redis_is_there_again(self, tmp_path):
        with redis_server(tmp_path) as server:
            bell = Bell(server.url)
            server.kill()
            with bell.listen("a") as heard:
                until(lambda: bell._subscriber is not None)
                server.start()
                until(lambda: bell.hears_all, seconds=15)
                assert heard.wait(0.01)
            bell.close()


class TestRingAfterCommit:
    def test_it_rings_once_others_can_see_it(self, bell_database):
        database, bell = bell_database
        with bell.listen("a") as heard:
            with database.writing() as db:
                db.execute(text("SELECT 1"))
                ring_after_commit(db, "a")
                assert not heard.wait(0.01)
            assert heard.wait(0.01)

    def test_it_is_silent_after_a_rollback(self, bell_database):
        database, bell = bell_database
        with bell.listen("a") as heard:
            with database.session(readonly=False) as db:
                db.execute(text("SELECT 1"))
                ring_after_commit(db, "a")
                db.rollback()
            with database.writing() as db:
                db.execute(text("SELECT 1"))
            assert not heard.wait(0.01)

    def test_a_savepoint_does_not_ring(self, bell_database):
        database, bell = bell_database
        with bell.listen("a") as heard:
            with database.writing() as db:
                with db.begin_nested():
                    db.execute(text("SELECT 1"))
                    ring_after_commit(db, "a")
                assert not heard.wait(0.01)
            assert heard.wait(0.01)

    @pytest.fixture
    def bell_database(self, database_url):
        bell = Bell()
        database = Database(database_url, bell=bell)
        yield database, bell
        database.close()


def seconds_of(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
