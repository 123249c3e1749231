from datetime import timedelta

from hitl.capture.models import Response
from hitl.core import clock
from hitl.live.policy.rules import PolicyTerms
from hitl.live.policy.rules import create_rule as create_policy_rule
from hitl.queue import items, leases
from hitl.queue.drawing import apply_rules
from hitl.queue.items import add_item
from hitl.queue.rules import AllCondition, Terms, create_rule
from tests.hitl import factories
from tests.webui.words import words_of

HOME = "/projects/hotel-desk"


class TestIndex:
    def test_it_goes_straight_to_the_only_project(self, sign_in, member):
        answer = sign_in(member()).get("/")

        assert (answer.status_code, answer.location) == (302, HOME)

    def test_it_lets_one_choose_among_several(self, sign_in, member):
        person = member()
        factories.Membership(user=person, project=factories.Project(name="Bank line"))

        words = words_of(sign_in(person).get("/").text)

        assert "Your projects" in words
        assert "Bank line" in words
        assert "Hotel desk" in words

    def test_it_says_what_to_do_without_a_project(self, sign_in):
        words = words_of(sign_in(factories.User(email="new@example.org")).get("/").text)

        assert "You are in no project yet" in words
        assert "new@example.org" in words
        assert "hitl project create" not in words

    def test_it_shows_an_owner_how_to_make_one(self, sign_in):
        words = words_of(sign_in(factories.User(email="boss@example.org", is_owner=True)).get("/").text)

        assert "hitl project create hotel-desk" in words
        assert "--admin boss@example.org" in words

    def test_it_asks_strangers_to_sign_in_and_leads_back(self, client):
        answer = client.get(HOME)

        assert answer.status_code == 302
        assert answer.location == "/sign-in?next=/projects/hotel-desk"


class TestShow:
    def test_it_tells_a_reviewer_what_waits(self, committed, sign_in, desk, member):
        ann = member()
        held = add_item(committed, desk, [factories.Response(project=desk, text="No room is free.")], priority=1)
        leases.claim(committed, desk, ann)
        add_item(committed, desk, [factories.Response(project=desk)])
        reserved = add_item(committed, desk, [factories.Response(project=desk)])
        items.assign(committed, reserved, ann, by=None)

        words = words_of(sign_in(ann).get(HOME).text)

        assert held.open_slots == 0
        assert "You are an annotator here" in words
        assert "Unfinished: “No room is free.”" in words
        assert "Yours for 14 min more" in words
        assert "1 Reserved for you" in words
        assert "2 Items to rate, correct or compare" in words

    def test_it_says_when_nothing_waits(self, sign_in, member):
        words = words_of(sign_in(member()).get(HOME).text)

        assert "Nothing waits for you" in words
        assert "You did 0 reviews today" in words

    def test_it_tells_a_lead_what_to_decide(self, committed, sign_in, desk, member):
        lead = member("lead")
        create_rule(committed, desk, "Everything", Terms(condition=AllCondition(), rate=1, reviews_wanted=3))
        response: Response = factories.Response(project=desk)
        apply_rules(committed, desk, [response.id])

        words = words_of(sign_in(lead).get(HOME).text)

        assert "3 Still wanted 3 reviews are wanted, 0 are made." in words
        assert "1 Everything All responses, 3 reviews each. Fitted 1." in words
        assert "Stuck" not in words

    def test_it_tells_a_lead_after_the_first_day_whether_reviewers_keep_up(self, committed, sign_in, desk, member):
        lead = member("lead")
        add_item(committed, desk, [factories.Response(project=desk)], reviews_wanted=3)
        desk.created_at = clock.now() - timedelta(days=1)
        committed.flush()

        words = words_of(sign_in(lead).get(HOME).text)

        assert "+3 More comes in than gets reviewed 3 reviews are wanted in a day, 0 are made." in words

    def test_it_tells_leads_of_rules_that_were_switched_off_by_themselves(self, committed, sign_in, desk, member):
        slow = create_policy_rule(committed, desk, "Slow one", PolicyTerms(expression="true", when_nobody="refuse"))
        slow.is_on, slow.why_off, slow.overruns = False, "too_slow", 3
        create_policy_rule(committed, desk, "Fine one", PolicyTerms(expression="true", when_nobody="refuse"))
        ended = create_rule(committed, desk, "Slow draw", Terms(rate=1))
        ended.ended_at, ended.overruns = clock.now(), 3

        page = sign_in(member("lead")).get(HOME).text

        words = words_of(page)
        assert "“Slow one” is off Its expression took too long three times" in words
        assert "“Slow draw” is off" in words
        assert "Fine one" not in words
        assert f"/projects/hotel-desk/policy/{slow.id}" in page

    def test_it_names_stuck_items(self, committed, sign_in, desk, member):
        lead = member("lead")
        add_item(committed, desk, [factories.Response(project=desk)])
        leases.skip(committed, leases.claim(committed, desk, lead))

        assert "1 Stuck They want a review, and nobody is left" in words_of(sign_in(lead).get(HOME).text)

    def test_it_shows_an_engineer_how_to_connect(self, sign_in, member):
        words = words_of(sign_in(member("engineer")).get(HOME).text)

        assert "No response has come in yet" in words
        assert "curl -s http://127.0.0.1:8000/api/v1/projects/hotel-desk/responses" in words
        assert "To review" not in words

    def test_it_says_that_capture_works(self, sign_in, desk, member):
        factories.Response(project=desk)

        assert "1 response today, the last one a moment ago" in words_of(sign_in(member("engineer")).get(HOME).text)

    def test_it_shows_captured_text_as_text(self, committed, sign_in, desk, member):
        ann = member()
        add_item(committed, desk, [factories.Response(project=desk, text="<img src=x onerror=alert(1)>")])
        leases.claim(committed, desk, ann)

        page = sign_in(ann).get(HOME).text

        assert "<img" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page

    def test_a_supervisor_is_not_left_with_an_empty_page(self, sign_in, member):
        assert "Your role here has no page of its own yet" in words_of(sign_in(member("supervisor")).get(HOME).text)
