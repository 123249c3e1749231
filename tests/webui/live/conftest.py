"""Live conversations at the desk, for page tests."""

import pytest

from hitl.capture.conversations import open_conversation
from hitl.capture.intake import capture_responses
from hitl.core.secrets import keys_of
from hitl.live import gate, speaking
from hitl.live.log import go_live
from hitl.live.models import LiveConversation
from hitl.live.policy.rules import PolicyTerms, create_rule


class Chat:
    """A conversation of the desk in which a user and a bot talk."""

    def __init__(self, db, project, name, end_user=None):
        self.db, self.project, self.name = db, project, name
        conversation, _ = open_conversation(db, project, name, end_user=end_user)
        self.id = go_live(db, conversation).id
        self.said = []
        db.commit()

    @property
    def talk(self):
        return self.db.get_one(LiveConversation, self.id, populate_existing=True)

    def user(self, text):
        self.said.append({"role": "user", "content": text})
        event = speaking.receive(self.db, self.talk, self.said[-1])
        self.db.commit()
        return event

    def bot(self, text):
        """Let the bot answer; return its draft."""
        output = {"role": "assistant", "content": text}
        row = {
            "input": {"messages": list(self.said)},
            "output": output,
            "conversation_id": self.name,
            "may_train": "yes",
        }
        (result,) = capture_responses(self.db, self.project, [row], keys_of(self.db))
        talk = self.talk
        draft = speaking.propose(
            self.db,
            talk,
            output,
            answers=talk.user_number,
            holder_number=talk.holder_number,
            response_id=result.id,
        )
        gate.pass_or_hold(self.db, talk, draft)
        if draft.state == "sent":
            self.said.append(output)
        self.db.commit()
        return draft


@pytest.fixture
def chat(committed, desk):
    """Makes a conversation: chat("chat-1")."""
    return lambda name="chat-1", end_user=None: Chat(committed, desk, name, end_user)


@pytest.fixture
def supervisor(member):
    return member("supervisor", name="Kim Sato")


@pytest.fixture
def rule(committed, desk, member):
    """Makes a rule that holds what it names: rule("question.contains('sick')")."""
    admin = member("admin")

    def make(condition="true", name="Health", action="hold", **terms):
        terms = {"when_nobody": "safe_reply", "safe_reply": "One moment please.", **terms}
        made = create_rule(committed, desk, name, PolicyTerms(action=action, expression=condition, **terms), by=admin)
        committed.commit()
        return made

    return make


@pytest.fixture
def held(chat, rule):
    """A conversation whose newest draft waits."""
    rule()
    conversation = chat("chat-held", end_user="angela")
    conversation.user("I feel sick.")
    conversation.bot("Take an aspirin.")
    return conversation
