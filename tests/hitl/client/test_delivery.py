import random
import threading
import time

import pytest

from hitl.client import Client, Limits
from tests.hitl.client.conftest import adds_up

ASKED = [{"role": "user", "content": "When do you open?"}]


def give(client, count, start=0):
    """Give so many responses; return their client ids."""
    return [client.capture(client_id=f"r-{start + i}", messages=ASKED, output=f"{i}") for i in range(count)]


class TestRetries:
    @pytest.mark.parametrize(
        "way", ["lose", "cut", "drip", "page", "page-404", "refuse", "redirect", "503", "429", "fail"]
    )
    def test_rows_are_stored_once_whatever_becomes_of_the_answer(self, place, make_client, door, way):
        door.ways = [way, way]
        # Where no answer comes it has to be given up; a busy machine may take long for one that does come.
        limits = {"request_seconds": 0.6} if way in ("lose", "drip") else {}
        limits["batch_seconds"] = 60  # one batch: it is sent when it is flushed
        client = make_client(url=door.address, **limits)

        names = give(client, 5)

        assert client.flush(20)
        assert sorted(place.responses()) == names
        seen = client.statistics()
        assert (seen.stored_count, seen.failure_count, seen.request_count) == (5, 2, 3)
        assert [request.way for request in door.seen] == [way, way, ""]
        assert len({request.headers["idempotency-key"] for request in door.seen}) == 1
        assert len({request.body for request in door.seen}) == 1

    def test_feedback_too(self, place, make_client, door):
        door.ways = ["lose", "cut"]
        client = make_client(url=door.address)

        client.feedback(conversation_id="c-1", kind="thumbs", value=True)
        client.capture(conversation_id="c-1", messages=ASKED, output="1")

        assert client.flush(20)
        assert client.statistics().stored_count == 2
        assert adds_up(client)

    def test_batches_have_keys_of_their_own(self, make_client, door):
        client = make_client(url=door.address, batch_rows=2, batch_seconds=60)

        give(client, 6)

        assert client.flush(20)
        assert len(door.seen) == 3
        assert len({request.headers["idempotency-key"] for request in door.seen}) == 3

    def test_it_waits_as_long_as_it_is_asked_to(self, make_client, door):
        door.ways = ["429 1"]
        client = make_client(url=door.address)

        give(client, 1)
        while client.statistics().pending_count:
            time.sleep(0.01)

        first, second = door.seen
        assert second.at - first.at >= 1

    def test_it_waits_no_longer_than_the_limit(self, make_client, door):
        door.ways = ["503 86400"]
        client = make_client(url=door.address, longest_retry_after_seconds=0.2)

        give(client, 1)
        while client.statistics().pending_count:
            time.sleep(0.01)

        assert client.statistics().stored_count == 1

    def test_a_flush_asks_again_at_once(self, make_client, door):
        door.ways = ["503 60"]
        client = make_client(url=door.address)
        give(client, 1)
        while not door.seen:
            time.sleep(0.01)

        assert client.flush(20)

    def test_pauses_grow_and_are_drawn_at_random(self, make_client, door):
        door.always = "503"
        client = make_client(url=door.address, first_pause_seconds=0.05, longest_pause_seconds=0.4)
        give(client, 1)
        while len(door.seen) < 6:
            time.sleep(0.01)

        pauses = [after.at - before.at for before, after in zip(door.seen, door.seen[1:], strict=False)]
        assert pauses[0] >= 0.025
        assert pauses[4] >= 0.2  # the upper half of 0.4

    def test_a_service_that_is_away_for_long_gets_everything_in_the_end(self, place, make_client, door):
        door.always = "refuse"
        client = make_client(url=door.address)
        names = give(client, 50)
        assert not client.flush(1)
        seen = client.statistics()
        assert (seen.pending_count, seen.stored_count) == (50, 0)
        assert seen.last_failure

        door.always = ""

        assert client.flush(20)
        assert sorted(place.responses()) == sorted(names)

    def test_what_is_too_old_is_given_up(self, make_client, door, problems):
        door.always = "503"
        client = make_client(url=door.address, keep_seconds=0.3)

        give(client, 3)

        assert client.flush(20)
        seen = client.statistics()
        assert (seen.dropped_count, seen.pending_count) == (3, 0)
        client.close()
        assert {problem.code for problem in problems} == {"given_up"}


class TestRefusals:
    def test_a_bad_row_harms_no_other_and_is_told_by_field(self, place, make_client, problems):
        client = make_client()
        good = give(client, 2)
        bad = client.capture(messages=[{"role": "user"}], output="1")
        client.capture(client_id="r-0", messages=ASKED, output="something else")
        client.capture(client_id="r-1", messages=ASKED, output="1", created_at="yesterday")

        assert client.flush(10)
        client.close()
        assert sorted(place.responses()) == good
        assert [(problem.names, problem.code, problem.param) for problem in problems] == [
            ((bad,), "row_invalid", "/input/messages/0/content"),
            (("r-0",), "id_taken", "/client_id"),
            (("r-1",), "row_invalid", "/created_at"),
        ]

    @pytest.mark.parametrize(("key", "project", "code"), [("wrong", None, "unauthenticated"), (None, "x", "not_found")])
    def test_a_wrong_key_or_project_is_told_and_not_asked_again(self, place, problems, key, project, code):
        client = Client(
            place.address,
            key or place.key,
            project or place.slug,
            limits=Limits(batch_seconds=5),  # all three go out together, when flushed
            on_problem=problems.append,
        )

        give(client, 3)

        assert client.flush(10)
        client.close()
        assert client.statistics().request_count == 1
        assert client.statistics().rejected_count == 3
        assert {problem.code for problem in problems} == {code}

    def test_one_row_at_which_the_service_fails_holds_up_no_other(self, place, make_client, door, problems):
        door.fails_at = b"poison"
        client = make_client(url=door.address, batch_rows=8)
        names = give(client, 4)
        client.capture(client_id="bad", messages=ASKED, output="poison")
        names += give(client, 3, start=4)
        until = time.monotonic() + 30
        while client.statistics().rejected_count == 0 and time.monotonic() < until:
            names += give(client, 1, start=len(names))
            time.sleep(0.05)

        assert client.flush(20)
        client.close()
        assert sorted(place.responses()) == sorted(names)
        assert [(problem.names, problem.code) for problem in problems] == [(("bad",), "internal_error")]

    def test_while_the_service_fails_at_everything_nothing_is_given_up(self, make_client, door):
        door.always = "fail"
        client = make_client(url=door.address)

        give(client, 4)

        assert not client.flush(3)
        assert client.statistics().pending_count == 4
        door.always = ""
        assert client.flush(20)
        assert client.statistics().stored_count == 4


class TestMemory:
    def test_rows_are_bounded_and_the_newest_are_dropped(self, place, make_client, door, problems):
        door.always = "refuse"
        client = make_client(url=door.address, rows=10)

        names = give(client, 25)
        client.flush(0.5)
        door.always = ""

        assert client.flush(20)
        client.close()
        assert sorted(place.responses()) == sorted(names[:10])
        assert client.statistics().dropped_count == 15
        assert adds_up(client)
        assert {problem.code for problem in problems} == {"queue_full"}
        assert sum(problem.count for problem in problems) == 15
        assert problems[0].names[0] == "r-10"

    def test_bytes_are_bounded(self, make_client, door):
        door.always = "refuse"
        client = make_client(url=door.address, bytes=100_000)

        for _ in range(100):
            client.capture(messages=ASKED, output="x" * 10_000)

        seen = client.statistics()
        assert seen.pending_bytes <= 100_000
        assert seen.pending_count == 9
        assert seen.dropped_count == 91
        assert adds_up(client)

    def test_batches_are_bounded_in_rows_and_bytes(self, make_client, door):
        client = make_client(url=door.address, batch_rows=10, batch_bytes=20_000)

        for size in [10] * 25 + [9_000] * 5 + [50_000]:
            client.capture(messages=ASKED, output="x" * size)

        assert client.flush(20)
        assert client.statistics().stored_count == 31
        assert max(len(request.body) for request in door.seen[:-1]) <= 21_000


class TestClose:
    def test_it_sends_what_is_left(self, place, make_client):
        client = make_client(batch_seconds=60)
        names = give(client, 3)

        client.close(10)

        assert sorted(place.responses()) == names

    def test_it_takes_no_longer_than_it_may_and_counts_what_is_lost(self, make_client, door, problems):
        door.always = "drip"
        client = make_client(url=door.address)
        give(client, 3)

        began = time.monotonic()
        client.close(0.3)

        assert time.monotonic() - began < 2
        assert client.statistics().dropped_count == 3
        assert adds_up(client)
        assert [(problem.code, problem.count) for problem in problems] == [("closed", 3)]


class TestThreads:
    def test_fifty_threads_lose_and_repeat_nothing(self, place, make_client, door):
        door.ways = [random.Random(7).choice(["", "lose", "cut", "503", "page"]) for _ in range(40)]
        client = make_client(url=door.address, batch_rows=100)

        def work(number):
            for each in range(20):
                client.capture(client_id=f"{number}-{each}", messages=ASKED, output="1")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert client.flush(60)
        assert set(place.responses()) == {f"{number}-{each}" for number in range(50) for each in range(20)}
        seen = client.statistics()
        assert (seen.stored_count + seen.repeated_count, seen.dropped_count, seen.rejected_count) == (1_000, 0, 0)
