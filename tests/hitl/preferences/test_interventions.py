"""What interventions teach: promise 6, function by function. tests/promises/test_06 tries all sequences."""

import pytest
from sqlalchemy import select

from hitl.accounts.projects import change_settings
from hitl.capture.intake import capture_responses
from hitl.capture.models import Response
from hitl.core.secrets import keys_of
from hitl.live import holding, speaking, taking_over
from hitl.live.models import Intervention
from hitl.preferences.queries import counting_demonstrations, counting_evidence
from tests.hitl import factories

SAFE_REPLY = "One moment, please."


def said(text):
    return {"role": "assistant", "content": text}


class TestEdit:
    def test_it_makes_the_edited_text_beat_the_draft(self, db, project, talk, response, supervisor):
        hold = hold_of(db, talk, response)

        holding.edit(db, talk, hold, supervisor, said("Sorry, it is full."), read_to=talk.last_number)

        evidence = db.scalars(counting_evidence(project)).one()
        demonstration = db.scalars(counting_demonstrations(project)).one()
        assert evidence.outcome == "a"
        assert evidence.a_output == demonstration.output == said("Sorry, it is full.")
        assert evidence.b_response_id == evidence.input_response_id == demonstration.response_id == response.id
        assert evidence.input_hash == demonstration.input_hash == response.input_hash
        assert evidence.origin == demonstration.origin == "intervention"
        assert evidence.intervention_id == demonstration.intervention_id == only_intervention(db).id
        assert (evidence.revision_id, evidence.criterion, evidence.distance) == (None, None, None)

    def test_one_that_says_the_same_teaches_nothing_and_says_so(self, db, project, talk, response, supervisor):
        hold = hold_of(db, talk, response)

        same = said(f" {response.output['content']}\n")
        holding.edit(db, talk, hold, supervisor, same, read_to=talk.last_number)

        assert only_intervention(db).why_nothing == "same_text"
        assert lessons(db, project) == []

    def test_one_of_an_older_message_teaches_nothing(self, db, project, talk, response, supervisor):
        hold = hold_of(db, talk, response)
        speaking.receive(db, talk, {"role": "user", "content": "And for two?"})

        holding.edit(db, talk, hold, supervisor, said("For two there is one."), read_to=talk.last_number)

        assert only_intervention(db).why_nothing == "moved_on"
        assert lessons(db, project) == []


class TestPersonalData:
    def test_what_a_person_said_instead_is_kept_as_it_would_have_been_captured(self, db, project, talk, supervisor):
        change_settings(db, project, {"personal_data": "pseudonymise"})
        db.flush()
        row = {
            "input": {"messages": [{"role": "user", "content": "I am kim@example.org. A table?"}]},
            "output": said("None, kim@example.org."),
            "conversation_id": talk.conversation.client_id,
        }
        (result,) = capture_responses(db, project, [row], keys_of(db))
        response = db.get_one(Response, result.id)
        speaking.receive(db, talk, row["input"]["messages"][0])
        draft = speaking.propose(
            db,
            talk,
            row["output"],  # as it came: the user must not read a placeholder
            answers=talk.user_number,
            holder_number=talk.holder_number,
            response_id=response.id,
        )

        hold = held(db, talk, draft)
        sent = holding.edit(db, talk, hold, supervisor, said("One, kim@example.org!"), read_to=talk.last_number)

        assert sent.content["message"] == said("One, kim@example.org!")
        evidence = db.scalars(counting_evidence(project)).one()
        placeholder = response.output["content"].removeprefix("None, ").removesuffix(".")
        assert placeholder.startswith("⟨e-mail ")
        assert evidence.a_output == said(f"One, {placeholder}!")


class TestApproval:
    def test_it_makes_the_draft_a_good_answer(self, db, project, talk, response, supervisor):
        holding.approve(db, talk, hold_of(db, talk, response), supervisor, read_to=talk.last_number)

        (demonstration,) = lessons(db, project)
        assert (demonstration.response_id, demonstration.output) == (response.id, None)
        assert only_intervention(db).why_nothing is None


class TestRefusal:
    def test_what_a_person_approves_instead_beats_the_draft(self, db, project, talk, response, supervisor):
        hold = hold_of(db, talk, response)
        assert holding.refuse(db, talk, hold, supervisor, reason="It is rude.")
        again = factories.Response(project=project, text="I am sorry, it is full.")

        holding.approve(db, talk, hold_of(db, talk, again, asks=False), supervisor, read_to=talk.last_number)

        evidence = db.scalars(counting_evidence(project)).one()
        assert (evidence.a_output, evidence.b_response_id) == (again.output, response.id)
        refusal = db.scalars(select(Intervention).where(Intervention.kind == "refusal")).one()
        assert evidence.intervention_id == refusal.id
        assert (refusal.reason, refusal.replacement_response_id) == ("It is rude.", again.id)

    def test_what_the_bot_sends_unseen_instead_teaches_nothing(self, db, project, talk, response, supervisor):
        holding.refuse(db, talk, hold_of(db, talk, response), supervisor)

        speaking.send(db, talk, draft_of(db, talk, factories.Response(project=project)))

        assert only_intervention(db).why_nothing == "not_judged"
        assert lessons(db, project) == []

    def test_the_safe_reply_teaches_nothing(self, db, project, talk, response, supervisor):
        holding.refuse(db, talk, hold_of(db, talk, response), supervisor)
        hold = hold_of(db, talk, factories.Response(project=project), asks=False)

        holding.expire(db, talk, hold)

        assert only_intervention(db).why_nothing == "not_judged"
        assert lessons(db, project) == []


class TestTakeover:
    def test_what_the_person_says_beats_the_draft(self, db, project, talk, response, supervisor):
        hold_of(db, talk, response)
        taking_over.take_over(db, talk, supervisor)
        assert lessons(db, project) == []

        taking_over.say(db, talk, supervisor, said("This is Kim. It is full today."))

        evidence = db.scalars(counting_evidence(project)).one()
        assert (evidence.a_output, evidence.b_response_id) == (said("This is Kim. It is full today."), response.id)

    def test_a_draft_that_comes_too_late_is_the_one_that_was_beaten(self, db, project, talk, response, supervisor):
        speaking.receive(db, talk, {"role": "user", "content": "Is there a table?"})
        began_at = talk.holder_number
        taking_over.take_over(db, talk, supervisor)
        taking_over.say(db, talk, supervisor, said("This is Kim. It is full today."))
        assert only_intervention(db).why_nothing == "no_draft"

        draft = speaking.propose(
            db, talk, response.output, answers=talk.user_number, holder_number=began_at, response_id=response.id
        )

        assert draft.why_unsent == "holder_changed"
        assert only_intervention(db).why_nothing is None
        assert db.scalars(counting_evidence(project)).one().b_response_id == response.id

    def test_one_in_the_middle_of_a_stream_teaches_nothing(self, db, project, talk, response, supervisor):
        draft = draft_of(db, talk, response)
        speaking.begin_streaming(db, talk, draft)
        speaking.go_on_streaming(db, draft, "This is ")

        taking_over.take_over(db, talk, supervisor)
        taking_over.say(db, talk, supervisor, said("This is Kim."))

        assert only_intervention(db).why_nothing == "partly_sent"
        assert lessons(db, project) == []

    def test_one_handed_back_without_a_word_teaches_nothing(self, db, project, talk, response, supervisor):
        hold_of(db, talk, response)
        taking_over.take_over(db, talk, supervisor)

        taking_over.hand_back(db, talk, supervisor)

        assert only_intervention(db).why_nothing == "no_replacement"


class TestWhatMayNotBeLearned:
    def test_it_is_said_of_a_response_that_may_not_train(self, db, project, talk, response, supervisor):
        response.may_train = "no"
        hold = hold_of(db, talk, response)

        holding.edit(db, talk, hold, supervisor, said("Full."), read_to=talk.last_number)

        assert only_intervention(db).why_nothing == "may_not_train"
        assert lessons(db, project) == []

    def test_it_is_said_of_an_empty_draft(self, db, project, talk, supervisor):
        hold = hold_of(db, talk, factories.Response(project=project, text=""))

        holding.edit(db, talk, hold, supervisor, said("Full."), read_to=talk.last_number)

        assert only_intervention(db).why_nothing == "empty_draft"

    def test_it_is_said_of_a_draft_without_what_the_model_saw(self, db, talk, supervisor):
        speaking.receive(db, talk, {"role": "user", "content": "Is there a table?"})
        draft = speaking.propose(db, talk, said("No."), answers=talk.user_number, holder_number=talk.holder_number)

        holding.edit(db, talk, held(db, talk, draft), supervisor, said("Full."), read_to=talk.last_number)

        assert only_intervention(db).why_nothing == "not_captured"


def draft_of(db, talk, response, *, asks=True):
    if asks and talk.user_number == talk.answered_number:
        speaking.receive(db, talk, response.input["messages"][0])
    return speaking.propose(
        db,
        talk,
        response.output,
        answers=talk.user_number,
        holder_number=talk.holder_number,
        response_id=response.id,
    )


def hold_of(db, talk, response, *, asks=True):
    return held(db, talk, draft_of(db, talk, response, asks=asks))


def held(db, talk, draft):
    return holding.hold_draft(
        db, talk, draft, ["It is a test."], deadline_seconds=60, when_nobody="safe_reply", safe_reply=SAFE_REPLY
    )


def only_intervention(db):
    return db.scalars(select(Intervention)).one()


def lessons(db, project):
    return [*db.scalars(counting_evidence(project)), *db.scalars(counting_demonstrations(project))]


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def talk(db, project):
    return factories.LiveConversation(project=project)


@pytest.fixture
def response(db, project):
    return factories.Response(project=project, asked="Is there a table?", text="Full. Go away.")


@pytest.fixture
def supervisor(db, project):
    return factories.Membership(project=project, role="supervisor").user
