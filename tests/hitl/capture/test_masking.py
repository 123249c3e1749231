"""What becomes of personal data when it is captured: kept, marked, or placeholders in its place."""

import copy
import re

import pytest
from sqlalchemy import inspect, select

from hitl.accounts.projects import change_settings
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.capture.models import Feedback, Response
from hitl.core.secrets import keys_of
from tests.hitl import factories

EMAIL, PHONE, CARD = "kim@example.org", "+44 20 7946 0018", "4111 1111 1111 1111"
PLACEHOLDER = re.compile(r"⟨[^⟨⟩]+ [a-z2-7]{4}⟩")


class TestKeeping:
    def test_it_is_what_a_project_does_that_never_chose(self, db, project):
        (stored,) = capture(db, project, row())

        assert EMAIL in stored.input["messages"][0]["content"]
        assert stored.personal_data is None


class TestMarking:
    def test_it_names_the_kinds_and_changes_nothing(self, db, project):
        choose(db, project, "mark")
        sent = row(metadata={"mail": EMAIL})

        (stored,) = capture(db, project, sent)

        assert stored.personal_data == "card,email,phone"
        assert stored.input["messages"] == sent["input"]["messages"]

    def test_what_holds_none_is_not_marked(self, db, project):
        choose(db, project, "mark")

        (stored,) = capture(db, project, {"input": said("Hello"), "output": answer("Hi, room 12 is free.")})

        assert stored.personal_data is None

    def test_it_marks_many_rows_at_once(self, db, project):
        choose(db, project, "mark")
        rows = [row(client_id=f"r-{n}") if n % 2 else plain(n) for n in range(60)]

        stored = capture(db, project, *rows)

        assert [one.personal_data is not None for one in stored] == [n % 2 == 1 for n in range(60)]


class TestPlaceholders:
    @pytest.fixture(autouse=True)
    def _choose(self, db, project):
        choose(db, project, "pseudonymise")

    def test_nothing_of_it_is_stored_anywhere(self, db, project):
        call = {"id": "1", "type": "function", "function": {"name": "mail", "arguments": f'{{"to": "{EMAIL}"}}'}}
        sent = row(
            conversation_id="chat-7",
            output={
                "role": "assistant",
                "content": [{"type": "text", "text": f"I wrote to {EMAIL}"}, {"type": "image_url", "image_url": {}}],
                "tool_calls": [call],
                "reasoning_content": f"They are {EMAIL}.",
            },
            context=[{"title": f"About {EMAIL}", "text": f"Call {PHONE}", "pages": [f"{CARD}"]}],
            metadata={"user": {"mail": EMAIL}, "numbers": [PHONE, 3, None]},
        )

        (stored,) = capture(db, project, sent)

        everything = repr({column.key: getattr(stored, column.key) for column in inspect(Response).column_attrs})
        for value in (EMAIL, PHONE, CARD):
            assert value not in everything
        assert len(PLACEHOLDER.findall(everything)) == 11
        assert stored.output["tool_calls"][0]["function"]["arguments"].startswith('{"to": "⟨e-mail ')
        assert stored.personal_data is None

    def test_the_same_value_has_the_same_placeholder_throughout_a_conversation(self, db, project):
        first = row(client_id="1", conversation_id="chat-7", output=answer(f"Is it {EMAIL.upper()}?"))
        second = row(client_id="2", conversation_id="chat-7", output=answer(f"I called +442079460018 for {EMAIL}."))

        one, two = capture(db, project, first, second)

        assert one.input == two.input
        email, phone, card = PLACEHOLDER.findall(one.input["messages"][0]["content"])
        assert PLACEHOLDER.findall(one.output["content"]) == [email]
        assert PLACEHOLDER.findall(two.output["content"]) == [phone, email]
        assert len({email, phone, card}) == 3

    def test_another_conversation_or_project_has_others(self, db, project):
        other = factories.Project()
        choose(db, other, "pseudonymise")
        sent = [row(client_id="1", conversation_id="a"), row(client_id="2", conversation_id="b")]

        found = [*capture(db, project, *sent), *capture(db, other, sent[0])]

        assert len({one.input["messages"][0]["content"] for one in found}) == 3

    def test_answers_to_the_same_input_can_still_be_compared(self, db, project):
        one, two = capture(db, project, row(client_id="1"), row(client_id="2", output=answer("No.")))

        assert one.input_hash == two.input_hash
        assert EMAIL not in one.input["messages"][0]["content"]

    def test_the_same_row_again_is_a_duplicate(self, db, project):
        sent = row(client_id="1", conversation_id="chat-7")
        capture(db, project, sent)

        (again,) = capture_responses(db, project, [sent], keys_of(db))

        assert again.status == "duplicate"

    def test_it_does_not_change_what_the_caller_holds(self, db, project):
        sent = row(metadata={"mail": EMAIL})
        before = copy.deepcopy(sent)

        capture(db, project, sent)

        assert sent == before

    def test_end_users_comments_are_looked_through(self, db, project):
        (stored,) = capture(db, project, plain(1))
        give_feedback(
            db, project, [{"client_id": "plain-1", "kind": "thumbs", "value": False, "comment": f"Mail {EMAIL}!"}]
        )

        said = db.scalars(select(Feedback).where(Feedback.response_id == stored.id)).one()
        assert re.fullmatch(r"Mail ⟨e-mail \w{4}⟩!", said.comment)

    def test_a_batch_in_which_rows_repeat_what_was_said_is_done_once(self, db, project):
        """1,000 rows of one long conversation: what was said before comes with each of them."""
        turns = [{"role": ("user", "assistant")[n % 2], "content": f"{n} {EMAIL} {PHONE}"} for n in range(41)]
        rows = [
            {"input": {"messages": turns[: 1 + n % 41]}, "output": answer("Yes."), "conversation_id": "c"}
            for n in range(200)
        ]

        stored = capture(db, project, *rows)

        assert not any(EMAIL in repr(one.input) for one in stored)


@pytest.fixture
def project(db):
    project = factories.Project()
    db.flush()
    return project


def choose(db, project, choice):
    change_settings(db, project, {"personal_data": choice})


def capture(db, project, *rows):
    results = capture_responses(db, project, rows, keys_of(db))
    assert {result.status for result in results} == {"created"}
    return [db.get_one(Response, result.id) for result in results]


def row(**others):
    asked = f"I am {EMAIL}, call {PHONE}, my card is {CARD}."
    return {"input": said(asked), "output": answer("Thank you."), **others}


def plain(number):
    return {"client_id": f"plain-{number}", "input": said("Hello"), "output": answer("Hi.")}


def said(text):
    return {"messages": [{"role": "user", "content": text}]}


def answer(text):
    return {"role": "assistant", "content": text}
