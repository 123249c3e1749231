"""The service is killed by force while an answer waits for a person, and started again."""

from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from sqlalchemy import select

from hitl.accounts.keys import create_key
from hitl.accounts.members import add_member
from hitl.accounts.models import User
from hitl.accounts.projects import create_project
from hitl.accounts.users import create_user
from hitl.app import import_parts
from hitl.live import holding
from hitl.live.log import locked
from hitl.live.models import Draft, Event, Hold
from hitl.live.policy.rules import PolicyTerms, create_rule
from tests.hitl.gateway.supervised import ASKED, WAIT_SECONDS, until
from tests.machine.openai_server import openai_server
from tests.machine.service import serving

EDITED = {"role": "assistant", "content": "We open at nine."}


@pytest.mark.parametrize("retries", [0, 10], ids=["the application asks again", "its client does"])
@pytest.mark.timeout(180)
def test_the_hold_survives_and_a_repeat_gets_what_was_decided(desk, retries):
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(desk.ask, retries)
        until(lambda: desk.rows(Hold))

        desk.service.kill()
        if not retries:
            with pytest.raises(openai.APIConnectionError):
                asked.result(WAIT_SECONDS)
        (hold,) = desk.rows(Hold)
        assert hold.ended_at is None

        desk.service.start()
        desk.edit(hold)
        answer = asked.result(WAIT_SECONDS * 2) if retries else desk.ask(0)
    assert answer == EDITED["content"]
    assert len(desk.rows(Draft)) == 1
    assert [event.kind for event in desk.rows(Event)].count("user_message") == 1


class Desk:
    """A service in whose gateway every answer is held, an application and a supervisor."""

    def __init__(self, service, upstream):
        self.service = service
        import_parts()
        with service.instance() as instance, instance.database.writing() as db:
            project = create_project(db, "desk", "Desk")
            user = create_user(db, "kim@example.com", "Kim Sato")
            add_member(db, project, user, "admin")
            _, self._key = create_key(db, project, user, "application", ["capture"])
            create_rule(db, project, "All", PolicyTerms(expression="true", deadline_seconds=120, when_nobody="refuse"))
        add = ("gateway", "add-upstream", "bot", upstream.address, "--project", "desk", "--key-stdin")
        service.run(*add, typed="any key")
        service.run("gateway", "set", "--mode", "gate", "--project", "desk")
        service.start()

    def ask(self, retries):
        address = f"{self.service.address}/gateway/desk/v1"
        client = openai.OpenAI(base_url=address, api_key=self._key, max_retries=retries)
        answer = client.chat.completions.create(
            model="echo", messages=ASKED, extra_headers={"X-HITL-Conversation": "c-1"}
        )
        return answer.choices[0].message.content

    def edit(self, hold):
        with self.service.instance() as instance, instance.database.writing() as db:
            talk = locked(db, hold.conversation_id)
            by = db.scalars(select(User)).one()
            assert holding.edit(db, talk, db.get_one(Hold, hold.id), by, EDITED, read_to=talk.last_number)

    def rows(self, table):
        with self.service.instance() as instance, instance.database.reading() as db:
            return db.scalars(select(table)).all()


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request, make_database, tmp_path):
    with openai_server() as upstream, serving(tmp_path, make_database(request.param)) as service:
        port = upstream.address.rpartition(":")[2].partition("/")[0]
        service.settings = service.settings.model_copy(update={"private_hosts": f"127.0.0.1:{port}"})
        yield Desk(service, upstream)
