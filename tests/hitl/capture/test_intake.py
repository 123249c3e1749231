import threading
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from hitl.accounts.models import Project
from hitl.capture.bulk import WORTH_COPYING
from hitl.capture.errors import IdTaken, RowInvalid
from hitl.capture.events import FeedbackGiven, ResponsesCaptured
from hitl.capture.feedback import give_feedback
from hitl.capture.intake import capture_responses
from hitl.capture.models import Conversation, Response
from hitl.capture.rows import ResponseRow, read_row
from hitl.core.canonical import content_hash
from hitl.core.secrets import keys_of
from hitl.demo import real_data
from tests.hitl import factories
from tests.hitl.capture.rows import JSON, NEARLY_ROWS, response_row, thumbs_down


class TestCaptureResponses:
    def test_it_stores_what_the_model_saw_and_said(self, db, project):
        row = response_row(
            model="desk-small",
            parameters={"temperature": 0.7},
            latency_seconds=1,
            signals={"risk": 0.25},
            metadata={"channel": "web"},
            context=[{"title": "FAQ", "text": "Orders take a day.", "score": 3}],
            created_at="2026-11-20T20:12:00+01:00",
            turn=0,
        )

        (result,) = capture(db, project, row)

        response = db.get_one(Response, result.id)
        assert result.status == "created"
        assert response.input == {**row["input"], "tools": []}
        assert response.input_hash == content_hash(response.input)
        assert (response.output, response.parameters, response.signals) == (
            row["output"],
            {"temperature": 0.7},
            {"risk": 0.25},
        )
        assert (response.context, response.details) == (row["context"], {"channel": "web"})
        assert response.created_at.isoformat() == "2026-11-20T19:12:00+00:00"
        assert response.may_train == "unknown"

    def test_the_same_again_is_a_duplicate_even_with_its_defaults_spelled_out(self, db, project):
        (first,) = capture(db, project, response_row())

        (again,) = capture(db, project, response_row(model=None, metadata={}, may_train="unknown", turn=None))

        assert (again.status, again.id) == ("duplicate", first.id)
        assert count(db, Response) == 1

    def test_a_duplicate_is_known_whichever_way_each_row_was_read(self, db, project):
        """A message with its content first is not plain, and takes the full check."""
        said = {
            "cost_usd": 0.00003,
            "latency_seconds": 2.0,
            "parameters": {"temperature": 1.0},
            "signals": {"risk": 0.0},
        }
        row = response_row(**said, input_tokens=7, metadata={"é": [1e-7]}, created_at="2026-11-20T20:12:00+01:00")
        (first,) = capture(db, project, row)

        (again,) = capture(db, project, {**row, "output": dict(reversed(row["output"].items()))})

        assert (again.status, again.id) == ("duplicate", first.id)

    @pytest.mark.parametrize(
        "change",
        [
            {"said": "Lost."},
            {"model": "desk-large"},
            {"may_train": "no"},
            {"end_user": "kim"},
            {"conversation_id": "c-1"},
            {"turn": 0},
            {"created_at": "2026-11-20T19:12:00Z"},
            {"metadata": {"channel": "web"}},
        ],
    )
    def test_other_content_under_the_same_id_is_refused(self, db, project, change):
        capture(db, project, response_row())

        (refused,) = capture(db, project, response_row(**change))

        assert isinstance(refused.error, IdTaken)
        assert (refused.status, refused.id, refused.error.param) == ("rejected", None, "/client_id")
        assert db.scalars(select(Response.output)).one()["content"] == "On its way."

    def test_rows_without_a_client_id_are_stored_each_time(self, db, project):
        results = capture(db, project, response_row(None), response_row(None))

        assert [result.status for result in results] == ["created", "created"]

    def test_repeats_and_clashes_within_a_batch_are_found(self, db, project):
        results = capture(db, project, response_row(), response_row(), response_row(said="Lost."), response_row("r-2"))

        assert [result.status for result in results] == ["created", "duplicate", "rejected", "created"]
        assert results[1].id == results[0].id

    def test_a_bad_row_never_harms_the_others(self, db, project):
        results = capture_responses(
            db, project, [response_row("a"), {"client_id": "b"}, "row", response_row("c")], keys_of(db), at="/responses"
        )

        assert [result.status for result in results] == ["created", "rejected", "rejected", "created"]
        assert results[1].error.param == "/responses/1/input"
        assert results[1].as_json(1)["error"]["code"] == "row_invalid"

    def test_a_rejected_row_leaves_no_conversation_behind(self, db, project):
        capture(db, project, response_row())

        capture(db, project, response_row(said="Lost.", conversation_id="c-1"), {"conversation_id": "c-2"})

        assert count(db, Conversation) == 0

    def test_responses_of_a_conversation_share_it_and_its_end_user(self, db, project):
        capture(db, project, response_row("a", conversation_id="c-1", turn=0))
        capture(db, project, response_row("b", conversation_id="c-1", turn=1, end_user="kim@example.org"))

        conversation = db.scalars(select(Conversation)).one()
        assert set(db.scalars(select(Response.conversation_id))) == {conversation.id}
        assert conversation.end_user == db.scalars(select(Response.end_user).where(Response.turn == 1)).one()

    def test_the_end_users_name_is_never_stored(self, db, project):
        other = factories.Project()
        capture(db, project, response_row("a", end_user="kim"), response_row("b", end_user="kim"))
        capture(db, other, response_row("a", end_user="kim"))

        names = {row.project_id: row.end_user for row in db.scalars(select(Response))}
        assert len(names) == 2
        assert "kim" not in names.values()
        assert names[project.id] != names[other.id], "pseudonyms cannot be linked across projects"

    def test_the_same_client_id_in_another_project_is_another_response(self, db, project):
        capture(db, project, response_row())

        assert capture(db, factories.Project(), response_row(said="Lost."))[0].status == "created"

    def test_it_tells_once_for_a_batch_and_not_of_duplicates(self, db, project, told):
        capture(db, project, response_row("a"))
        told.clear()

        results = capture(db, project, response_row("a"), response_row("b"), response_row("c"))

        assert told == [ResponsesCaptured(project.id, [results[1].id, results[2].id])]

    def test_a_batch_of_duplicates_tells_nothing(self, db, project, told):
        capture(db, project, response_row())
        told.clear()

        capture(db, project, response_row())

        assert told == []

    def test_ids_rise_in_the_order_sent(self, db, project):
        results = capture(db, project, *(response_row(f"r-{n}") for n in range(50, 0, -1)))

        assert [result.id for result in results] == sorted(result.id for result in results)

    def test_feedback_that_came_first_is_attached(self, db, project, told):
        give_feedback(db, project, [thumbs_down(client_id="r-1"), thumbs_down(conversation_id="c-1")])

        (result,) = capture(db, project, response_row(conversation_id="c-1"))

        assert told == [ResponsesCaptured(project.id, [result.id]), FeedbackGiven(project.id, [result.id])]

    def test_a_batch_as_large_as_a_copy_stores_the_same(self, db, project):
        rows = [
            response_row(f"r-{n}", conversation_id=f"c-{n % 3}", said=f'"{n}"\t\\N\n\\. é 🙂')
            for n in range(WORTH_COPYING * 2)
        ]

        capture(db, project, *rows)

        stored = {response.client_id: response for response in db.scalars(select(Response))}
        assert all(stored[row["client_id"]].output == row["output"] for row in rows)

    def test_real_conversations_go_in_whole_and_read_back_equal(self, db, project):
        rows = [*real_data.support_responses(), *real_data.tool_responses(), *real_data.model_responses()]

        results = [
            result for start in range(0, len(rows), 500) for result in capture(db, project, *rows[start : start + 500])
        ]

        assert {result.status for result in results} == {"created"}
        for row, result in zip(rows, results, strict=True):
            stored = db.get_one(Response, result.id)
            assert (stored.input, stored.output) == (row["input"], row["output"])

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(rows=st.lists(JSON | NEARLY_ROWS, max_size=6))
    def test_any_json_is_stored_to_read_back_equal_or_rejected(self, db, project, rows):
        results = capture(db, project, *rows)

        for raw, result in zip(rows, results, strict=True):
            if result.status == "rejected":
                assert isinstance(result.error, RowInvalid | IdTaken)
                continue
            row = read_row(ResponseRow, raw)
            stored = db.get_one(Response, result.id, populate_existing=True)
            assert (stored.input, stored.output) == (row.input, row.output)
            assert (stored.signals, stored.details, stored.model) == (row.signals, row.metadata, row.model)
            assert row.created_at is None or stored.created_at == row.created_at


class TestBatchesThatMeet:
    @pytest.mark.parametrize("size", [5, WORTH_COPYING * 3])
    def test_each_row_is_stored_once_whoever_sends_it(self, shared_database, size):
        project = new_project(shared_database)
        results: dict[int, list] = {}
        together = threading.Barrier(4)

        def send(sender: int) -> None:
            rows = [response_row(f"r-{n}", conversation_id=f"c-{n % 7}") for n in range(size)]
            rows = rows if sender % 2 else rows[::-1]  # in another order, so that they would lock in a circle
            together.wait()
            with shared_database.writing() as db:
                results[sender] = capture(db, db.get_one(Project, project), *rows)

        in_threads(send, 4)

        assert sum(result.status == "created" for answers in results.values() for result in answers) == size
        assert {result.status for answers in results.values() for result in answers} <= {"created", "duplicate"}
        with shared_database.reading() as db:
            assert count(db, Response) == size
            assert count(db, Conversation) == min(size, 7)
            ids = set(db.scalars(select(Response.id)))
        assert {result.id for answers in results.values() for result in answers} == ids

    def test_of_two_contents_under_one_id_one_is_refused(self, shared_database):
        project = new_project(shared_database)
        results: dict[int, list] = {}
        together = threading.Barrier(2)

        def send(sender: int) -> None:
            together.wait()
            with shared_database.writing() as db:
                results[sender] = capture(db, db.get_one(Project, project), response_row(said=f"By {sender}."))

        in_threads(send, 2)

        assert sorted(answers[0].status for answers in results.values()) == ["created", "rejected"]


def capture(db, project, *rows):
    return capture_responses(db, project, rows, keys_of(db))


def count(db, table) -> int:
    return db.scalar(select(func.count()).select_from(table))


def new_project(database) -> UUID:
    with database.writing() as db:
        project = Project(slug="meeting", name="Meeting")
        db.add(project)
        db.flush()
        return project.id


def in_threads(work, number: int) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
