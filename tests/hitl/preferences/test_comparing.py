"""What comparisons teach."""

import pytest
from sqlalchemy import select

from hitl.preferences.derivation import WhyNothing, why_nothing
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.preferences.queries import counting_demonstrations, counting_evidence, counting_verdicts
from hitl.review.judged import judged_of
from hitl.review.submission import submit_review
from tests.hitl import factories
from tests.hitl.review.test_submission import answers_to

RANKING = {"kind": "ranking", "name": "best", "label": "Best", "cannot_judge": True}
PAIRWISE = {"kind": "pairwise", "name": "better", "label": "Better"}
OVERALL = {
    "kind": "scale",
    "name": "helpful",
    "label": "Helpful",
    "overall": True,
    "cannot_judge": True,
    "asked_of": ["response", "comparison"],
    "per": "response",
    "points": [{"value": value, "label": "Means something"} for value in (1, 2, 3, 4, 5)],
}
OTHER_SCALE = OVERALL | {"name": "polite", "overall": False}
WRONG = {
    "kind": "tags",
    "name": "wrong",
    "label": "Wrong",
    "asked_of": ["comparison"],
    "per": "response",
    "options": [{"value": "rude", "label": "Rude"}],
}


def compare(rubric, texts, project=None, item=None, **said):
    """Submit a review; answers name responses by their texts."""
    db = factories.session()
    project = project or factories.Project(rubric=rubric)
    item = item or factories.Comparison(project=project, texts=texts, open_slots=0)
    lease = factories.Lease(item=item)
    names = {one.output["content"]: one.name for one in judged_of(db, item).responses}
    return submit_review(db, lease, answers_to(lease, **_named(said, names)))


def _named(value, names):
    if isinstance(value, dict):
        return {names.get(key, key): _named(said, names) for key, said in value.items()}
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def learned(db, review, origin=None):
    """By texts: who was compared with whom, and how it came out."""
    texts = {one.id: one.output["content"] for one in judged_of(db, review.item).responses}
    rows = db.scalars(select(Evidence).where(Evidence.revision_id == review.counting_revision_id))
    return {
        (texts[row.a_response_id], texts[row.b_response_id]): (row.outcome, row.distance)
        for row in rows
        if origin in (None, row.origin)
    }


class TestRanking:
    def test_each_pair_is_judged_by_the_difference_of_places(self, db):
        review = compare([RANKING], "abcd", best=[["c"], ["a", "d"], ["b"]])

        assert learned(db, review, "ranking") == {
            ("a", "b"): ("a", 1),
            ("a", "c"): ("b", 1),
            ("a", "d"): ("tie", 0),
            ("b", "c"): ("b", 2),
            ("b", "d"): ("b", 1),
            ("c", "d"): ("a", 1),
        }

    def test_all_bad_says_so_of_each_pair(self, db):
        assert learned(db, compare([RANKING], "abc", best="all_bad")) == dict.fromkeys(
            [("a", "b"), ("a", "c"), ("b", "c")], ("both_bad", None)
        )

    def test_who_cannot_judge_teaches_nothing(self, db):
        review = compare([RANKING], "ab", best="unsure")

        assert learned(db, review) == {}
        assert why_nothing(db, review, review.revisions[-1]) is WhyNothing.NOT_COMPARED

    def test_the_first_place_is_neither_good_nor_worth_imitating(self, db):
        compare([RANKING], "ab", best=[["a"], ["b"]])

        assert db.scalar(select(Verdict.id)) is db.scalar(select(Demonstration.id)) is None


class TestPairwise:
    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            ({"better": "b", "strength": "much"}, ("b", 2)),
            ({"better": "a", "strength": "slightly"}, ("a", 1)),
            ("equal", ("tie", 0)),
            ("both_bad", ("both_bad", None)),
        ],
    )
    def test_strength_is_distance(self, db, said, outcome):
        assert learned(db, compare([PAIRWISE], "ab", better=said), "ranking") == {("a", "b"): outcome}


class TestScale:
    def test_points_of_one_revision_on_the_overall_criterion_are_compared(self, db):
        review = compare(
            [RANKING, OVERALL, OTHER_SCALE],
            "abcd",
            helpful={"a": 5, "b": 2, "c": 5, "d": "unsure"},
            polite={"a": 1, "b": 5},
        )

        assert learned(db, review, "scale") == {("a", "b"): ("a", 3), ("a", "c"): ("tie", 0), ("b", "c"): ("b", 3)}
        assert learned(db, review, "ranking") == {}

    def test_points_are_never_compared_across_reviewers(self, db):
        project = factories.Project(rubric=[RANKING, OVERALL])
        item = factories.Comparison(project=project, texts="ab", open_slots=1, reviews_wanted=2)
        compare(None, None, project, item, helpful={"a": 5})
        compare(None, None, project, item, helpful={"b": 1})

        assert db.scalars(counting_evidence(project)).all() == []

    def test_each_response_is_good_or_bad_by_itself(self, db):
        project = factories.Project(rubric=[RANKING, OVERALL, WRONG])
        review = compare(None, "abcd", project, helpful={"a": 5, "b": 1, "c": 3, "d": 4}, wrong={"d": ["rude"]})
        texts = {one.id: one.output["content"] for one in judged_of(db, review.item).responses}

        verdicts = {texts[row.response_id]: row.is_good for row in db.scalars(counting_verdicts(project))}
        approved = [texts[row.response_id] for row in db.scalars(counting_demonstrations(project))]
        assert verdicts == {"a": True, "b": False, "d": True}
        assert approved == ["a"]
