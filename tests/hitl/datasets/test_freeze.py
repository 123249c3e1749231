"""Freezing: from counted reviews to a version that never changes."""

from io import BytesIO
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select

from hitl.accounts.models import Project
from hitl.capture.models import Conversation
from hitl.core import jobs
from hitl.datasets.errors import AlreadyFreezing, DatasetKindDiffers, DatasetNameInvalid, SeedDiffers, SelectionInvalid
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import DatasetVersion, FrozenRevision, HeldOutInput
from hitl.datasets.selection import Selection
from hitl.datasets.storage import Storage
from tests.hitl.datasets.conftest import Desk

ANYTHING = {"include_unknown": True}


def read(desk: Desk, version: DatasetVersion, file: str = "rows.parquet") -> list[dict[str, Any]]:
    storage = Storage(desk.database.session_info["storage_url"])
    with storage.reading(f"{version.location}/{file}") as stream:
        return pq.read_table(BytesIO(stream.read())).to_pylist()


class TestPreferences:
    def test_it_writes_a_row_for_a_correction_with_its_lineage(self, desk):
        response = desk.response("Is there a room on Friday?", "I booked it!", conversation_id=None, end_user="guest-1")
        revision = desk.corrects(response, "There is no free room on Friday.")

        version = desk.freeze(**ANYTHING)

        assert (version.state, version.number, version.error) == ("frozen", 1, None)
        (row,) = read(desk, version)
        assert orjson.loads(row["prompt"]) == [{"role": "user", "content": "Is there a room on Friday?"}]
        assert orjson.loads(row["chosen"]) == {"role": "assistant", "content": "There is no free room on Friday."}
        assert orjson.loads(row["rejected"]) == {"role": "assistant", "content": "I booked it!"}
        assert (row["tools"], row["origin"], row["agreement"], row["margin"]) == (None, "correction", 1.0, None)
        (origin,) = read(desk, version, "lineage.parquet")
        assert origin["row_id"] == row["id"]
        assert origin["response_ids"] == [str(response.id)]
        assert origin["revision_ids"] == [str(revision)]
        assert len(origin["reviewers"]) == 1
        assert str(desk.people["kim"]) not in origin["reviewers"]
        assert version.statistics["rows_per_split"][row["split"]] == 1
        assert version.statistics["lengths"]["chosen_longer_share"] == 1.0

    def test_tools_and_tool_calls_come_through_as_they_were_captured(self, desk):
        tool = {"type": "function", "function": {"name": "find", "parameters": {"z": 1.5, "a": {"type": "string"}}}}
        call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"z": 1, "a": "ä"}'}}
        asked = {
            "messages": [
                {"role": "user", "content": "Find a room."},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "none"},
            ],
            "tools": [tool],
        }
        desk.corrects(desk.response("", "Found one!", input=asked), "There is none.")

        (row,) = read(desk, desk.freeze(**ANYTHING))

        assert row["prompt"] == orjson.dumps(asked["messages"]).decode()
        assert row["tools"] == orjson.dumps([tool]).decode()

    def test_reviews_that_do_not_count_any_more_teach_nothing(self, desk):
        kept = desk.response("One?", "1")
        desk.corrects(kept, "One.")
        desk.forgets(desk.corrects(desk.response("Two?", "2"), "Two."))

        assert [orjson.loads(row["chosen"])["content"] for row in read(desk, desk.freeze(**ANYTHING))] == ["One."]

    def test_reviews_after_the_start_wait_for_the_next_version(self, desk):
        desk.corrects(desk.response("One?", "1"), "One.")
        started = desk.write(
            lambda db: start_freeze(
                db, db.get_one(Project, desk.project.id), "desk", None, Selection(include_unknown=True)
            )
        )
        desk.corrects(desk.response("Two?", "2"), "Two.")
        jobs.Worker(desk.database).run_until_idle()

        assert len(read(desk, desk.version(started.id))) == 1
        assert len(read(desk, desk.freeze())) == 2

    def test_it_says_what_was_left_out_and_why(self, desk):
        desk.corrects(desk.response("Kept?", "no", may_train="yes"), "Yes.")
        desk.corrects(desk.response("Refused?", "no", may_train="no"), "Yes.")
        desk.corrects(desk.response("Unknown?", "no"), "Yes.")
        desk.prefers(
            desk.response("Tie?", "a", may_train="yes"), desk.response("Tie?", "b", may_train="yes"), outcome="tie"
        )
        ends_badly = {"messages": [{"role": "assistant", "content": "Hello."}], "tools": []}
        desk.corrects(desk.response("", "Hi", input=ends_badly, may_train="yes"), "Good day.")

        version = desk.freeze()

        assert version.statistics["left_out"] == {
            "may_not_train": 1,
            "may_train_unknown": 1,
            "tie": 1,
            "roles_out_of_order": 1,
        }
        assert version.statistics["rows"] == 1
        assert sorted(row["reason"] for row in read(desk, version, "left_out.parquet")) == [
            "may_not_train",
            "may_train_unknown",
            "roles_out_of_order",
            "tie",
        ]

    @pytest.mark.parametrize("kind", ["preference", "demonstration", "verdict"])
    def test_what_is_marked_as_personal_stays_out_unless_asked_for(self, desk, kind):
        marked = {"may_train": "yes", "personal_data": "email"}
        for asked in ("Alone?", "Twice?", "Twice?"):
            response = desk.response(asked, "kim@example.org", **marked)
            desk.corrects(response, "I may not say.")
            desk.judges(response, is_good=False)
        free = desk.response("Free?", "no", may_train="yes")
        desk.corrects(free, "Yes.")
        desk.judges(free, is_good=False)

        version = desk.freeze(f"kept-{kind}", kind=kind)

        assert (version.statistics["rows"], list(version.statistics["left_out"])) == (1, ["personal_data"])
        assert desk.freeze(f"all-{kind}", kind=kind, include_personal_data=True).statistics["rows"] == 3

    @pytest.mark.parametrize("kind", ["preference", "demonstration"])
    def test_in_a_project_that_marks_what_people_wrote_is_looked_through_too(self, desk, kind):
        desk.write(lambda db: setattr(db.get_one(Project, desk.project.id), "settings", {"personal_data": "mark"}))
        for asked in ("Alone?", "Twice?", "Twice?"):
            desk.corrects(desk.response(asked, "no", may_train="yes"), f"Mail kim@example.org about {asked}")
        desk.corrects(desk.response("Free?", "no", may_train="yes"), "Yes.")

        version = desk.freeze(f"kept-{kind}", kind=kind)

        assert (version.statistics["rows"], list(version.statistics["left_out"])) == (1, ["personal_data"])
        assert desk.freeze(f"all-{kind}", kind=kind, include_personal_data=True).statistics["rows"] == 3

    def test_it_says_how_to_take_what_is_marked_when_nothing_else_is_left(self, desk):
        desk.corrects(desk.response("Marked?", "no", may_train="yes", personal_data="email,phone"), "Yes.")

        assert "or include them in this dataset." in desk.freeze().error

    def test_a_no_is_named_before_a_mark(self, desk):
        desk.corrects(desk.response("Both?", "no", may_train="no", personal_data="email"), "Yes.")
        desk.corrects(desk.response("Free?", "no", may_train="yes"), "Yes.")

        assert desk.freeze().statistics["left_out"] == {"may_not_train": 1}

    def test_a_project_may_say_that_unknown_means_yes_and_never_overrules_a_no(self, desk):
        desk.write(lambda db: setattr(db.get_one(Project, desk.project.id), "settings", {"may_train_default": "yes"}))
        desk.corrects(desk.response("Refused?", "no", may_train="no"), "Yes.")
        desk.corrects(desk.response("Unknown?", "no"), "Yes.")

        version = desk.freeze()

        assert (version.statistics["rows"], version.statistics["left_out"]) == (1, {"may_not_train": 1})

    def test_it_takes_only_what_was_selected(self, desk):
        desk.corrects(desk.response("One?", "1", model="desk-small"), "One.")
        desk.corrects(desk.response("Two?", "2", model="desk-large"), "Two.")
        desk.prefers(desk.response("Three?", "Three."), desk.response("Three?", "3"))

        assert desk.freeze("ranked", origins=["ranking"], **ANYTHING).statistics["origins"] == {"ranking": 1}
        assert desk.freeze("large", models=["desk-large"], **ANYTHING).statistics["rows"] == 1
        assert desk.freeze("later", since="2100-01-01T00:00:00Z", **ANYTHING).state == "failed"


class TestDemonstrations:
    def test_it_writes_approved_and_corrected_answers(self, desk):
        desk.approves(desk.response("One?", "One."))
        desk.corrects(desk.response("Two?", "2"), "Two.")

        version = desk.freeze("shown", "demonstration", **ANYTHING)

        rows = read(desk, version)
        assert {(orjson.loads(row["completion"])["content"], row["origin"]) for row in rows} == {
            ("One.", "approval"),
            ("Two.", "correction"),
        }
        assert all(row["margin"] is None for row in rows)

    def test_an_approval_that_most_contradict_is_left_out(self, desk):
        response = desk.response("One?", "1")
        desk.approves(response, by="kim")
        desk.corrects(response, "One.", by="lee")
        desk.corrects(response, "One!", by="sam")

        rows = read(desk, desk.freeze("shown", "demonstration", **ANYTHING))

        assert {orjson.loads(row["completion"])["content"] for row in rows} == {"One.", "One!"}


class TestVersions:
    def test_the_same_again_is_refused_and_gives_its_number_back(self, desk):
        desk.corrects(desk.response("One?", "1"), "One.")
        desk.freeze(**ANYTHING)

        again = desk.freeze()
        assert (again.state, again.number) == ("failed", 2)
        assert again.error == "Nothing new: the rows and their origin are the same as in version 1."

        desk.corrects(desk.response("Two?", "2"), "Two.")
        assert (desk.freeze().state, desk.freeze().number) == ("frozen", 3)

    def test_a_failed_version_leaves_no_files_and_no_revisions(self, desk):
        version = desk.freeze(**ANYTHING)

        assert version.state == "failed"
        assert "Nothing in this project" in version.error
        with desk.database.reading() as db:
            assert db.scalar(select(func.count()).select_from(FrozenRevision)) == 0
        storage = Storage(desk.database.session_info["storage_url"])
        assert storage.files.get_file_info(f"datasets/{version.id}/1").type.name == "NotFound"

    def test_what_once_was_test_stays_test(self, desk):
        for n in range(30):
            desk.corrects(desk.response(f"{n}?", "wrong", end_user=f"guest-{n}"), "right")
        first = desk.freeze(shares={"train": 0.5, "validation": 0, "test": 0.5}, **ANYTHING)
        tested = {row["input_hash"] for row in read(desk, first) if row["split"] == "test"}
        assert 0 < len(tested) < 30

        desk.corrects(desk.response("Another?", "wrong"), "right")
        second = desk.freeze(shares={"train": 1, "validation": 0, "test": 0}, **ANYTHING)

        assert {row["input_hash"] for row in read(desk, second) if row["split"] == "test"} == tested
        with desk.database.reading() as db:
            assert db.scalar(
                select(func.count()).select_from(HeldOutInput).filter_by(dataset_id=first.dataset_id)
            ) == len(tested)

    def test_a_new_row_of_a_conversation_that_was_in_test_goes_to_test(self, desk):
        def conversation(db):
            made = Conversation(project_id=desk.project.id, client_id="talk")
            db.add(made)
            db.flush()
            return made.id

        talk = desk.write(conversation)
        gone = desk.corrects(desk.response("A room?", "wrong", conversation_id=talk), "right")
        desk.freeze(shares={"train": 0, "validation": 0, "test": 1}, **ANYTHING)
        desk.forgets(gone)  # so that the input that was held out is not in the next version
        desk.corrects(desk.response("And a taxi?", "wrong", conversation_id=talk), "right")
        desk.corrects(desk.response("Somebody else?", "wrong"), "right")

        second = desk.freeze(shares={"train": 1, "validation": 0, "test": 0}, **ANYTHING)

        assert second.statistics["rows_per_split"] == {"train": 1, "validation": 0, "test": 1}

    def test_one_end_user_is_in_one_split(self, desk):
        for n in range(20):
            desk.corrects(desk.response(f"{n}?", "wrong", end_user="guest"), "right")

        version = desk.freeze(**ANYTHING)

        assert len({row["split"] for row in read(desk, version)}) == 1
        (large,) = version.statistics["large_groups"]
        assert (large["rows"], large["share"]) == (20, 1.0)

    def test_an_end_user_whom_only_the_conversation_names_is_in_one_split(self, desk):
        def conversation(db):
            made = Conversation(project_id=desk.project.id, client_id="named later", end_user="guest-1")
            db.add(made)
            db.flush()
            return made.id

        anonymous = desk.response("0?", "wrong", conversation_id=desk.write(conversation))
        desk.corrects(anonymous, "right")
        for n in range(1, 12):
            desk.corrects(desk.response(f"{n}?", "wrong", end_user="guest-1"), "right")

        version = desk.freeze(shares={"train": 0.4, "validation": 0.3, "test": 0.3}, **ANYTHING)

        assert version.statistics["groups"] == 1
        assert len({row["split"] for row in read(desk, version)}) == 1

    def test_a_frozen_version_is_not_frozen_twice(self, desk):
        desk.corrects(desk.response("One?", "1"), "One.")
        version = desk.freeze(**ANYTHING)
        before = read(desk, version)

        desk.write(lambda db: jobs.enqueue(db, "datasets.freeze", {"version_id": str(version.id)}))
        jobs.Worker(desk.database).run_until_idle()

        assert desk.version(version.id).location == version.location
        assert read(desk, version) == before


class TestRefusals:
    def start(self, desk, *arguments, **more):
        return desk.write(lambda db: start_freeze(db, db.get_one(Project, desk.project.id), *arguments, **more))

    @pytest.mark.parametrize("name", ["", "Desk", "desk@2", "../x", "a" * 64, "ä"])
    def test_a_bad_name_is_refused(self, desk, name):
        with pytest.raises(DatasetNameInvalid):
            self.start(desk, name)

    def test_one_freeze_at_a_time(self, desk):
        self.start(desk, "desk")
        with pytest.raises(AlreadyFreezing, match="Version 1"):
            self.start(desk, "desk")
        jobs.Worker(desk.database).run_until_idle()

    def test_kind_and_seed_stay(self, desk):
        desk.freeze()
        with pytest.raises(DatasetKindDiffers):
            self.start(desk, "desk", "demonstration")
        with pytest.raises(SeedDiffers):
            self.start(desk, "desk", seed="other")

    def test_a_selection_must_fit_the_kind(self, desk):
        with pytest.raises(SelectionInvalid, match="approval"):
            self.start(desk, "desk", "preference", Selection(origins=["approval"]))
        with pytest.raises(SelectionInvalid):
            self.start(desk, "desk", "demonstration", Selection(criteria=["helpful"]))
