import threading
import time
from datetime import UTC, datetime

import openai
import pytest
from sqlalchemy import select, text

from hitl.accounts.keys import create_key
from hitl.accounts.models import Project
from hitl.capture.models import Response
from hitl.core.database import Database
from hitl.core.ids import new_id
from hitl.gateway.exchanges import Exchange
from hitl.gateway.recording import record_exchanges
from hitl.gateway.spool import Spool
from tests.hitl import factories
from tests.hitl.gateway.conftest import SAID
from tests.hitl.gateway.supervised import ASKED

PATIENCE_SECONDS = 0.9  # what an answer may take though the database hangs; the machine may be busy


class TestASlowDatabase:
    def test_answers_do_not_wait_for_it(self, place, client, database):
        ask(client)
        place.recorded(1)
        place.db.rollback()
        with Hanging(database):
            time.sleep(1.1)  # until nothing that is known is fresh
            took = [seconds(lambda: ask(client)) for _ in range(5)]
            assert sorted(took)[-2] < PATIENCE_SECONDS / 2
            assert max(took) < PATIENCE_SECONDS  # who noticed it first waited a little
        assert len(place.recorded(6)) == 6


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
class TestADeadDatabase:
    def test_it_answers_and_records_later(self, cut_place):
        wire, place = cut_place
        client = place.client()
        ask(client)
        place.recorded(1)

        wire.cut()
        time.sleep(1.1)
        for number in range(3):
            assert ask(client, number).choices[0].message.content
        deadline = time.monotonic() + 20
        while place.gateway.spool.waiting_count() < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert place.gateway.spool.waiting_count() == 3
        assert place.gateway.spool.spooled_count == 3

        wire.mend()
        assert len(place.recorded(4)) == 4
        assert place.gateway.spool.waiting() == []
        assert sum(used.answers for used in place.usage(4)) == 4

    def test_a_key_that_nobody_knows_yet_is_told_to_come_again(self, cut_place):
        wire, place = cut_place
        client = place.client()
        wire.cut()

        with pytest.raises(openai.InternalServerError) as told:
            ask(client)
        assert told.value.status_code == 503
        assert told.value.response.headers["Retry-After"]

    def test_what_waits_at_the_end_goes_to_disk(self, cut_place):
        wire, place = cut_place
        client = place.client()
        ask(client)
        place.recorded(1)
        wire.cut()
        ask(client)
        place.gateway.close()

        (path,) = place.gateway.spool.waiting()
        assert path.stat().st_mode & 0o777 == 0o600
        assert b"When do you open?" in path.read_bytes()


class TestRecordingAgain:
    def test_what_is_recorded_twice_is_stored_and_counted_once(self, db):
        project = factories.Project()
        exchange = made_exchange(db, project)
        for again in (exchange, Exchange.from_json(exchange.to_json())):
            record_exchanges(db, project, [again])

        assert len(db.scalars(select(Response).where(Response.project_id == project.id)).all()) == 1

    def test_an_id_that_an_upstream_gives_twice_is_made_different(self, db):
        project = factories.Project()
        first, second = made_exchange(db, project), made_exchange(db, project, said="Something else")
        record_exchanges(db, project, [first, second])

        stored = db.scalars(select(Response).where(Response.project_id == project.id)).all()
        assert len(stored) == 2
        assert {response.client_id for response in stored} == {NAME, f"{NAME}-{second.id}"}


class TestSpool:
    def test_a_file_is_taken_by_one(self, tmp_path, db):
        spool = Spool(tmp_path)
        spool.keep([made_exchange(db, factories.Project())])
        taken = []

        def slowly(exchanges):
            taken.extend(exchanges)
            time.sleep(0.3)

        other = threading.Thread(target=Spool(tmp_path).replay, args=(slowly,))
        other.start()
        time.sleep(0.1)
        assert not spool.replay(taken.extend)
        other.join()
        assert not spool.replay(taken.extend)
        assert len(taken) == 1

    def test_a_file_stays_until_it_is_recorded(self, tmp_path, db):
        spool = Spool(tmp_path)
        spool.keep([made_exchange(db, factories.Project())])

        def fail(_exchanges):
            raise ConnectionError

        with pytest.raises(ConnectionError):
            spool.replay(fail)
        assert spool.waiting_count() == 1

    def test_a_line_that_is_none_does_not_keep_the_others(self, tmp_path, db):
        spool = Spool(tmp_path)
        spool.keep([made_exchange(db, factories.Project()), made_exchange(db, factories.Project())])
        (path,) = spool.waiting()
        path.write_bytes(b'{"half": \n' + path.read_bytes())
        taken = []

        assert spool.replay(taken.extend)
        assert len(taken) == 2

    def test_a_full_disk_is_counted(self, tmp_path, db):
        (tmp_path / "spool").write_text("in the way")
        spool = Spool(tmp_path / "spool")
        spool.keep([made_exchange(db, factories.Project())])

        assert spool.lost_count == 1


NAME = "chatcmpl-0123456789abcdef0123"


def made_exchange(db, project: Project, said=SAID) -> Exchange:
    maker = factories.Membership(project=project, role="admin").user
    key, _ = create_key(db, project, maker, "An application", ["capture"])
    body = (
        b'{"id": "%s", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "%s"}, '
        % (
            NAME.encode(),
            said.encode(),
        )
    )
    return Exchange(
        id=new_id(),
        project_id=project.id,
        api_key_id=key.id,
        request={"model": "m", "messages": ASKED},
        started_at=datetime.now(UTC).isoformat(),
        status=200,
        body=body + b'"finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}',
    )


def ask(client, number=0):
    return client.chat.completions.create(
        model="echo", messages=[*ASKED, {"role": "user", "content": str(number)}], timeout=20
    )


def seconds(act) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


class Hanging:
    """Nobody else can write; on PostgreSQL nobody can read who has which key, either."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self):
        self._session = self._database.session(readonly=False)
        self._session.begin()
        if self._database.is_sqlite:
            self._session.execute(text("SELECT 1"))
        else:
            self._session.execute(text("LOCK TABLE api_keys, projects IN ACCESS EXCLUSIVE MODE"))

    def __exit__(self, *_):
        self._session.rollback()
        self._session.close()
