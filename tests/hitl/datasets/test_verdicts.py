"""Verdicts: what people found about single answers becomes rows that say good or bad, or a reason why not."""

import random
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitl.accounts.models import Project
from hitl.core import jobs
from hitl.datasets.biography import biography
from hitl.datasets.freeze import start_freeze
from hitl.datasets.models import FrozenThumb
from hitl.datasets.selection import Selection
from hitl.datasets.sides import Side
from hitl.datasets.verdicts import Found, Ruling, rulings_of
from hitl.datasets.versions import version_named
from tests.hitl.datasets.test_freeze import ANYTHING, read


def said(text: str, **more: Any) -> Side:
    return Side.of({"role": "assistant", "content": text, **more})


ANSWER = said("There is no free room on Friday.")


def found(is_good: bool, output: Side = ANSWER, origin: str = "reviewer", **more: Any) -> Found:
    return Found(str(uuid4()), str(uuid4()), origin, is_good, output, **more)


def only_ruling(given: list[Found], *policy: Any) -> Ruling:
    (ruling,), left_out = rulings_of(given, *policy)
    assert left_out == []
    return ruling


def reason(given: list[Found], *policy: Any) -> str:
    rulings, (left_out,) = rulings_of(given, *policy)
    assert rulings == []
    return left_out.reason


class TestRulings:
    def test_the_larger_side_counts(self):
        ruling = only_ruling([found(True), found(True), found(False)])

        assert (ruling.is_good, ruling.is_conflict) == (True, True)
        assert ruling.agreement == pytest.approx(2 / 3)

    def test_half_is_no_majority(self):
        assert reason([found(True), found(False)]) == "no_majority"

    def test_unanimous_bears_no_other_opinion(self):
        assert reason([found(True), found(True), found(False)], "unanimous") == "not_unanimous"
        assert only_ruling([found(False), found(False)], "unanimous").agreement == 1.0

    def test_each_takes_both(self):
        rulings, _ = rulings_of([found(True), found(True), found(False)], "each")

        assert [(one.is_good, one.agreement) for one in rulings] == [
            (True, pytest.approx(2 / 3)),
            (False, pytest.approx(1 / 3)),
        ]

    def test_too_little_agreement_is_left_out(self):
        assert reason([found(True), found(True), found(False)], "majority", 0.7) == "low_agreement"

    def test_reviewers_beat_end_users_however_many(self):
        thumbs = [found(True, origin="end_user") for _ in range(3)]

        ruling = only_ruling([*thumbs, found(False)])

        assert (ruling.is_good, ruling.origin, ruling.agreement, ruling.is_conflict) == (False, "reviewer", 1.0, False)
        assert len(ruling.found) == 1

    def test_end_users_count_where_no_reviewer_looked(self):
        ruling = only_ruling([found(False, origin="end_user"), found(True, said("Another answer."))][:1])

        assert (ruling.is_good, ruling.origin) == (False, "end_user")

    def test_the_same_answer_in_two_spellings_is_one_row(self):
        ruling = only_ruling([found(True, said("It is free.")), found(True, said("It  is free. "))])

        assert (ruling.duplicates, len(ruling.found)) == (1, 2)

    @pytest.mark.parametrize(
        ("output", "expected"),
        [(said(" "), "empty_side"), (Side.of({"role": "user", "content": "Hi"}), "roles_out_of_order")],
    )
    def test_what_no_trainer_can_learn_is_left_out(self, output, expected):
        assert reason([found(True, output)]) == expected

    def test_what_may_not_train_has_no_say(self):
        assert reason([found(True, blocked="may_not_train")]) == "may_not_train"
        assert reason([found(True, blocked="may_train_unknown")]) == "may_train_unknown"
        assert only_ruling([found(True), found(False, blocked="may_not_train")]).is_good

    @given(
        st.lists(
            st.tuples(
                st.booleans(), st.sampled_from(["One.", "Two.", "One. "]), st.sampled_from(["reviewer", "end_user"])
            ),
            max_size=8,
        ),
        st.sampled_from(["majority", "unanimous", "each"]),
        st.randoms(use_true_random=False),
    )
    def test_the_order_does_not_matter_and_nothing_is_lost(self, given, policy, order):
        all_found = [found(is_good, said(text), origin) for is_good, text, origin in given]
        rulings, left_out = rulings_of(all_found, policy)
        shuffled = random.Random(order.random()).sample(all_found, len(all_found))
        again, again_left_out = rulings_of(shuffled, policy)

        def told(rulings, left_out):
            rows = sorted((r.output.exact, r.is_good, r.origin, r.agreement) for r in rulings)
            return rows, sorted((one.reason, one.evidence_ids) for one in left_out)

        assert told(rulings, left_out) == told(again, again_left_out)
        answers = {one.output.folded for one in all_found}
        assert len(answers) == len({r.output.folded for r in rulings}) + len(left_out)


class TestFreezing:
    def test_it_writes_good_and_bad_answers_with_their_balance(self, desk):
        desk.judges(desk.response("One?", "One."), True)
        desk.judges(desk.response("Two?", "2"), False)
        disputed = desk.response("Three?", "3")
        desk.judges(disputed, True, by="kim")
        desk.judges(disputed, False, by="lee")

        version = desk.freeze("found", "verdict", **ANYTHING)

        assert (version.state, version.error) == ("frozen", None)
        rows = {orjson.loads(row["completion"])["content"]: row for row in read(desk, version)}
        assert {text: row["is_good"] for text, row in rows.items()} == {"One.": True, "2": False}
        assert {(row["origin"], row["agreement"], row["margin"]) for row in rows.values()} == {("reviewer", 1.0, None)}
        assert version.statistics["verdicts"] == {"good": 1, "bad": 1}
        assert (version.statistics["left_out"], version.statistics["conflicts"]) == ({"no_majority": 1}, 1)

    def test_thumbs_count_only_where_the_project_wants_them(self, desk):
        response = desk.response("One?", "1")
        desk.takes_thumbs()
        desk.thumbs(response, False)
        desk.judges(desk.response("Two?", "2"), True)
        desk.write(lambda db: setattr(db.get_one(Project, desk.project.id), "settings", {}))

        assert desk.freeze("without", "verdict", **ANYTHING).statistics["origins"] == {"reviewer": 1}
        desk.takes_thumbs()
        assert desk.freeze("with", "verdict", **ANYTHING).statistics["origins"] == {"reviewer": 1, "end_user": 1}
        assert desk.freeze("only", "verdict", origins=["end_user"], **ANYTHING).statistics["origins"] == {"end_user": 1}
        assert desk.freeze("none", "verdict", origins=["reviewer"], **ANYTHING).statistics["origins"] == {"reviewer": 1}

    def test_a_reviewer_overrules_the_end_user(self, desk):
        desk.takes_thumbs()
        response = desk.response("One?", "1")
        desk.thumbs(response, True)
        desk.judges(response, False)

        (row,) = read(desk, desk.freeze("found", "verdict", **ANYTHING))

        assert (row["is_good"], row["origin"]) == (False, "reviewer")

    @pytest.mark.parametrize("later", [False, None])
    def test_a_thumb_is_fixed_when_the_freeze_starts(self, desk, later):
        desk.takes_thumbs()
        response = desk.response("One?", "1")
        desk.thumbs(response, True)
        started = desk.write(
            lambda db: start_freeze(
                db, db.get_one(Project, desk.project.id), "found", "verdict", Selection(include_unknown=True)
            )
        )
        desk.thumbs(response, later)
        jobs.Worker(desk.database).run_until_idle()

        version = desk.version(started.id)
        (row,) = read(desk, version)
        assert (row["is_good"], row["origin"]) == (True, "end_user")
        with desk.database.reading() as db:
            assert db.query(FrozenThumb).count() == 0
            told = biography(db, version_named(db, desk.project, "found"), row["id"])
        assert [(one.is_good_today, hasattr(one, "end_user")) for one in told.thumbs] == [(later, False)]
        assert (told.reviews, told.evidence) == ([], [])

    def test_its_biography_names_the_review(self, desk):
        revision = desk.judges(desk.response("One?", "1"), False)
        version = desk.freeze("found", "verdict", **ANYTHING)

        with desk.database.reading() as db:
            (row,) = read(desk, version)
            told = biography(db, version_named(db, desk.project, "found"), row["id"])

        assert [review.revision_id for review in told.reviews] == [revision]
        assert [(one.outcome, one.origin, one.criterion) for one in told.evidence] == [("bad", "reviewer", "helpful")]
        assert told.thumbs == []

    def test_good_and_bad_of_the_same_answer_are_different_rows(self, desk):
        response = desk.response("One?", "1")
        desk.judges(response, True, by="kim")
        desk.judges(response, False, by="lee")

        rows = read(desk, desk.freeze("both", "verdict", policy="each", **ANYTHING))

        assert sorted(row["is_good"] for row in rows) == [False, True]
        assert len({row["id"] for row in rows}) == 2

    def test_only_verdicts_under_the_criteria_that_were_chosen(self, desk):
        desk.judges(desk.response("One?", "1"), True)

        assert desk.freeze("found", "verdict", criteria=["helpful"], **ANYTHING).statistics["rows"] == 1
        assert desk.freeze("other", "verdict", criteria=["tone"], **ANYTHING).state == "failed"
