import pytest
from pydantic import ValidationError
from sqlalchemy import select

from hitl.accounts.models import AuditEntry
from hitl.accounts.projects import create_project
from hitl.core.errors import NotFound
from hitl.review.models import RubricVersion
from hitl.review.rubrics import Rubric, publish_rubric, rubric_in_use, rubric_of
from hitl.review.starter_rubric import starter_rubric
from tests.hitl import factories

THUMBS = {"kind": "thumbs", "name": "good", "label": "Good"}
SPANS = {"kind": "spans", "name": "where", "label": "Where", "options": [{"value": "made_up", "label": "Made up"}]}
RANKING = {"kind": "ranking", "name": "best", "label": "Best"}
PAIRWISE = {"kind": "pairwise", "name": "better", "label": "Better"}


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
            ([{"kind": "best", "name": "best", "label": "Best"}], "ranking"),
            ([{"kind": "ranking", "name": n, "label": "Best"} for n in "ab"], "one ranking only"),
            ([{"kind": "ranking", "name": "best", "label": "Best", "asked_of": ["response"]}], "comparison"),
            ([{"kind": "ranking", "name": "best", "label": "Best", "per": "turn"}], "item"),
            ([THUMBS | {"asked_of": []}], "at least 1"),
            ([THUMBS | {"asked_of": ["response", "response"]}], "twice"),
            ([THUMBS | {"asked_of": ["comparison"], "per": "turn"}], "does not have"),
            ([SPANS | {"asked_of": ["comparison"]}], "each response"),
            ([SPANS | {"asked_of": ["conversation"]}], "each turn"),
            ([SPANS | {"required": True}], "False"),
            ([SPANS | {"severities": [{"value": "minor", "label": "Minor"}] * 2}], "same value"),
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


class TestAskedAbout:
    def asked(self, criteria, kind, response_count=1):
        rubric = Rubric.model_validate({"criteria": criteria})
        return [criterion.name for criterion in rubric.asked_about(kind, response_count).criteria]

    def test_a_criterion_that_does_not_say_is_asked_of_what_it_fits(self):
        criteria = [THUMBS, SPANS, RANKING, {"kind": "correction", "name": "fix", "label": "Fix"}]

        assert self.asked(criteria, "response") == ["good", "where", "fix"]
        assert self.asked(criteria, "conversation") == ["good"]
        assert self.asked(criteria, "comparison", 2) == ["best"]

    def test_of_two_responses_it_asks_which_is_better_and_of_more_for_their_order(self):
        assert self.asked([RANKING, PAIRWISE], "comparison", 2) == ["better"]
        assert self.asked([RANKING, PAIRWISE], "comparison", 3) == ["best"]
        assert self.asked([RANKING], "comparison", 2) == ["best"]
        assert self.asked([PAIRWISE], "comparison", 3) == []

    def test_each_response_is_the_item_itself_where_there_is_only_one(self):
        rubric = Rubric.model_validate(
            {"criteria": [THUMBS | {"asked_of": ["response", "comparison"], "per": "response"}]}
        )

        assert rubric.asked_about("response").criteria[0].per == "item"
        assert rubric.asked_about("comparison", 2).criteria[0].per == "response"

    def test_a_version_published_before_there_were_comparisons_keeps_its_meaning(self):
        stored = [{"kind": "thumbs", "name": "good", "label": "Good", "hint": "", "required": True}]

        assert self.asked(stored, "response") == ["good"]


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
