import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from hitl.accounts.models import AuditEntry
from hitl.capture.models import Feedback
from hitl.core import clock
from hitl.core.jobs import Job
from hitl.queue import leases
from hitl.queue.comparisons import add_comparisons
from hitl.queue.drawing import apply_rules
from hitl.queue.items import Wish, add_item, assign
from hitl.queue.models import Item, Rule
from hitl.queue.rules import AllCondition, Comparing, FeedbackCondition, Terms, create_rule, newest_version, terms_of
from hitl.queue.search import index_everything
from hitl.review.answers import Answers
from hitl.review.judged import judged_of
from hitl.review.models import Review
from hitl.review.rubrics import Rubric, publish_rubric, rubric_of
from hitl.review.submission import submit_review
from tests.hitl import factories
from tests.webui.words import words_of

QUEUE = "/projects/hotel-desk/queue"
RULES = "/projects/hotel-desk/rules"


class TestQueue:
    def test_it_lists_items_in_the_order_they_are_handed_out(self, lead, add):
        add("Later", priority=0)
        add("Sooner", priority=3)

        words = words_of(lead.get(QUEUE).text)

        assert words.index("Sooner") < words.index("Later")
        assert "0 of 1" in words
        assert "Picked by hand" not in words

    def test_it_names_the_rules_that_drew_an_item_and_its_chance(self, committed, desk, lead):
        create_rule(committed, desk, "Half of all", Terms(condition=AllCondition(), rate=0.5))
        responses = [factories.Response(project=desk) for _ in range(12)]
        drawn = apply_rules(committed, desk, [response.id for response in responses])
        committed.commit()

        words = words_of(lead.get(QUEUE).text)

        assert words.count("Half of all 0.50") == drawn
        assert f"Drew {drawn} of 12 that fitted, today." in words

    def test_it_shows_each_item_once_however_many_there_are(self, lead, add):
        for number in range(60):
            add(f"Answer {number}.", priority=number % 3)

        seen, address = [], QUEUE
        while address:
            page = lead.get(address).text
            seen += re.findall(r"Answer \d+\.", page)
            found = re.search(r'rel="next" href="([^"]+)"', page)
            address = found and found[1].replace("&amp;", "&")

        assert len(seen) == 60
        assert len(set(seen)) == 60

    def test_it_refuses_a_cursor_of_another_project(self, committed, lead):
        from hitl.core.cursors import encode

        other = factories.Item()
        committed.commit()

        assert lead.get(f"{QUEUE}?cursor={encode(other.id)}").status_code == 422
        assert lead.get(f"{QUEUE}?cursor=nonsense!").status_code == 422

    @pytest.mark.parametrize("state", ["open", "held", "partly", "stuck", "extras", "closed"])
    def test_it_says_so_when_a_state_is_empty(self, lead, state):
        answer = lead.get(f"{QUEUE}?state={state}")

        assert answer.status_code == 200
        assert 'class="empty"' in answer.text

    def test_it_knows_no_other_states(self, lead):
        assert lead.get(f"{QUEUE}?state=lost").status_code == 404

    def test_it_finds_stuck_items(self, committed, desk, lead, add):
        add("Nobody is left for this.")
        leases.skip(committed, leases.claim(committed, desk, lead.user))
        committed.commit()

        assert "Nobody is left for this." in words_of(lead.get(f"{QUEUE}?state=stuck").text)

    def test_it_shows_captured_text_as_text(self, lead, add):
        add("<script>alert(1)</script>")

        assert "<script>alert" not in lead.get(QUEUE).text


class TestItem:
    def test_it_shows_what_is_to_be_reviewed_and_where_its_slots_are(self, lead, add):
        item = add("No room is free.", reviews_wanted=2)

        words = words_of(lead.get(address_of(item)).text)

        assert "No room is free." in words
        assert "0 of 2 counted" in words
        assert "Anyone who reviews here." in words

    def test_it_lets_one_change_the_number_of_reviews(self, committed, lead, add):
        item = add("An answer.")

        answer = lead.post(f"{address_of(item)}/reviews-wanted", data={"reviews_wanted": "3"}, follow_redirects=True)

        assert "It wants 3 reviews now." in words_of(answer.text)
        committed.refresh(item)
        assert (item.reviews_wanted, item.open_slots) == (3, 3)

    @pytest.mark.parametrize("typed", ["", "0", "101", "two", "1.5"])
    def test_it_says_which_numbers_it_takes(self, committed, lead, add, typed):
        item = add("An answer.")

        answer = lead.post(f"{address_of(item)}/reviews-wanted", data={"reviews_wanted": typed}, follow_redirects=True)

        assert "a whole number from 1 to 100" in words_of(answer.text)
        committed.refresh(item)
        assert item.reviews_wanted == 1

    def test_it_moves_an_item_forward(self, committed, lead, add):
        item = add("An answer.")

        lead.post(f"{address_of(item)}/priority", data={"priority": "4"})

        committed.refresh(item)
        assert item.priority == 4

    def test_it_closes_an_item(self, committed, lead, add):
        item = add("An answer.")

        words = words_of(lead.post(f"{address_of(item)}/closing", follow_redirects=True).text)

        assert "Closed by hand" in words
        assert "Open again" in words

    def test_it_reserves_an_item_and_lets_it_go(self, committed, lead, member, add):
        item, kim = add("An answer."), member(name="Kim")
        committed.commit()

        words = words_of(
            lead.post(f"{address_of(item)}/assignments", data={"reviewer": str(kim.id)}, follow_redirects=True).text
        )
        assert "Reserved for Kim." in words

        page = lead.get(address_of(item)).text
        release = re.search(r'action="([^"]+/assignments/[^"]+/end)"', page)[1]
        assert "No longer reserved for Kim." in words_of(lead.post(release, follow_redirects=True).text)

    def test_it_reserves_for_reviewers_of_the_project_alone(self, committed, lead, add):
        item, stranger = add("An answer."), factories.User()
        committed.commit()

        answer = lead.post(f"{address_of(item)}/assignments", data={"reviewer": str(stranger.id)})

        assert answer.status_code == 422
        assert "no active member" in words_of(answer.text)

    def test_it_shows_what_was_decided(self, committed, desk, lead, member, add):
        item = add("An answer.")
        review(committed, desk, member(name="Kim"), comment="Too short.")

        words = words_of(lead.get(address_of(item)).text)

        assert "Kim Counts" in words
        assert "“Too short.”" in words
        assert "Kim reviewed it" in words

    def test_it_hides_the_reviews_of_others_from_somebody_who_is_at_it(self, committed, desk, lead, member, add):
        item = add("An answer.", reviews_wanted=2)
        review(committed, desk, member(name="Kim"), comment="Too short.")
        leases.claim(committed, desk, lead.user)
        committed.commit()

        words = words_of(lead.get(address_of(item)).text)

        assert "Hidden until you have judged" in words
        assert "Too short." not in words

    def test_it_lets_an_extra_review_count(self, committed, desk, lead, member, add):
        item = add("An answer.")
        made = late_review(committed, desk, item, member(name="Kim"), member(name="Lou"))
        admission = f"{address_of(item)}/reviews/{made.id}/admission"
        assert "Kim Extra, not counted" in words_of(lead.get(address_of(item)).text)

        refused = lead.post(admission)
        assert refused.status_code == 409
        assert "Ask for more reviews first" in words_of(refused.text)

        lead.post(f"{address_of(item)}/reviews-wanted", data={"reviews_wanted": "2"})
        assert "The review of Kim counts now." in words_of(lead.post(admission, follow_redirects=True).text)

    def test_it_keeps_items_of_other_projects_to_itself(self, committed, lead):
        other = factories.Item()
        committed.commit()

        assert lead.get(address_of(other)).status_code == 404
        for action in ("reviews-wanted", "priority", "closing", "assignments"):
            data = {"reviews_wanted": "2", "priority": "2"}
            assert lead.post(f"{address_of(other)}/{action}", data=data).status_code in (404, 422)
        committed.refresh(other)
        assert (other.reviews_wanted, other.priority, other.closed_at) == (1, 0, None)

    def test_it_changes_nothing_for_another_site(self, committed, lead, add):
        item = add("An answer.")
        lead.environ_base.pop("HTTP_X_CSRFTOKEN")

        assert lead.post(f"{address_of(item)}/closing").status_code == 403
        committed.refresh(item)
        assert item.closed_at is None


class TestItemHistory:
    def test_it_tells_what_happened_in_order(self, committed, desk, lead, member, add):
        kim, item = member(name="Kim"), add("An answer.")
        leases.skip(committed, leases.claim(committed, desk, kim), "Not my field.")
        committed.commit()
        review(committed, desk, member(name="Lou"), comment="Too short.")

        words = words_of(lead.get(address_of(item)).text)
        said = ["into the queue", "Kim took it", "Kim skipped it", "“Not my field.”", "Lou reviewed it", "Closed, all"]
        places = [words.index(one, words.index("History")) for one in said]

        assert places == sorted(places)

    def test_it_tells_who_changed_what(self, committed, lead, add):
        item = add("An answer.", priority=1)
        for path, sent in (
            ("priority", {"priority": "4"}),
            ("reviews-wanted", {"reviews_wanted": "2"}),
            ("closing", {}),
        ):
            lead.post(f"{address_of(item)}/{path}", data=sent)

        words = words_of(lead.get(address_of(item)).text)
        said = ["set its priority to 4 from 1", "asked for 2 reviews in place of 1", "closed it by hand"]
        places = [words.index(f"Ana Lima {one}") for one in said]

        assert places == sorted(places)

    def test_it_names_no_model_while_another_comparison_of_the_same_is_open(self, committed, desk, lead):
        publish_rubric(committed, desk, Rubric.model_validate({"criteria": factories.CRITERIA}))
        texts = ("At nine.", "At ten.", "At noon.")
        ids = [factories.Response(project=desk, asked="When?", text=text, model="desk-canary").id for text in texts]
        two, three = add_comparisons(committed, desk, [(ids[:2], Wish()), (ids, Wish())], added_by=None)
        committed.commit()

        lead.post(f"{address_of(two)}/closing")
        assert "canary" not in lead.get(address_of(two)).text

        lead.post(f"{address_of(three)}/closing")
        assert "desk-canary" in lead.get(address_of(two)).text

    def test_a_lead_who_judged_a_comparison_asks_for_its_models_where_that_is_kept(self, committed, desk, lead):
        publish_rubric(committed, desk, Rubric.model_validate({"criteria": factories.CRITERIA}))
        ids = [factories.Response(project=desk, asked="When?", text=text, model="desk-canary").id for text in "ab"]
        (item,) = add_comparisons(committed, desk, [(ids, Wish())], added_by=None)
        lease = leases.claim(committed, desk, lead.user)
        answers = Answers.read(rubric_of(committed, item), {"ranking": "all_bad"}, judged_of(committed, item))
        review = submit_review(committed, lease, answers)
        committed.commit()
        assert item.closed_at is not None

        before = lead.get(address_of(item)).text
        assert "canary" not in before
        own = re.search(rf'href="([^"]*{review.id})"', before)[1]
        lead.post(f"{own}/disclosure")

        assert "desk-canary" in lead.get(address_of(item)).text

    def test_it_gives_back_what_somebody_holds(self, committed, desk, lead, member, add):
        item, kim = add("An answer."), member(name="Kim")
        lease = leases.claim(committed, desk, kim)
        address = f"{address_of(item)}/leases/{lease.id}/end"
        committed.commit()

        answer = lead.post(address, follow_redirects=True)

        assert "Kim holds it no longer." in words_of(answer.text)
        committed.expire_all()
        assert (lease.ended_as, item.open_slots) == ("given_back", 1)
        entry = committed.scalar(select(AuditEntry).where(AuditEntry.action == "lease_taken_away"))
        assert (entry.actor_id, entry.details) == (lead.user.id, {"user": str(kim.id)})

    def test_it_makes_a_comparison_of_answers_to_the_same_question(self, committed, desk, lead):
        ours, theirs = (factories.Response(project=desk, asked="When?", text=text) for text in ("At nine.", "At ten."))
        theirs.model = "desk-canary"
        publish_rubric(committed, desk, Rubric.model_validate({"criteria": factories.CRITERIA}))
        item = add_item(committed, desk, [ours])
        committed.commit()
        assert "Other answers to this question 1 At ten." in words_of(lead.get(address_of(item)).text)

        answer = lead.post(f"{address_of(item)}/comparisons", data={"response": str(theirs.id)}, follow_redirects=True)

        words = words_of(answer.text)
        assert "2 answers wait to be compared." in words
        assert "Response B" in words
        assert "canary" not in answer.text

    @pytest.mark.parametrize("typed", ["", "nonsense", "00000000-0000-0000-0000-000000000000"])
    def test_it_compares_with_no_answer_that_is_not_there(self, committed, lead, add, typed):
        item = add("An answer.")

        assert lead.post(f"{address_of(item)}/comparisons", data={"response": typed}).status_code in (404, 422)
        assert "choose at least one" in lead.post(f"{address_of(item)}/comparisons", follow_redirects=True).text

    def test_it_reviews_no_conversation_where_there_is_none(self, lead, add):
        assert lead.post(f"{address_of(add('An answer.'))}/conversations").status_code == 404


class TestFilters:
    def test_it_marks_what_was_searched_for(self, lead, add, shared_database):
        add("We refund <b>within</b> a day.")
        add("Something else.")
        index_everything(shared_database)

        page = lead.get(f"{QUEUE}?search=refund+day").text

        assert "<mark>refund</mark>" in page
        assert "&lt;b&gt;within&lt;/b&gt;" in page
        assert "Something else." not in page

    @pytest.mark.parametrize("typed", ['"', "NEAR(", "*", "a:b", "%00", "x" * 4000, "&#x27;; --"])
    def test_it_takes_whatever_is_searched_for(self, lead, add, typed):
        add("An answer.")

        assert lead.get(QUEUE, query_string={"search": typed}).status_code == 200

    def test_it_narrows_the_list(self, committed, desk, lead, member, add):
        kim = member(name="Kim")
        usual, raised = add("Usual one."), add("Raised one.", priority=2)
        assign(committed, usual, kim, by=None)
        committed.commit()

        def words(**chosen):
            return words_of(lead.get(QUEUE, query_string=chosen).text)

        assert "Usual one." not in words(priority="raised")
        assert "Raised one." not in words(person=str(kim.id))
        assert "Usual one." not in words(person="nobody")
        assert "No item fits" in words(kind="conversation")
        assert "No item fits" in words(age="30")
        assert words(rule="nonsense", kind="nonsense", sort="nonsense").count(" one.") == 2
        assert raised.priority == 2


class TestRules:
    def test_it_switches_a_rule_on(self, committed, desk, lead):
        answer = lead.post(RULES, data=typed(name="Complaints", whom="complaints", part="5"), follow_redirects=True)

        words = words_of(answer.text)
        assert "“Complaints” is on." in words
        assert "5 in 100 of responses that end users complained about, 1 review each" in words

    def test_it_lets_a_rule_look_back_when_asked(self, committed, desk, lead):
        answer = lead.post(RULES, data=typed(name="All", include_earlier="on"), follow_redirects=True)

        assert "and draws from those that are here already" in words_of(answer.text)
        assert committed.scalar(select(Job.kind).where(Job.kind == "queue.draw_from_earlier"))

    def test_it_makes_a_new_version_of_a_changed_rule(self, committed, desk, lead):
        rule = create_rule(committed, desk, "All", Terms(condition=AllCondition(), rate=0.05))
        committed.commit()

        lead.post(f"{RULES}/{rule.id}", data=typed(part="1.2", reviews_wanted="2"))

        words = words_of(lead.get(f"{RULES}/{rule.id}").text)
        assert "12 in 1,000 of all responses, 2 reviews each" in words
        assert "Version 2" in words
        assert "5 in 100 of all responses, 1 review each" in words

    def test_it_shows_a_rule_as_it_was_typed(self, committed, desk, lead):
        terms = Terms(condition=FeedbackCondition(feedback_kind="stars", value="4"), rate=0.0012, priority=-2)
        rule = create_rule(committed, desk, "Stars", terms)
        committed.commit()
        page = lead.get(f"{RULES}/{rule.id}").text
        shown = dict(re.findall(r'<input class="input[^>]*name="(\w+)"[^>]*value="([^"]*)"', page))
        shown = {name: value.replace("&#34;", '"') for name, value in shown.items()}

        lead.post(f"{RULES}/{rule.id}", data={**shown, "whom": "feedback"})

        committed.expire_all()
        assert terms_of(newest_version(committed, rule)) == terms

    @pytest.mark.parametrize(
        ("field", "value", "sentence"),
        [
            ("name", " ", "name"),
            ("part", "0", "A share such as 5 in 100"),
            ("part", "101", "A share such as 5 in 100"),
            ("part", "nan", "A share such as 5 in 100"),
            ("whole", "0", "A share such as 5 in 100"),
            ("part", "many", "A share such as 5 in 100"),
            ("reviews_wanted", "0", "A whole number from 1 to 100."),
            ("priority", "1000", "A whole number from -365 to 365."),
            ("whom", "nobody", "Choose which responses this rule is about."),
        ],
    )
    def test_it_names_what_cannot_be_and_keeps_what_was_typed(self, committed, lead, field, value, sentence):
        answer = lead.post(RULES, data=typed(**{"name": "Mine", "model": "desk-7", field: value}))

        assert answer.status_code == 422
        assert sentence in words_of(answer.text)
        assert 'value="desk-7"' in answer.text
        assert committed.query(Rule).count() == 0

    def test_it_asks_which_model(self, lead):
        answer = lead.post(RULES, data=typed(whom="model"))

        assert answer.status_code == 422
        assert "as the client sends it" in words_of(answer.text)

    def test_it_takes_each_name_once(self, committed, desk, lead):
        create_rule(committed, desk, "All", Terms(condition=AllCondition(), rate=0.05))
        committed.commit()

        answer = lead.post(RULES, data=typed(name="All"))

        assert answer.status_code == 422
        assert "already a rule with this name" in words_of(answer.text)

    def test_a_rule_may_be_an_expression(self, committed, lead):
        wrong = lead.post(RULES, data=typed(whom="expression", expression="signals.refusal >"))
        assert wrong.status_code == 422
        assert "Character 18: it ends too early." in words_of(wrong.text)

        lead.post(RULES, data=typed(whom="expression", expression="signals.refusal > 0"))

        assert "5 in 100 of responses with signals.refusal > 0" in words_of(lead.get(QUEUE).text)
        rule = committed.scalars(select(Rule)).one()
        page = lead.get(f"{RULES}/{rule.id}").text
        assert "signals.refusal &gt; 0</textarea>" in page
        assert "signals.asked_for_person" in page

    def test_it_says_what_a_rule_would_have_drawn(self, committed, desk, lead):
        models = ["desk-7"] * 6 + ["desk-8"] * 3
        made = [factories.Response(project=desk, asked=f"{n % 5}?", model=one) for n, one in enumerate(models)]
        factories.Response(model="desk-7")
        for response in made[:2]:
            given = {"kind": "thumbs", "value": False, "given_at": clock.now()}
            committed.add(Feedback(project_id=desk.id, response_id=response.id, **given))
        committed.commit()

        def says(**values):
            said = lead.get(f"{RULES}/preview", query_string=typed(whole="2", part="1") | values)
            return words_of(f"<main>{said.text}</main>")

        assert says() == "Would have drawn about 4 of the last 9 responses; 9 fit."
        assert says(whom="model", model="desk-8", part="2") == "Would have drawn 3 of the last 9 responses; 3 fit."
        assert says(whom="complaints") == "Would have drawn about 1 of the last 9 responses; 2 fit."
        assert says(whom="model", model="desk-9") == "Would have drawn 0 of the last 9 responses; 0 fit."
        # The inputs 1, 2 and 3 were answered by both models.
        assert says(compare_at_most="2", part="2") == (
            "Would have compared 3 of 3 inputs that several models answered, among the last 9 responses."
        )
        assert says(part="none") == "Fill in the rest, and this says how many it would have drawn."
        assert "Would have drawn" in words_of(lead.get(f"{RULES}/new").text)

    def test_it_says_what_the_rubric_keeps_a_rule_from(self, committed, desk, lead):
        create_rule(committed, desk, "Compare", Terms(compare=Comparing(at_least=2, at_most=3), rate=1))
        committed.commit()
        assert "The rubric in use" not in lead.get(QUEUE).text

        for kind, said in (("pairwise", "compares two responses and no more"), ("thumbs", "compares no responses")):
            criteria = [{"kind": kind, "name": "good", "label": "Good"}]
            publish_rubric(committed, desk, Rubric.model_validate({"criteria": criteria}))
            committed.commit()
            assert f"The rubric in use {said}" in lead.get(QUEUE).text

    def test_it_switches_a_rule_off(self, committed, desk, lead):
        rule = create_rule(committed, desk, "All", Terms(condition=AllCondition(), rate=0.05))
        committed.commit()

        words = words_of(lead.post(f"{RULES}/{rule.id}/end", follow_redirects=True).text)

        assert "“All” is off." in words
        assert "No rule yet" in words
        assert "This rule is off." in words_of(lead.get(f"{RULES}/{rule.id}").text)


@pytest.fixture
def lead(sign_in, member):
    """A lead's browser; `lead.user` is the person."""
    user = member("lead", name="Ana Lima")
    browser = sign_in(user)
    browser.user = user
    return browser


@pytest.fixture
def add(committed, desk):
    """Puts a response into the queue: add("What it says", priority=2)."""

    def make(text, **how):
        item = add_item(committed, desk, [factories.Response(project=desk, text=text)], **how)
        committed.commit()
        return item

    return make


def address_of(item: Item) -> str:
    return f"/projects/hotel-desk/items/{item.id}"


def typed(**values):
    form = {"name": "All", "whom": "all", "part": "5", "whole": "100", "priority": "0", "reviews_wanted": "1"}
    return form | values


def review(db, project, person, lease=None, **said) -> Review:
    lease = lease or leases.claim(db, project, person)
    rubric = rubric_of(db, lease.item)
    given = {criterion.name: criterion.points[0].value for criterion in rubric.criteria if criterion.kind == "scale"}
    made = submit_review(db, lease, Answers.read(rubric, given, judged_of(db, lease.item), **said))
    db.commit()
    return made


def late_review(db, project, item, late, other) -> Review:
    """The first lets their time pass, the other takes the slot."""
    lease = leases.claim(db, project, late)
    lease.expires_at = clock.now() - timedelta(minutes=1)
    db.flush()
    review(db, project, other)
    return review(db, project, late, lease)
