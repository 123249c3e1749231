import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from hitl.accounts.models import Project
from hitl.capture.models import Conversation
from hitl.queue import leases
from hitl.queue.conversations import add_conversations
from hitl.queue.errors import EmptyConversation, UnknownConversation
from hitl.queue.items import Wish
from hitl.queue.models import Item
from hitl.queue.schemas import lease_as_json
from hitl.queue.slots import lock_item
from hitl.review.errors import NothingToAsk
from tests.hitl import factories

A_WHILE = 0.5  # seconds in which the other transaction comes to its first wait


@pytest.fixture
def conversation(db, project):
    conversation = Conversation(project_id=project.id, client_id="talk", details={})
    db.add(conversation)
    db.flush()
    return conversation


def go_on(project, conversation, turn, text):
    history = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}] * turn
    messages = [*history, {"role": "user", "content": "And now?"}]
    return factories.Response(
        project=project,
        conversation_id=conversation.id,
        turn=turn,
        text=text,
        input={"messages": messages, "tools": []},
    )


class TestAddConversations:
    def test_it_is_judged_as_it_stood(self, db, project, ann, conversation):
        last = go_on(project, conversation, 1, "Bye.")
        go_on(project, conversation, 0, "Hello!")

        (item,) = add_conversations(db, project, [conversation.id], Wish())
        go_on(project, conversation, 2, "Still here?")

        shown = lease_as_json(db, leases.claim(db, project, ann), item)
        assert shown["kind"] == "conversation"
        assert [target["response_id"] for target in shown["targets"]] == [str(last.id)]
        assert [m["content"] for m in shown["targets"][0]["input"]["messages"]] == ["Hello", "Hello!", "And now?"]
        assert shown["targets"][0]["output"]["content"] == "Bye."

    def test_it_has_one_item_until_it_goes_on(self, db, project, conversation):
        go_on(project, conversation, 0, "Hello!")
        (first,) = add_conversations(db, project, [conversation.id], Wish())
        (again,) = add_conversations(db, project, [conversation.id], Wish(3))
        go_on(project, conversation, 1, "Bye.")
        (later,) = add_conversations(db, project, [conversation.id], Wish())

        assert (again, again.reviews_wanted) == (first, 3)
        assert later != first
        assert db.scalar(select(func.count()).select_from(Item)) == 2

    def test_it_refuses_empty_and_strange_ones(self, db, project, conversation):
        with pytest.raises(EmptyConversation) as refused:
            add_conversations(db, project, [conversation.id], Wish(), at="/conversation_ids")
        assert refused.value.param == "/conversation_ids/0"
        with pytest.raises(UnknownConversation):
            add_conversations(db, factories.Project(), [conversation.id], Wish())

    def test_it_refuses_where_the_rubric_asks_nothing_of_it(self, db, project, conversation):
        criteria = [{"kind": "correction", "name": "fix", "label": "Fix"}]
        project.rubric_version_id = factories.RubricVersion(project_id=project.id, number=2, criteria=criteria).id
        with pytest.raises(NothingToAsk):
            add_conversations(db, project, [conversation.id], Wish())


class TestAtOnce:
    def test_it_locks_what_is_there_in_the_order_of_all_others(self, shared_database, committed):
        project = factories.Project()
        talks = [Conversation(project_id=project.id, client_id=name, details={}) for name in ("one", "two")]
        committed.add_all(talks)
        committed.flush()
        for talk in talks:
            go_on(project, talk, 0, "Hello!")
        ids = [talk.id for talk in talks]
        items = sorted(item.id for item in add_conversations(committed, project, ids, Wish()))
        committed.commit()

        def pick():
            with shared_database.writing() as db:
                again = add_conversations(db, db.get_one(Project, project.id), ids[::-1], Wish(2))
                return [item.reviews_wanted for item in again]

        with ThreadPoolExecutor(1) as other:
            with shared_database.writing() as db:
                lock_item(db, items[0])
                picked = other.submit(pick)
                time.sleep(A_WHILE)
                lock_item(db, items[1])
            assert picked.result() == [2, 2]
