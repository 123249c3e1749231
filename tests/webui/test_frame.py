import re

import pytest

from hitl.accounts.access import SIGNED_IN, allow
from tests.hitl import factories


class TestFrame:
    def test_it_names_the_person_and_where_they_may_go(self, sign_in):
        lead = factories.Membership(role="lead", user=factories.User(name="Ana Lima"))

        page = sign_in(lead.user).get(f"/projects/{lead.project.slug}").text

        assert "Ana Lima" in page
        assert ">AL</span>" in page
        assert f'href="/projects/{lead.project.slug}/queue"' in page

    def test_it_does_not_offer_what_is_not_theirs(self, sign_in):
        annotator = factories.Membership(role="annotator")

        page = sign_in(annotator.user).get(f"/projects/{annotator.project.slug}").text

        assert "/queue" not in page

    def test_it_lets_one_switch_projects(self, sign_in):
        first = factories.Membership(project=factories.Project(name="Hotel desk"))
        factories.Membership(user=first.user, project=factories.Project(name="Bank line"))
        factories.Membership(project=factories.Project(name="Of somebody else"))

        page = sign_in(first.user).get(f"/projects/{first.project.slug}").text

        assert "Hotel desk" in page
        assert "Bank line" in page
        assert "Of somebody else" not in page

    def test_it_gives_its_styles_and_scripts_to_everybody(self, client):
        page = client.get("/api/docs").text
        files = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', page))

        assert len(files) > 5
        assert {client.get(file).status_code for file in files} == {200}


class TestErrorPage:
    def test_it_is_the_same_for_a_project_of_others_and_for_none(self, sign_in):
        stranger = factories.Membership().user
        theirs = factories.Project(slug="secret")
        browser = sign_in(stranger)

        of_others, of_nobody = browser.get(f"/projects/{theirs.slug}"), browser.get("/projects/absent")

        assert of_others.status_code == of_nobody.status_code == 404
        assert without_tokens(of_others.text).replace("secret", "absent") == without_tokens(of_nobody.text)

    def test_it_tells_a_member_what_role_is_missing(self, sign_in):
        annotator = factories.Membership(role="annotator")

        answer = sign_in(annotator.user).get(f"/projects/{annotator.project.slug}/queue")

        assert answer.status_code == 403
        assert "your role does not allow this" in answer.text
        assert annotator.project.name in answer.text

    def test_it_answers_a_script_with_the_sentence_alone(self, sign_in):
        annotator = factories.Membership(role="annotator")

        answer = sign_in(annotator.user).get(
            f"/projects/{annotator.project.slug}/queue", headers={"HX-Request": "true"}
        )

        assert answer.status_code == 403
        assert "your role does not allow this" in answer.json["error"]["message"]

    def test_it_keeps_the_frame_where_no_page_is(self, sign_in):
        person = factories.Membership(user=factories.User(name="Ana Lima")).user

        answer = sign_in(person).get("/no/such/page")

        assert answer.status_code == 404
        assert "There is nothing here" in answer.text
        assert "Ana Lima" in answer.text

    def test_it_leads_back_to_the_page_before(self, sign_in):
        lead = factories.Membership(role="annotator")
        browser = sign_in(lead.user)
        home = f"/projects/{lead.project.slug}"

        own = browser.get(f"{home}/queue", headers={"Referer": f"http://localhost{home}"}).text
        foreign = browser.get(f"{home}/queue", headers={"Referer": "http://evil.example/x"}).text

        assert f'<a class="button button--main" href="{home}">Back to the page</a>' in own
        assert "evil.example" not in foreign

    @pytest.mark.parametrize(
        "referer", ["http://[", "http://localhost//evil.example/x", "http://localhost/\\evil.example"]
    )
    def test_it_leads_back_to_no_odd_address(self, sign_in, referer):
        annotator = factories.Membership(role="annotator")

        answer = sign_in(annotator.user).get(f"/projects/{annotator.project.slug}/queue", headers={"Referer": referer})

        assert answer.status_code == 403
        assert "evil.example" not in answer.text

    def test_it_says_so_when_the_fault_is_ours(self, app, sign_in, monkeypatch):
        @allow(SIGNED_IN)
        def broken():
            raise RuntimeError("a mistake of the program")

        monkeypatch.setitem(app.view_functions, "home.index", broken)

        answer = sign_in(factories.User()).get("/")

        assert answer.status_code == 500
        assert "it is our fault" in answer.text
        assert "a mistake of the program" not in answer.text


def without_tokens(page):
    return re.sub(r'(csrf-token" content="|X-CSRFToken": "|csrf_token" value=")[^"]+', r"\1", page)
