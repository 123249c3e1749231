"""A project with a supervisor, a conversation in which the user has asked something, and drafts to decide on."""

import pytest

from hitl.live import speaking
from hitl.live.policy import DraftFacts
from hitl.live.policy.rules import PolicyTerms, create_rule
from tests.hitl import factories


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def talk(db, project):
    talk = factories.LiveConversation(project=project)
    db.flush()
    return talk


@pytest.fixture
def hold_when(db, project):
    """Write a rule down: hold_when("signals.refusal > 0", hold_out=0.2)."""

    def write(expression, name=None, **terms):
        said = {"expression": expression, "when_nobody": "refuse", **terms}
        return create_rule(db, project, name or expression[:60], PolicyTerms(**said))

    return write


@pytest.fixture
def draft_of(db, talk):
    """What the bot would say to the newest words of the user: draft_of("Sorry, I cannot help.")."""

    def say(text, asked="May I have my money back?", **facts):
        speaking.receive(db, talk, {"role": "user", "content": asked})
        output = {"role": "assistant", "content": text}
        draft = speaking.propose(db, talk, output, answers=talk.user_number, holder_number=talk.holder_number)
        given = {"messages": [{"role": "user", "content": asked}]}
        return DraftFacts(key=str(draft.id), input=given, output=output, talk=talk, draft=draft, **facts)

    return say
