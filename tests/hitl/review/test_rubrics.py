import pytest
from pydantic import ValidationError
from sqlalchemy import select

from hitl.accounts.models import AuditEntry
from hitl.accounts.projects import create_project
from hitl.core.errors import NotFound
from hitl.review.models import RubricVersion
from hitl.review.rubrics import (
    Rubric,
    publish_rubric,
    rubric_in_use,
    rubric_of,
    starter_rubric,
)
from tests.hitl import factories

THUMBS = {"kind": "thumbs", "name": "good", "label": "Good"}


def scale(*values, **more):
    return {
        "kind": "scale",
        "name": "helpful",
        "label": "Helpful",
        "points": [{"value": value, "label": "Means something"} for value in values],
    } | more


class TestRubric:
    @pytest.mark.parametrize(
        ("criteria", "reason"),
        [
            ([], "at least 1"),
            ([scale(1)], "at least 2"),
            ([scale(*range(11))], "at most 10"),
            ([scale(2, 1)], "must rise"),
            ([scale(1, 1)], "must rise"),
            ([scale(1, True)], "valid integer"),
            ([scale(1, 2, name="Not a name")], "match pattern"),
            ([scale(1, 2, name="comment")], "part of every review"),
            ([scale(1, 2, label="two\nlines")], "control characters"),
            ([scale(1, 2, label="NUL\0")], "control characters"),
            ([scale(1, 2, label="\ud800")], "unicode"),
            ([scale(1, 2, label=" ")], "at least 1"),
            ([scale(1, 2), scale(1, 2)], "two criteria are named"),
            ([scale(1, 2, overall=True), THUMBS | {"overall": True}], "only one"),
            ([{"kind": "text", "name": "why", "label": "Why", "overall": True}], "not permitted"),
            ([{"kind": "ranking", "name": "best", "label": "Best"}], "ranking"),
            ([{"kind": "correction", "name": "fix", "label": "Fix", "required": True}], "False"),
            ([{"kind": "correction", "name": n, "label": "Fix"} for n in "ab"], "one criterion only"),
            ([{"kind": "tags", "name": "t", "label": "T", "options": []}], "at least 1"),
            (
                [{"kind": "tags", "name": "t", "label": "T", "options": [{"value": "a", "label": "A"}] * 2}],
                "same value",
            ),
            (
                [{"kind": "choice", "name": "c", "label": "C", "options": [{"value": "unsure", "label": "?"}]}],
                "stands for",
            ),
        ],
    )
    def test_it_refuses_criteria_that_nobody_could_answer(self, criteria, reason):
        with pytest.raises(ValidationError, match=reason):
            Rubric.model_validate({"criteria": criteria})

    def test_it_comes_back_from_its_stored_shape_unchanged(self):
        rubric = starter_rubric()

        assert Rubric.model_validate({"criteria": rubric.as_json()}) == rubric

    def test_the_starter_rubric_names_one_overall_criterion_and_describes_each_point(self):
        rubric = starter_rubric()

        assert rubric.overall.name == "helpful"
        assert rubric.correction.name == "correction"
        assert all(len(point.label) > 10 for point in rubric.overall.points)


class TestPublishing:
    def test_a_new_project_starts_with_the_starter_rubric_as_version_1(self, db):
        project = create_project(db, "hotel-desk", "Hotel desk")

        version = db.get_one(RubricVersion, project.rubric_version_id)
        assert version.number == 1
        assert version.published_at is not None
        assert rubric_in_use(db, project) == starter_rubric()

    def test_it_numbers_versions_and_puts_the_newest_in_use(self, db):
        project = factories.Project()
        thumbs = Rubric.model_validate({"criteria": [THUMBS]})

        version = publish_rubric(db, project, thumbs, by=factories.User())

        assert version.number == 2
        assert rubric_in_use(db, project) == thumbs
        assert db.scalar(select(AuditEntry.action).where(AuditEntry.project_id == project.id)) == "rubric_published"

    def test_items_made_before_keep_their_rubric(self, db):
        project = factories.Project()
        item = factories.Item(project=project)
        before = rubric_of(db, item)

        publish_rubric(db, project, Rubric.model_validate({"criteria": [THUMBS]}))

        assert rubric_of(db, item) == before

    def test_a_project_without_a_rubric_says_so(self, db):
        project = factories.Project()
        project.rubric_version_id = None

        with pytest.raises(NotFound, match="no rubric"):
            rubric_in_use(db, project)
