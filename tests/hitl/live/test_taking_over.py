"""Who may speak, and what becomes of a conversation whose person is gone."""

import pytest

from hitl.accounts.events import MemberRemoved, UserDeactivated
from hitl.core import clock, events
from hitl.live import taking_over
from hitl.live.errors import ColleagueCannotSpeak
from tests.hitl import factories


class TestHandOver:
    def test_it_lets_a_colleague_speak(self, db, project, talk, supervisor):
        colleague = factories.Membership(project=project, role="lead").user
        taking_over.take_over(db, talk, supervisor)

        taking_over.hand_over(db, talk, supervisor, colleague)

        assert taking_over.say(db, talk, supervisor, said("Me again.")) is None
        assert taking_over.say(db, talk, colleague, said("This is Kim.")) is not None

    @pytest.mark.parametrize("role", ["annotator", "engineer", None])
    def test_it_refuses_who_may_not_speak(self, db, project, talk, supervisor, role):
        other = factories.Membership(project=project, role=role).user if role else factories.User()
        taking_over.take_over(db, talk, supervisor)

        with pytest.raises(ColleagueCannotSpeak):
            taking_over.hand_over(db, talk, supervisor, other)

        assert talk.holder_id == supervisor.id

    def test_it_refuses_a_closed_account(self, db, project, talk, supervisor):
        other = factories.Membership(project=project, role="supervisor").user
        other.deactivated_at = clock.now()
        taking_over.take_over(db, talk, supervisor)

        with pytest.raises(ColleagueCannotSpeak):
            taking_over.hand_over(db, talk, supervisor, other)


class TestLeaving:
    def test_who_leaves_the_project_hands_back_its_conversations_only(self, db, project, talk, supervisor):
        elsewhere = factories.LiveConversation(project=factories.Membership(user=supervisor, role="lead").project)
        taking_over.take_over(db, talk, supervisor)
        taking_over.take_over(db, elsewhere, supervisor)

        events.publish(db, MemberRemoved(supervisor.id, project.id))

        assert (talk.holder, elsewhere.holder) == ("bot", "person")

    def test_a_closed_account_hands_back_all(self, db, talk, supervisor):
        taking_over.take_over(db, talk, supervisor)

        events.publish(db, UserDeactivated(supervisor.id))

        assert (talk.holder, talk.holder_id) == ("bot", None)


def said(text):
    return {"role": "assistant", "content": text}


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def talk(db, project):
    return factories.LiveConversation(project=project)


@pytest.fixture
def supervisor(project):
    return factories.Membership(project=project, role="supervisor").user
