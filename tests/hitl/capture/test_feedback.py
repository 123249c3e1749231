import threading
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from hitl.accounts.models import Project
from hitl.capture.errors import RowInvalid, UnknownResponse
from hitl.capture.events import FeedbackGiven
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.capture.jobs import tend_waiting_feedback
from hitl.capture.models import Feedback, WaitingFeedback
from hitl.core import clock
from hitl.core.secrets import keys_of
from tests.hitl import factories
from tests.hitl.capture.rows import response_row, thumbs_down

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=6,
)
NEARLY_ROWS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["thumbs", "stars"]) | st.text(min_size=1), "value": JSON},
    optional={
        "client_id": st.sampled_from(["r-1", "r-2"]),
        "conversation_id": st.sampled_from(["c-1", "c-2"]),
        "response": st.uuids().map(str),
        "comment": JSON,
        "source": st.text(min_size=1),
        "given_at": st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()) | JSON,
    },
)
EARLIER, LATER = "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"


class TestGiveFeedback:
    def test_it_keeps_what_was_said_by_either_id(self, db, project, response):
        results = give_feedback(
            db,
            project,
            [
                thumbs_down(response=str(response)),
                {"client_id": "r-1", "kind": "stars", "value": 2, "comment": "Too slow", "source": "survey"},
                {"conversation_id": "c-1", "kind": "solved", "value": "partly"},
            ],
        )

        kept = {said.kind: said for said in db.scalars(select(Feedback))}
        assert [result.status for result in results] == ["created"] * 3
        assert {said.id for said in kept.values()} == {result.id for result in results}
        assert (kept["thumbs"].response_id, kept["thumbs"].value, kept["thumbs"].is_negative) == (response, False, True)
        assert (kept["stars"].response_id, kept["stars"].value, kept["stars"].comment) == (response, 2, "Too slow")
        assert (kept["solved"].response_id, kept["solved"].value) == (None, "partly")
        assert kept["solved"].conversation_id is not None

    def test_a_repeat_updates(self, db, project, response):
        (first,) = give_feedback(db, project, [thumbs_down(client_id="r-1")])

        (again,) = give_feedback(db, project, [{"client_id": "r-1", "kind": "thumbs", "value": True}])

        assert (again.status, again.id) == ("updated", first.id)
        assert db.scalars(select(Feedback.value)).all() == [True]

    def test_the_same_again_changes_nothing(self, db, project, response, told):
        give_feedback(db, project, [thumbs_down(client_id="r-1")])
        told.clear()

        assert give_feedback(db, project, [thumbs_down(client_id="r-1")])[0].status == "duplicate"
        assert told == []

    @pytest.mark.parametrize("order", [[EARLIER, LATER], [LATER, EARLIER]])
    @pytest.mark.parametrize("together", [True, False])
    def test_what_was_said_later_counts_in_whatever_order_it_comes(self, db, project, response, order, together):
        rows = [thumbs_down(client_id="r-1", given_at=at) | {"value": at == LATER} for at in order]

        for batch in [rows] if together else [[row] for row in rows]:
            give_feedback(db, project, batch)

        assert db.scalars(select(Feedback.value)).all() == [True]

    def test_sources_and_kinds_stand_beside_each_other(self, db, project, response):
        give_feedback(
            db,
            project,
            [
                thumbs_down(client_id="r-1"),
                thumbs_down(client_id="r-1", source="survey"),
                {"client_id": "r-1", "kind": "clear", "value": 1},
            ],
        )

        assert count(db, Feedback) == 3

    def test_an_id_of_ours_that_the_project_does_not_have_is_refused(self, db, project, response):
        foreign = factories.Response()

        (refused,) = give_feedback(db, project, [thumbs_down(response=str(foreign.id))])

        assert isinstance(refused.error, UnknownResponse)
        assert refused.error.param == "/response"
        assert count(db, Feedback) == 0

    def test_a_bad_row_never_harms_the_others(self, db, project, response):
        rows = [thumbs_down(), thumbs_down(client_id="r-1"), {"client_id": "r-1", "kind": "stars", "value": 9}]

        results = give_feedback(db, project, rows, at="/feedback")

        assert [result.status for result in results] == ["rejected", "created", "rejected"]
        assert results[2].error.param == "/feedback/2/value"

    def test_it_tells_which_responses_it_is_about(self, db, project, response, told):
        second = capture(db, project, response_row("r-2", conversation_id="c-1"))
        third = capture(db, project, response_row("r-3"))
        told.clear()

        give_feedback(db, project, [thumbs_down(conversation_id="c-1"), thumbs_down(client_id="r-3")])

        assert told == [FeedbackGiven(project.id, [response, second, third])]

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(rows=st.lists(JSON | NEARLY_ROWS, max_size=5))
    def test_any_json_is_kept_or_rejected(self, db, project, response, rows):
        results = give_feedback(db, project, rows)

        assert len(results) == len(rows)
        for result in results:
            assert isinstance(result.error, RowInvalid | UnknownResponse | None)


class TestWaitingFeedback:
    def test_it_waits_for_its_response_and_keeps_its_id(self, db, project):
        (waiting,) = give_feedback(db, project, [thumbs_down(client_id="r-1")])
        assert waiting.status == "waiting"
        assert count(db, Feedback) == 0

        response = capture(db, project, response_row())

        said = db.scalars(select(Feedback)).one()
        assert (said.id, said.response_id, said.value) == (waiting.id, response, False)
        assert count(db, WaitingFeedback) == 0

    def test_it_waits_for_its_conversation(self, db, project):
        give_feedback(db, project, [{"conversation_id": "c-1", "kind": "stars", "value": 1}])

        capture(db, project, response_row(conversation_id="c-1"))

        assert db.scalars(select(Feedback)).one().conversation_id is not None

    def test_a_repeat_updates_what_waits(self, db, project):
        give_feedback(db, project, [thumbs_down(client_id="r-1")])
        results = give_feedback(db, project, [{"client_id": "r-1", "kind": "thumbs", "value": True}])

        assert results[0].status == "waiting"
        assert db.scalars(select(WaitingFeedback.value)).all() == [True]

    def test_another_projects_response_does_not_take_it(self, db, project):
        give_feedback(db, project, [thumbs_down(client_id="r-1")])

        capture(db, factories.Project(), response_row())

        assert count(db, WaitingFeedback) == 1

    def test_what_missed_its_response_by_a_moment_is_attached_soon(self, db, project, told):
        """Both were on their way at once, so that neither transaction saw the other's row."""
        give_feedback(db, project, [thumbs_down(client_id="r-2"), thumbs_down(conversation_id="c-2")])
        response = capture(db, project, response_row("r-1", conversation_id="c-1"))
        told.clear()
        names = {"response": "r-1", "conversation": "c-1"}
        for subject, client_id in names.items():
            db.execute(update(WaitingFeedback).where(WaitingFeedback.subject == subject).values(client_id=client_id))

        tend_waiting_feedback(db)

        assert count(db, Feedback) == 2
        assert count(db, WaitingFeedback) == 0
        assert told == [FeedbackGiven(project.id, [response])]

    def test_what_arrives_at_the_same_moment_as_its_response_is_not_lost(self, shared_database):
        with shared_database.writing() as db:
            project = Project(slug="desk", name="Desk")
            db.add(project)
        is_said = threading.Event()

        def say() -> None:
            with shared_database.writing() as db:
                give_feedback(db, project, [thumbs_down(client_id="r-1")])
                is_said.set()
                time.sleep(0.3)  # and only then commits, after the response has looked for what waits

        saying = threading.Thread(target=say)
        saying.start()
        is_said.wait()
        with shared_database.writing() as db:
            response = capture(db, project, response_row())
        saying.join()
        with shared_database.writing() as db:
            tend_waiting_feedback(db)

        with shared_database.reading() as db:
            assert db.scalars(select(Feedback.response_id)).all() == [response]

    def test_it_is_forgotten_after_a_day(self, db, project):
        give_feedback(db, project, [thumbs_down(client_id="r-1"), thumbs_down(client_id="r-2")])
        old = update(WaitingFeedback).where(WaitingFeedback.client_id == "r-1")
        db.execute(old.values(received_at=clock.now() - timedelta(hours=24, seconds=1)))

        tend_waiting_feedback(db)

        assert db.scalars(select(WaitingFeedback.client_id)).all() == ["r-2"]


@pytest.fixture
def response(db, project):
    return capture(db, project, response_row(conversation_id="c-1"))


def capture(db, project, row):
    return capture_responses(db, project, [row], keys_of(db))[0].id


def count(db, table) -> int:
    return db.scalar(select(func.count()).select_from(table))
