import re

import pytest

from hitl.accounts.projects import change_settings
from hitl.capture.feedback import give_feedback
from hitl.preferences.end_users import take_thumbs_as_verdicts
from hitl.review.pseudonyms import reviewer_pseudonym
from hitl.review.submission import reopen_review, submit_review
from tests.hitl import factories
from tests.hitl.preferences.test_derivation import submit
from tests.hitl.review.test_submission import answers_to


class TestEvidence:
    def test_it_shows_both_sides_and_where_it_came_from_but_not_who(self, api, committed):
        project = factories.Project()
        response = factories.Response(project=project)
        review = submit(project, response, helpful=2, correction="Sorry.")
        engineer = api(project, "datasets")

        (shown,) = engineer.get(f"/api/v1/projects/{project.slug}/evidence").json["evidence"]

        assert shown["a"] == {"response_id": None, "output": {"role": "assistant", "content": "Sorry."}}
        assert shown["b"] == {"response_id": str(response.id), "output": response.output}
        assert (shown["outcome"], shown["origin"], shown["criterion"]) == ("a", "correction", "correction")
        assert (shown["review_id"], shown["revision"], shown["rubric"]) == (str(review.id), 1, 1)
        assert re.fullmatch("reviewer [0-9a-f]{8}", shown["reviewer"])
        assert str(review.reviewer_id) not in str(shown)

    def test_it_comes_in_pages(self, api, committed):
        project = factories.Project()
        for _ in range(3):
            submit(project, factories.Response(project=project), helpful=2, correction="Sorry.")
        engineer = api(project, "datasets")

        first = engineer.get(f"/api/v1/projects/{project.slug}/evidence?limit=2").json
        second = engineer.get(f"/api/v1/projects/{project.slug}/evidence?limit=2&cursor={first['next_cursor']}").json

        assert (len(first["evidence"]), len(second["evidence"]), second["next_cursor"]) == (2, 1, None)

    def test_whoever_follows_it_goes_on_where_they_were(self, api, committed):
        project = factories.Project()
        address = f"/api/v1/projects/{project.slug}/evidence"
        engineer = api(project, "datasets")
        nothing = engineer.get(address).json
        review = submit(project, factories.Response(project=project), helpful=2, correction="Sorry.")
        committed.commit()
        first = engineer.get(address, query_string={"cursor": nothing["resume_cursor"]}).json
        then = engineer.get(address, query_string={"cursor": first["resume_cursor"]}).json

        assert (nothing["evidence"], nothing["next_cursor"]) == ([], None)
        assert [one["review_id"] for one in first["evidence"]] == [str(review.id)]
        assert then["evidence"] == []


class TestVerdicts:
    def test_reviewers_and_end_users_are_told_apart_and_a_turned_thumb_comes_again(self, api, committed):
        project = factories.Project(settings={"end_user_thumbs": True})
        judged, other = (factories.Response(project=project) for _ in range(2))
        review = submit(project, judged, helpful=5)
        thumb = turn_thumb(committed, project, judged, True)
        turn_thumb(committed, project, other, True)
        address = f"/api/v1/projects/{project.slug}/verdicts"
        engineer = api(project, "datasets")

        first = engineer.get(address, query_string={"limit": 2}).json
        rest = engineer.get(address, query_string={"cursor": first["next_cursor"]}).json
        turn_thumb(committed, project, judged, True)
        turn_thumb(committed, project, judged, False)
        committed.commit()
        turned = engineer.get(address, query_string={"cursor": rest["resume_cursor"]}).json["verdicts"]

        by_reviewer, by_end_user = first["verdicts"]
        assert by_reviewer | {"id": 0, "created_at": 0, "input_hash": 0} == {
            "id": 0,
            "created_at": 0,
            "input_hash": 0,
            "response_id": str(judged.id),
            "is_good": True,
            "origin": "reviewer",
            "criterion": "helpful",
            "review_id": str(review.id),
            "revision": 1,
            "reviewer": reviewer_pseudonym(committed, project.id, review.reviewer_id),
            "rubric": 1,
            "feedback_id": None,
        }
        assert (by_end_user["feedback_id"], by_end_user["is_good"]) == (str(thumb), True)
        assert by_end_user["review_id"] is by_end_user["reviewer"] is by_end_user["criterion"] is None
        assert [one["response_id"] for one in rest["verdicts"]] == [str(other.id)]
        assert turned == [by_end_user | {"is_good": False}]

    def test_they_can_be_asked_for_by_origin_and_response(self, api, committed):
        project = factories.Project(settings={"end_user_thumbs": True})
        judged, other = (factories.Response(project=project) for _ in range(2))
        for response in (judged, other):
            submit(project, response, helpful=5)
            turn_thumb(committed, project, response, False)
        engineer = api(project, "datasets")

        def asked(**query):
            return engineer.get(f"/api/v1/projects/{project.slug}/verdicts", query_string=query).json["verdicts"]

        assert [one["response_id"] for one in asked(origin="end_user")] == [str(judged.id), str(other.id)]
        assert [one["origin"] for one in asked(response_id=str(other.id))] == ["reviewer", "end_user"]
        change_settings(committed, project, {"end_user_thumbs": False})
        committed.commit()
        assert [one["origin"] for one in asked()] == ["reviewer", "reviewer"]


class TestDemonstrations:
    def test_they_hold_the_answer_to_imitate_and_what_counts_again_comes_again(self, api, committed):
        project = factories.Project()
        approved, corrected = (factories.Response(project=project) for _ in range(2))
        submit(project, approved, helpful=5)
        review = submit(project, corrected, helpful=2, correction="Sorry.")
        address = f"/api/v1/projects/{project.slug}/demonstrations"
        engineer = api(project, "datasets")

        def told(cursor=None, **query):
            page = engineer.get(address, query_string=query | ({"cursor": cursor} if cursor else {})).json
            return [(one["origin"], one["output"], one["response_id"]) for one in page["demonstrations"]], page

        everything, page = told()
        only, _ = told(origin="correction", response_id=str(corrected.id))
        lease = reopen_review(committed, review)
        committed.commit()
        while_reopened, page_then = told(page["resume_cursor"])
        submit_review(committed, lease, answers_to(lease, helpful=2, correction="Sorry."))
        committed.commit()
        again, _ = told(page_then["resume_cursor"])

        of_correction = ("correction", {"role": "assistant", "content": "Sorry."}, str(corrected.id))
        assert everything == [("approval", approved.output, str(approved.id)), of_correction]
        assert (only, while_reopened, again) == ([of_correction], [], [of_correction])
        assert (page["demonstrations"][1]["review_id"], page["demonstrations"][1]["revision"]) == (str(review.id), 1)


@pytest.mark.parametrize("feed", ["evidence", "verdicts", "demonstrations"])
def test_reviewers_and_other_projects_do_not_see_what_was_learned(feed, api, committed):
    project = factories.Project()
    address = f"/api/v1/projects/{project.slug}/{feed}"

    assert api(project, "review").get(address).status_code == 403
    assert api(factories.Project(), "datasets").get(address).status_code == 404


def turn_thumb(db, project, response, value):
    """An end user's thumb, and what is learned of it; return the feedback's id."""
    row = {"response": str(response.id), "kind": "thumbs", "value": value}
    (result,) = give_feedback(db, project, [row])
    take_thumbs_as_verdicts(db, project, [response.id])
    return result.id
