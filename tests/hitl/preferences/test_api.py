import re

from tests.hitl import factories
from tests.hitl.preferences.test_derivation import submit


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

    def test_reviewers_and_other_projects_do_not_see_it(self, api, committed):
        project = factories.Project()

        assert api(project, "review").get(f"/api/v1/projects/{project.slug}/evidence").status_code == 403
        assert api(factories.Project(), "datasets").get(f"/api/v1/projects/{project.slug}/evidence").status_code == 404
