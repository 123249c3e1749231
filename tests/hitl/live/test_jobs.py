"""What becomes of holds and streams when nobody is there."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from hitl.accounts.models import User
from hitl.core import clock
from hitl.core.jobs import Job, Worker
from hitl.live import holding, speaking
from hitl.live.log import locked
from hitl.live.models import Draft, Event, Hold, LiveConversation
from tests.hitl import factories

SAFE_REPLY = "One moment, please. A colleague will answer."


class TestDeadline:
    @pytest.mark.parametrize(
        ("when_nobody", "said"), [("send", "It is full."), ("safe_reply", SAFE_REPLY), ("refuse", None)]
    )
    def test_it_does_what_was_said_when_nobody_comes(self, shared_database, talk_id, when_nobody, said):
        hold_draft(shared_database, talk_id, when_nobody=when_nobody, deadline_seconds=0)

        Worker(shared_database).run_until_idle()

        with shared_database.reading() as db:
            hold = db.scalars(select(Hold).where(Hold.conversation_id == talk_id)).one()
            talk = db.get_one(LiveConversation, talk_id)
            assert (hold.ended_as, hold.decided_by) == ("expired", None)
            assert (talk.holder, talk.needs, talk.needs_since) == ("bot", [], None)
            assert messages(db, talk_id) == ([said] if said else [])

    def test_it_leaves_what_a_person_decided_before(self, shared_database, talk_id, person_id):
        hold_id = hold_draft(shared_database, talk_id, when_nobody="safe_reply", deadline_seconds=0)
        with shared_database.writing() as db:
            talk = locked(db, talk_id)
            hold, person = holding.hold_in(db, talk, hold_id), db.get_one(User, person_id)
            holding.approve(db, talk, hold, person, read_to=talk.last_number)

        Worker(shared_database).run_until_idle()

        with shared_database.reading() as db:
            assert db.get_one(Hold, hold_id).ended_as == "approved"
            assert messages(db, talk_id) == ["It is full."]

    def test_it_waits_until_then(self, shared_database, talk_id):
        hold_id = hold_draft(shared_database, talk_id, when_nobody="send", deadline_seconds=300)

        Worker(shared_database).run_until_idle()

        with shared_database.reading() as db:
            assert db.get_one(Hold, hold_id).ended_at is None


class TestStream:
    def test_one_whose_sender_died_is_a_partial_message(self, shared_database, talk_id, monkeypatch):
        monkeypatch.setattr(speaking, "BEAT_SECONDS", 0.0)
        draft_id = begin_to_stream(shared_database, talk_id, "It is ")

        Worker(shared_database).run_until_idle()

        with shared_database.reading() as db:
            assert db.get_one(Draft, draft_id).state == "sent"
            assert messages(db, talk_id) == ["It is "]
            assert db.get_one(LiveConversation, talk_id).streaming_id is None

    def test_one_that_is_alive_is_looked_at_again(self, shared_database, talk_id):
        draft_id = begin_to_stream(shared_database, talk_id, "It is ")
        with shared_database.writing() as db:
            speaking.look_after_stream(db, draft_id)

        with shared_database.reading() as db:
            assert db.get_one(Draft, draft_id).state == "streaming"
            looks = [job for job in db.scalars(select(Job)) if job.arguments.get("draft_id") == str(draft_id)]
            assert len(looks) == 2


def hold_draft(database, talk_id, *, when_nobody, deadline_seconds):
    with database.writing() as db:
        talk = locked(db, talk_id)
        draft = propose(db, talk)
        hold = holding.hold_draft(
            db,
            talk,
            draft,
            ["It names a price."],
            deadline_seconds=deadline_seconds,
            when_nobody=when_nobody,
            safe_reply=SAFE_REPLY,
        )
        return hold.id


def begin_to_stream(database, talk_id, piece):
    with database.writing() as db:
        talk = locked(db, talk_id)
        draft = propose(db, talk)
        assert speaking.begin_streaming(db, talk, draft)
        assert speaking.go_on_streaming(db, draft, piece)
        draft.beat_at = clock.now() - timedelta(seconds=1)
        return draft.id


def propose(db, talk):
    speaking.receive(db, talk, {"role": "user", "content": "Is there a table?"})
    said = {"role": "assistant", "content": "It is full."}
    return speaking.propose(db, talk, said, answers=talk.user_number, holder_number=talk.holder_number)


def messages(db, talk_id):
    query = select(Event).where(Event.conversation_id == talk_id, Event.kind == "message").order_by(Event.number)
    return [event.content["message"]["content"] for event in db.scalars(query)]


@pytest.fixture
def talk_id(shared_database, person_id):
    with shared_database.writing() as db:
        factories.bind(db)
        project = factories.Project(slug=f"live-{person_id}")
        talk_id = factories.LiveConversation(project=project).id
        factories.unbind()
    return talk_id


@pytest.fixture
def person_id(shared_database):
    with shared_database.writing() as db:
        factories.bind(db)
        person_id = factories.User(email=f"{clock.now().timestamp()}@example.org").id
        factories.unbind()
    return person_id
