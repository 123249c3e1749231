import pytest
from sqlalchemy import select

from hitl.accounts.projects import change_settings
from hitl.capture.feedback import give_feedback
from hitl.capture.models import Feedback
from hitl.core import clock
from hitl.core.jobs import Worker
from hitl.preferences.end_users import take_thumbs_as_verdicts
from hitl.preferences.models import Verdict
from hitl.preferences.queries import counting_verdicts
from hitl.review.submission import reopen_review
from tests.hitl import factories
from tests.hitl.preferences.test_derivation import submit


class TestTakeThumbsAsVerdicts:
    def test_a_thumb_is_a_verdict_where_the_project_wants_it(self, db, project, response):
        self.thumb(db, response, False)

        take_thumbs_as_verdicts(db, project, [response.id])

        verdict = db.scalars(counting_verdicts(project)).one()
        assert (verdict.is_good, verdict.origin, verdict.response_id) == (False, "end_user", response.id)

    def test_otherwise_it_is_none(self, db):
        project = factories.Project()
        response = factories.Response(project=project)
        self.thumb(db, response, True)

        take_thumbs_as_verdicts(db, project, [response.id])

        assert db.scalars(select(Verdict)).all() == []

    def test_a_project_that_no_longer_wants_them_does_not_count_them(self, db, project, response):
        self.thumb(db, response, True)
        take_thumbs_as_verdicts(db, project, [response.id])

        change_settings(db, project, {"end_user_thumbs": False})

        assert db.scalars(counting_verdicts(project)).all() == []

    def test_a_repeat_changes_the_verdict_and_running_twice_changes_nothing(self, db, project, response):
        feedback = self.thumb(db, response, True)
        take_thumbs_as_verdicts(db, project, [response.id])
        feedback.value = False
        db.flush()

        take_thumbs_as_verdicts(db, project, [response.id])
        take_thumbs_as_verdicts(db, project, [response.id])

        db.expire_all()
        assert db.scalars(counting_verdicts(project)).one().is_good is False

    def test_a_thumb_that_was_taken_away_takes_its_verdict_along(self, db, project, response):
        feedback = self.thumb(db, response, True)
        take_thumbs_as_verdicts(db, project, [response.id])
        feedback.value = None
        db.flush()

        take_thumbs_as_verdicts(db, project, [response.id])

        assert db.scalars(select(Verdict)).all() == []

    @pytest.mark.parametrize("other", [{"kind": "stars", "value": 5}, {"value": "fine"}, {"source": "a_program"}])
    def test_only_end_users_thumbs_are_taken(self, db, project, response, other):
        self.thumb(db, response, **({"value": True} | other))

        take_thumbs_as_verdicts(db, project, [response.id])

        assert db.scalars(select(Verdict)).all() == []

    def test_reviewers_beat_end_users(self, db, project, response):
        self.thumb(db, response, True)
        take_thumbs_as_verdicts(db, project, [response.id])
        review = submit(project, response, helpful=1)

        assert [verdict.origin for verdict in db.scalars(counting_verdicts(project))] == ["reviewer"]

        reopen_review(db, review)
        assert [verdict.origin for verdict in db.scalars(counting_verdicts(project))] == ["end_user"]

    def thumb(self, db, response, value, kind="thumbs", source="end_user"):
        feedback = Feedback(
            project_id=response.project_id,
            response_id=response.id,
            kind=kind,
            value=value,
            source=source,
            given_at=clock.now(),
        )
        db.add(feedback)
        db.flush()
        return feedback

    @pytest.fixture
    def project(self, db):
        return factories.Project(settings={"end_user_thumbs": True})

    @pytest.fixture
    def response(self, db, project):
        return factories.Response(project=project)


class TestFeedbackGiven:
    def test_feedback_becomes_a_verdict_once_the_background_work_is_done(self, committed, shared_database):
        project = factories.Project(settings={"end_user_thumbs": True})
        response = factories.Response(project=project)
        row = {"client_id": response.client_id, "kind": "thumbs", "value": True}
        assert [result.status for result in give_feedback(committed, project, [row])] == ["created"]
        committed.commit()

        Worker(shared_database).run_until_idle()

        assert committed.scalars(counting_verdicts(project)).one().is_good
