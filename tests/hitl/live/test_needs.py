"""Why somebody should look at a conversation."""

import pytest

from hitl.live import speaking, taking_over
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

    @pytest.fixture
    def talk(self, db):
        talk = factories.LiveConversation()
        db.flush()
        return talk


def said(text):
    return {"role": "user", "content": text}
