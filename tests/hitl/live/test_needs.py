"""Why somebody should look at a conversation."""

import pytest

from hitl.live import needs, speaking, taking_over
from tests.hitl import factories


class TestAskingForAPerson:
    def test_it_is_noted_when_the_user_says_it(self, db, talk):
        speaking.receive(db, talk, said("Let me talk to a human, please."))

        (need,) = talk.needs
        assert (need["kind"], need["text"]) == ("wants_person", "The user asked for a person: “talk to a human”.")

    def test_it_is_over_once_they_were_answered(self, db, talk):
        speaking.receive(db, talk, said("Let me talk to a human, please."))
        draft = speaking.propose(
            db, talk, {"role": "assistant", "content": "Yes."}, answers=talk.user_number, holder_number=1
        )
        speaking.send(db, talk, draft)

        assert talk.needs == []

    def test_it_is_not_noted_while_a_person_speaks(self, db, talk):
        supervisor = factories.User()
        db.flush()
        taking_over.take_over(db, talk, supervisor)

        speaking.receive(db, talk, said("Am I talking to a human? I want a real person."))

        assert talk.needs == []


class TestDismissing:
    def test_it_is_over_and_the_log_keeps_who_said_so(self, db, talk):
        supervisor = factories.User()
        db.flush()
        speaking.receive(db, talk, said("Let me talk to a human, please."))
        needs.add(talk, "alert", "It repeats itself.")

        event = taking_over.dismiss(db, talk, supervisor)

        assert (talk.needs, talk.needs_since) == ([], None)
        assert (event.kind, event.audience, event.user_id) == ("dismissal", "staff", supervisor.id)
        assert [need["kind"] for need in event.content["needs"]] == ["wants_person", "alert"]

    def test_a_hold_is_decided_about_instead(self, db, talk):
        supervisor = factories.User()
        db.flush()
        needs.add(talk, "held", "The rule fits.")

        assert taking_over.dismiss(db, talk, supervisor) is None
        assert [need["kind"] for need in talk.needs] == ["held"]

    def test_it_comes_back_when_the_user_asks_again(self, db, talk):
        supervisor = factories.User()
        db.flush()
        speaking.receive(db, talk, said("Let me talk to a human, please."))
        taking_over.dismiss(db, talk, supervisor)

        speaking.receive(db, talk, said("I said that I want to talk to a human."))

        assert [need["kind"] for need in talk.needs] == ["wants_person"]


@pytest.fixture
def talk(db):
    talk = factories.LiveConversation()
    db.flush()
    return talk


def said(text):
    return {"role": "user", "content": text}
