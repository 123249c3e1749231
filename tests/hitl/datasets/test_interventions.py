"""Interventions in live conversations become rows like reviews do, and rows tell of them."""

from typing import Any
from uuid import UUID

import orjson

from hitl.accounts.models import Project, User
from hitl.capture.models import Response
from hitl.datasets.biography import biography
from hitl.datasets.models import DatasetVersion, FrozenIntervention
from hitl.live import holding, log, speaking
from tests.hitl import factories
from tests.hitl.datasets.conftest import Desk
from tests.hitl.datasets.test_freeze import ANYTHING, read


def edits(desk: Desk, response: Response, text: str | None, by: str = "kim") -> UUID:
    """A supervisor edits a held draft before it is sent, or (None) lets it be sent as it is; returns who."""

    def decide(db: Any) -> UUID:
        project = db.get_one(Project, desk.project.id)
        person = db.get_one(User, desk.person(by))
        talk = log.locked(db, factories.LiveConversation(project=project).id)
        speaking.receive(db, talk, {"role": "user", "content": "Is there a room?"})
        draft = speaking.propose(
            db, talk, response.output, answers=1, holder_number=talk.holder_number, response_id=response.id
        )
        hold = holding.hold_draft(db, talk, draft, ["It is a test."], deadline_seconds=60, when_nobody="refuse")
        if text is None:
            holding.approve(db, talk, hold, person, read_to=talk.last_number)
        else:
            output = {"role": "assistant", "content": text}
            holding.edit(db, talk, hold, person, output, read_to=talk.last_number)
        return person.id

    return desk.write(decide)


class TestPreferences:
    def test_an_edit_makes_a_row_that_names_the_intervention(self, desk):
        response = desk.response("Is there a room?", "I booked it!")
        edits(desk, response, "There is none.")

        version = desk.freeze(**ANYTHING)

        (row,) = read(desk, version)
        assert (row["origin"], row["agreement"], row["margin"]) == ("intervention", 1.0, None)
        assert orjson.loads(row["chosen"])["content"] == "There is none."
        assert orjson.loads(row["rejected"])["content"] == "I booked it!"
        (origin,) = read(desk, version, "lineage.parquet")
        assert (len(origin["intervention_ids"]), origin["revision_ids"], origin["rubric_version_ids"]) == (1, [], [])
        with desk.database.reading() as db:
            told = biography(db, db.get_one(DatasetVersion, version.id), row["id"])
            assert db.query(FrozenIntervention).count() == 0
        assert [(one.kind, one.by) for one in told.interventions] == [("edit", origin["reviewers"][0])]
        assert [one.cause_id for one in told.evidence] == [told.interventions[0].intervention_id]

    def test_a_supervisor_and_a_reviewer_have_one_vote_each(self, desk):
        worse = desk.response("Is there a room?", "I booked it!")
        edits(desk, worse, "There is none.")
        desk.corrects(worse, "There is none.", by="alex")
        desk.corrects(worse, "There is none!", by="robin")

        version = desk.freeze(**ANYTHING)

        rows = {orjson.loads(row["chosen"])["content"]: row for row in read(desk, version)}
        assert rows["There is none."]["agreement"] == 1.0
        lineage = {origin["row_id"]: origin for origin in read(desk, version, "lineage.parquet")}
        assert len(lineage[rows["There is none."]["id"]]["reviewers"]) == 2
        assert len(lineage[rows["There is none."]["id"]]["intervention_ids"]) == 1
        assert len(lineage[rows["There is none."]["id"]]["revision_ids"]) == 1

    def test_one_may_be_chosen_or_left_by_origin(self, desk):
        edits(desk, desk.response("One?", "1"), "One.")
        desk.corrects(desk.response("Two?", "2"), "Two.")

        version = desk.freeze(origins=["intervention"], **ANYTHING)

        assert [orjson.loads(row["chosen"])["content"] for row in read(desk, version)] == ["One."]


class TestDemonstrations:
    def test_what_was_sent_is_worth_imitating(self, desk):
        edits(desk, desk.response("One?", "1"), "One.")
        edits(desk, desk.response("Two?", "Two."), None)

        rows = read(desk, desk.freeze(name="shown", kind="demonstration", **ANYTHING))

        assert {orjson.loads(row["completion"])["content"] for row in rows} == {"One.", "Two."}
        assert {row["origin"] for row in rows} == {"intervention"}

    def test_an_approved_draft_and_its_correction_are_in_conflict(self, desk):
        response = desk.response("Two?", "Two.")
        edits(desk, response, None)
        desk.corrects(response, "Two!", by="alex")
        edits(desk, desk.response("One?", "1"), "One.")

        version = desk.freeze(name="conflict", kind="demonstration", **ANYTHING)

        assert [orjson.loads(row["completion"])["content"] for row in read(desk, version)] == ["One."]
        assert version.statistics["left_out"] == {"no_majority": 1}
