"""Preference pairs from rankings and scales."""

import orjson

from hitl.accounts.models import Project
from tests.hitl import factories
from tests.hitl.datasets.test_freeze import ANYTHING, read
from tests.hitl.preferences.test_comparing import OVERALL, RANKING, compare


def test_rankings_and_scales_make_pairs_without_ties_and_with_mean_distances(desk):
    def review(db):
        project = db.get_one(Project, desk.project.id)
        rubric = factories.RubricVersion(project_id=project.id, number=2, criteria=[RANKING, OVERALL])
        project.rubric_version_id = rubric.id
        item = factories.Comparison(project=project, texts="abc", open_slots=1, reviews_wanted=2)
        compare(None, None, project, item, best=[["a"], ["b"], ["c"]])
        compare(None, None, project, item, best=[["a"], ["c", "b"]])
        compare(None, "xy", project, helpful={"x": 5, "y": 1})
        compare(None, "pq", project, best=[["p", "q"]])
        compare(None, "rs", project, best="all_bad")

    desk.write(review)
    version = desk.freeze(**ANYTHING)

    assert version.state == "frozen", version.error
    rows = read(desk, version)
    # b beats c for one reviewer and ties for the other: no majority.
    assert {(chosen(row), rejected(row)): (row["origin"], row["margin"], row["agreement"]) for row in rows} == {
        ("a", "b"): ("ranking", 1, 1),
        ("a", "c"): ("ranking", 1.5, 1),
        ("x", "y"): ("scale", 4, 1),
    }


def chosen(row):
    return words(row["chosen"])


def rejected(row):
    return words(row["rejected"])


def words(message):
    return orjson.loads(message)["content"]
