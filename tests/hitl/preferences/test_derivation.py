import pytest
from sqlalchemy import select

from hitl.core import clock
from hitl.preferences.derivation import WhyNothing, why_nothing
from hitl.preferences.lessons import is_good_on
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.preferences.queries import counting_demonstrations, counting_evidence, counting_verdicts
from hitl.review.rubrics import Scale
from hitl.review.submission import admit, reopen_review, revise, submit_review
from hitl.review.unblinding import look_at_models
from tests.hitl import factories
from tests.hitl.factories import CRITERIA
from tests.hitl.review.test_submission import answers_to, late_lease


class TestCorrection:
    def test_it_beats_the_response_and_is_a_good_answer(self, db, project, response):
        review = submit(project, response, helpful=2, correction="Sorry, it is full.")

        evidence = db.scalars(counting_evidence(project)).one()
        demonstration = db.scalars(counting_demonstrations(project)).one()

        assert evidence.outcome == "a"
        assert evidence.a_output == demonstration.output == {"role": "assistant", "content": "Sorry, it is full."}
        assert (evidence.b_response_id, evidence.b_output) == (response.id, None)
        assert (evidence.input_response_id, evidence.input_hash) == (response.id, response.input_hash)
        assert (evidence.origin, evidence.criterion, evidence.distance) == ("correction", "correction", None)
        assert evidence.revision_id == demonstration.revision_id == review.counting_revision_id
        assert demonstration.origin == "correction"

    def test_one_that_says_the_same_teaches_nothing_by_itself(self, db, project, response):
        submit(project, response, helpful=3, correction=f"  {response.output['content']}\n")

        assert db.scalars(counting_evidence(project)).all() == []
        assert db.scalars(counting_demonstrations(project)).all() == []

    def test_a_good_response_that_was_corrected_is_not_approved_as_it_was(self, db, project, response):
        submit(project, response, helpful=5, correction="Better.")

        assert [one.origin for one in db.scalars(counting_demonstrations(project))] == ["correction"]


class TestVerdict:
    @pytest.mark.parametrize(("helpful", "is_good"), [(1, False), (2, False), (4, True), (5, True)])
    def test_the_overall_scale_finds_good_or_bad(self, db, project, response, helpful, is_good):
        submit(project, response, helpful=helpful)

        verdict = db.scalars(counting_verdicts(project)).one()
        assert (verdict.is_good, verdict.response_id) == (is_good, response.id)
        assert (verdict.origin, verdict.criterion) == ("reviewer", "helpful")

    @pytest.mark.parametrize("helpful", [3, "unsure"])
    def test_the_middle_and_cannot_judge_find_neither(self, db, project, response, helpful):
        submit(project, response, helpful=helpful)

        assert db.scalars(counting_verdicts(project)).all() == []

    @pytest.mark.parametrize(("thumb", "is_good"), [("up", True), ("down", False)])
    def test_an_overall_thumb_is_one_too(self, db, thumb, is_good):
        project = factories.Project(rubric=[{"kind": "thumbs", "name": "good", "label": "Good", "overall": True}])

        submit(project, factories.Response(project=project), good=thumb)

        assert db.scalars(counting_verdicts(project)).one().is_good is is_good

    @pytest.mark.parametrize(
        ("length", "said"),
        [(2, "-+"), (3, "-.+"), (4, "-..+"), (5, "--.++"), (6, "--..++"), (7, "--...++"), (10, "----..++++")],
    )
    def test_two_fifths_of_the_points_at_each_end_are_decisive(self, length, said):
        points = [{"value": value - 3, "label": "Means something"} for value in range(length)]
        scale = Scale.model_validate({"kind": "scale", "name": "s", "label": "S", "points": points})

        signs = {True: "+", False: "-", None: "."}
        assert "".join(signs[is_good_on(scale, point.value)] for point in scale.points) == said


class TestApproval:
    def test_a_good_response_is_a_good_answer_itself(self, db, project, response):
        submit(project, response, helpful=4)

        demonstration = db.scalars(counting_demonstrations(project)).one()
        assert (demonstration.origin, demonstration.output) == ("approval", None)
        assert demonstration.response_id == response.id

    @pytest.mark.parametrize("answers", [{"helpful": 2}, {"helpful": 3}, {"helpful": 5, "wrong": ["rude"]}])
    def test_one_that_is_not_good_or_that_has_a_fault_is_not(self, db, project, response, answers):
        submit(project, response, **answers)

        assert db.scalars(counting_demonstrations(project)).all() == []

    def test_a_tag_that_names_no_fault_does_not_stand_in_the_way(self, db):
        project = factories.Project(rubric=[CRITERIA[0], CRITERIA[1] | {"negative": False}])

        submit(project, factories.Response(project=project), helpful=5, wrong=["rude"])

        assert db.scalars(counting_demonstrations(project)).one().origin == "approval"


class TestWhatCounts:
    def test_a_newer_revision_replaces_what_the_older_taught(self, db, project, response):
        review = submit(project, response, helpful=1, correction="First.")

        revise(db, review, answers_to(review, helpful=5, correction="Second."))

        assert db.scalars(counting_evidence(project)).one().a_output["content"] == "Second."
        assert db.scalars(counting_verdicts(project)).one().is_good
        assert len(db.scalars(select(Evidence)).all()) == 2

    def test_a_revision_without_the_correction_takes_it_back(self, db, project, response):
        review = submit(project, response, helpful=1, correction="First.")

        revise(db, review, answers_to(review, helpful=1))

        assert db.scalars(counting_evidence(project)).all() == []
        assert db.scalars(counting_demonstrations(project)).all() == []

    def test_what_was_taken_back_counts_for_nothing_until_it_is_submitted_again(self, db, project, response):
        review = submit(project, response, helpful=1, correction="First.")

        lease = reopen_review(db, review)
        assert db.scalars(counting_evidence(project)).all() == []
        assert db.scalars(counting_verdicts(project)).all() == []

        submit_review(db, lease, answers_to(lease, helpful=4))
        assert db.scalars(counting_evidence(project)).all() == []
        assert db.scalars(counting_demonstrations(project)).one().origin == "approval"

    def test_an_extra_teaches_nothing_until_it_is_admitted(self, db):
        lease = late_lease()
        review = submit_review(db, lease, answers_to(lease, helpful=1, correction="Better."))
        assert [db.scalars(select(table)).all() for table in (Evidence, Verdict, Demonstration)] == [[], [], []]
        revise(db, review, answers_to(review, helpful=1, correction="Best."))
        assert db.scalars(select(Evidence)).all() == []

        review.item.open_slots = 1
        admit(db, review)

        assert db.scalars(select(Evidence)).one().a_output["content"] == "Best."
        assert db.scalars(select(Verdict)).one().is_good is False

    def test_another_project_sees_none_of_it(self, db, project, response):
        submit(project, response, helpful=5, correction="Better.")
        elsewhere = factories.Project()

        for counting in (counting_evidence, counting_verdicts, counting_demonstrations):
            assert db.scalars(counting(elsewhere)).all() == []


class TestWhyNothing:
    def test_what_taught_something_has_no_reason(self, db, project, response):
        assert reason(submit(project, response, helpful=1)) is None

    def test_the_middle_of_the_scale(self, db, project, response):
        assert reason(submit(project, response, helpful=3)) is WhyNothing.UNDECIDED

    def test_cannot_judge(self, db, project, response):
        assert reason(submit(project, response, helpful="unsure")) is WhyNothing.CANNOT_JUDGE

    def test_a_rubric_without_an_overall_criterion(self, db):
        project = factories.Project(rubric=[CRITERIA[1]])

        review = submit(project, factories.Response(project=project), wrong=["rude"])

        assert reason(review) is WhyNothing.NO_OVERALL

    def test_an_overall_criterion_left_open(self, db):
        project = factories.Project(rubric=[CRITERIA[0] | {"required": False}])

        assert reason(submit(project, factories.Response(project=project))) is WhyNothing.NOT_ANSWERED

    def test_a_replaced_revision_a_reopened_review_and_an_extra(self, db, project, response):
        review = submit(project, response, helpful=1)
        revise(db, review, answers_to(review, helpful=5))
        assert why_nothing(db, review, review.revisions[0]) is WhyNothing.REPLACED

        reopen_review(db, review)
        assert reason(review) is WhyNothing.REOPENED

        lease = late_lease()
        assert reason(submit_review(db, lease, answers_to(lease, helpful=5))) is WhyNothing.EXTRA

    def test_what_was_said_after_the_models_were_named_and_what_is_not_about_a_response(self, db):
        lease = factories.Lease(item=factories.Comparison(open_slots=0))
        review = submit_review(db, lease, answers_to(lease, ranking="all_bad"))

        look_at_models(db, review)
        revision = revise(db, review, answers_to(review, ranking="unsure"))
        assert why_nothing(db, review, revision) is WhyNothing.UNBLINDED


def submit(project, response, **values):
    item = factories.Item(project=project, response=response, open_slots=0, created_at=clock.now())
    lease = factories.Lease(item=item)
    return submit_review(factories.session(), lease, answers_to(lease, **values))


def reason(review):
    return why_nothing(factories.session(), review, review.revisions[-1])


@pytest.fixture
def project(db):
    return factories.Project()


@pytest.fixture
def response(db, project):
    return factories.Response(project=project)
