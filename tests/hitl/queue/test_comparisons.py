"""Comparisons made by hand, and by rules."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from hitl.accounts.models import Project
from hitl.capture.models import Feedback
from hitl.core import clock
from hitl.queue import leases
from hitl.queue.capacity import draws_by_rule
from hitl.queue.comparisons import add_comparisons
from hitl.queue.drawing import apply_feedback_rules, apply_rules
from hitl.queue.errors import DifferentInputs, SameAnswers, SameResponseTwice, UnknownResponses, WrongNumberToCompare
from hitl.queue.items import Wish
from hitl.queue.models import ComparedSet, InputSelection, Item, ItemTarget, Selection
from hitl.queue.queries import rule_tallies
from hitl.queue.reasons import why_here
from hitl.queue.rules import Comparing, FeedbackCondition, ModelCondition, Terms, change_rule, create_rule, end_rule
from hitl.queue.schemas import lease_as_json
from hitl.review.errors import NothingToCompareBy
from tests.hitl import factories

THUMBS = [{"kind": "thumbs", "name": "good", "label": "Good"}]
PAIRWISE = [{"kind": "pairwise", "name": "better", "label": "Better"}]
TRIO = Terms(compare=Comparing(at_least=2, at_most=3), rate=1)


@pytest.fixture
def answers(project):
    """A function that makes responses to one question, each by a model of its own."""

    def make(*texts, asked="Why?", **more):
        return [
            factories.Response(project=project, asked=asked, text=text, model=f"model-{text}", **more) for text in texts
        ]

    return make


def ids(responses):
    return [response.id for response in responses]


def compared_in(item):
    return {target.response_id for target in item.targets}


class TestByHand:
    def test_it_makes_one_item_of_several_responses(self, db, project, answers):
        responses = answers("a", "b", "c")

        (item,) = add_comparisons(db, project, [(ids(responses), Wish(2, 1))])

        assert (item.kind, item.reviews_wanted, item.open_slots, item.priority) == ("comparison", 2, 2, 1)
        assert compared_in(item) == set(ids(responses))
        assert why_here(db, item) == ["picked by hand"]

    def test_the_same_responses_are_compared_once_whatever_their_order(self, db, project, answers):
        responses = ids(answers("a", "b", "c"))

        (first,) = add_comparisons(db, project, [(responses, Wish())])
        again = add_comparisons(db, project, [(responses[::-1], Wish(2)), (responses, Wish(3, 4))])
        (others,) = add_comparisons(db, project, [(responses[:2], Wish())])

        assert again == [first, first]
        assert (first.reviews_wanted, first.priority) == (3, 4)
        assert others != first

    @pytest.mark.parametrize("count", [0, 1, 10])
    def test_it_compares_two_to_nine(self, db, project, answers, count):
        responses = answers(*map(str, range(count)))

        with pytest.raises(WrongNumberToCompare) as refused:
            add_comparisons(db, project, [(ids(responses), Wish())], at="/comparisons")

        assert refused.value.param == "/comparisons/0"

    def test_it_compares_nine(self, db, project, answers):
        assert add_comparisons(db, project, [(ids(answers(*"abcdefghi")), Wish())])

    def test_it_refuses_what_cannot_be_compared(self, db, project, answers):
        a, b = answers("a", "b")
        (elsewhere,) = answers("b", asked="Who?")
        stranger = factories.Response(asked="Why?")
        (same,) = answers("  a\n")

        for error, responses in (
            (SameResponseTwice, [a, b, a]),
            (DifferentInputs, [a, elsewhere]),
            (UnknownResponses, [a, stranger]),
            (SameAnswers, [a, same]),
        ):
            with pytest.raises(error):
                add_comparisons(db, project, [(ids(responses), Wish())])
        assert db.scalar(select(func.count()).select_from(Item)) == 0

    @pytest.mark.parametrize(
        ("rubric", "texts", "fits"), [(THUMBS, "ab", 0), (PAIRWISE, "ab", 1), (PAIRWISE, "abc", 0)]
    )
    def test_the_rubric_must_compare_so_many(self, db, rubric, texts, fits):
        project = factories.Project(rubric=rubric)
        responses = [factories.Response(project=project, asked="Why?", text=text) for text in texts]

        if fits:
            assert add_comparisons(db, project, [(ids(responses), Wish())])
        else:
            with pytest.raises(NothingToCompareBy):
                add_comparisons(db, project, [(ids(responses), Wish())])

    def test_picked_at_once_the_same_responses_make_one_item(self, shared_database, committed):
        project = factories.Project()
        responses = [factories.Response(project=project, asked="Why?", text=text) for text in "abc"]
        committed.commit()
        together = threading.Barrier(6)

        def pick(order):
            together.wait()
            with shared_database.writing() as db:
                (item,) = add_comparisons(db, db.get_one(Project, project.id), [(order, Wish())])
                return item.id

        with ThreadPoolExecutor(6) as pool:
            made = set(pool.map(pick, permutations(ids(responses))))

        assert len(made) == 1
        with shared_database.reading() as db:
            assert db.scalars(select(Item.id)).all() == [*made]
            assert db.scalar(select(func.count()).select_from(ItemTarget)) == 3


class TestByRule:
    def test_it_compares_the_answers_of_different_models_to_one_input(self, db, project, answers):
        rule = create_rule(db, project, "Compare", TRIO)
        responses = answers("a", "b", "c")
        (alone,) = answers("a", asked="Who?")

        assert apply_rules(db, project, ids([*responses, alone])) == 1

        item = db.scalars(select(Item)).one()
        assert compared_in(item) == set(ids(responses))
        draw = db.scalars(select(InputSelection)).one()
        assert (draw.input_hash, draw.is_drawn, draw.item_id) == (responses[0].input_hash, True, item.id)
        assert why_here(db, item) == ["inputs with different answers, taken from all responses"]
        assert {rule_id: (e, d) for rule_id, e, d in db.execute(rule_tallies(project))} == {rule.id: (1, 1)}
        assert draws_by_rule(db, project)[rule.id].drawn == 1

    def test_an_input_draws_once_whatever_comes_in_later(self, db, project, answers):
        create_rule(db, project, "Compare", TRIO)
        first = answers("a", "b")
        apply_rules(db, project, ids(first))
        apply_rules(db, project, ids(answers("c", "d")))
        apply_rules(db, project, ids(first))

        assert compared_in(db.scalars(select(Item)).one()) == set(ids(first))

    def test_it_waits_for_as_many_as_it_wants_and_takes_no_more(self, db, project, answers):
        create_rule(db, project, "Compare", Terms(compare=Comparing(at_least=3, at_most=3), rate=1))

        assert apply_rules(db, project, ids(answers("a", "b"))) == 0
        assert db.scalar(select(InputSelection.id)) is None
        assert apply_rules(db, project, ids(answers("c", "d", "e"))) == 1
        assert len(db.scalars(select(Item)).one().targets) == 3

    def test_the_same_model_the_same_words_and_other_projects_do_not_count(self, db, project, answers):
        create_rule(db, project, "Compare", TRIO)
        (a,) = answers("a")
        factories.Response(project=project, asked="Why?", text="other words", model="model-a")
        factories.Response(asked="Why?", text="b", model="model-c")
        (b,) = answers("b", asked="Who?")
        factories.Response(project=project, asked="Who?", text=" b ", model="model-c")

        assert apply_rules(db, project, [a.id, b.id]) == 0
        newer = factories.Response(project=project, asked="Why?", text="b", model="model-a", model_version="2")
        assert apply_rules(db, project, [newer.id]) == 1

    @pytest.mark.parametrize("number", range(4))
    def test_it_finds_two_that_differ_wherever_there_are_two(self, db, project, number):
        create_rule(db, project, "Compare", TRIO)
        said = [("a", "same"), ("a", "other"), ("b", "same")]
        responses = [
            factories.Response(project=project, asked=f"Why {number}?", model=model, text=text) for model, text in said
        ]

        assert apply_rules(db, project, ids(responses[:1])) == 1
        assert compared_in(db.scalars(select(Item)).one()) == {responses[1].id, responses[2].id}

    def test_an_input_that_one_model_answers_all_the_time_costs_little(self, db, project):
        create_rule(db, project, "Compare", TRIO)
        words = "Hello! How can I help you today? " * 300
        greetings = [
            factories.Response(project=project, asked="Hi", text=f"{n} {words}", model="m") for n in range(150)
        ]
        began = time.process_time()

        assert apply_rules(db, project, ids(greetings[:1])) == 0

        assert time.process_time() - began < 2  # comparing each with each would take several times as long

    def test_its_condition_fits_one_of_those_compared(self, db, project, answers):
        terms = Terms(condition=ModelCondition(name="model-z"), compare=Comparing(at_most=2), rate=1)
        create_rule(db, project, "Compare", terms)
        assert apply_rules(db, project, ids(answers("a", "b", "c", "d"))) == 0

        (z,) = answers("z")
        assert apply_rules(db, project, [z.id]) == 1

        assert z.id in compared_in(db.scalars(select(Item)).one())

    def test_a_complaint_makes_an_input_eligible_later(self, db, project, answers):
        terms = Terms(condition=FeedbackCondition(negative_only=True), compare=Comparing(at_most=2), rate=1)
        create_rule(db, project, "Compare", terms)
        a, b = answers("a", "b")
        apply_rules(db, project, [a.id, b.id])
        db.add(Feedback(project_id=project.id, response_id=b.id, kind="thumbs", value=False, given_at=clock.now()))
        db.flush()

        assert apply_feedback_rules(db, project, [b.id]) == 1

    def test_it_draws_its_share_and_keeps_what_was_not_drawn(self, db, project, answers):
        create_rule(db, project, "Compare", Terms(compare=Comparing(), rate=0.3))
        for number in range(60):
            apply_rules(db, project, ids(answers("a", "b", asked=f"Question {number}?")))

        drawn = Counter(db.scalars(select(InputSelection.is_drawn)))
        assert sum(drawn.values()) == 60
        assert 5 <= drawn[True] <= 33  # 18 expected, plus or minus four standard deviations
        assert db.scalar(select(func.count()).select_from(Item)) == drawn[True]

    def test_it_leaves_the_draws_of_responses_alone(self, db, project, answers):
        create_rule(db, project, "Compare", TRIO)
        create_rule(db, project, "Everything", Terms(rate=1))
        responses = answers("a", "b")

        assert apply_rules(db, project, ids(responses)) == 3

        assert {row.response_id for row in db.scalars(select(Selection))} == set(ids(responses))
        assert Counter(db.scalars(select(Item.kind))) == {"response": 2, "comparison": 1}
        for item in db.scalars(select(Item).where(Item.kind == "response")):
            assert why_here(db, item) == ["all responses"]

    def test_two_rules_that_draw_the_same_responses_share_an_item(self, db, project, answers):
        create_rule(db, project, "One", TRIO)
        create_rule(db, project, "Two", Terms(compare=Comparing(), rate=1, reviews_wanted=3))
        apply_rules(db, project, ids(answers("a", "b")))

        item = db.scalars(select(Item)).one()
        assert item.reviews_wanted == 3
        assert db.scalars(select(InputSelection.item_id)).all() == [item.id, item.id]

    def test_where_the_rubric_compares_nothing_it_waits_until_it_does(self, db, project, answers):
        create_rule(db, project, "Compare", TRIO)
        with_ranking = project.rubric_version_id
        project.rubric_version_id = factories.RubricVersion(project_id=project.id, number=2, criteria=THUMBS).id
        responses = answers("a", "b")

        assert apply_rules(db, project, ids(responses)) == 0
        project.rubric_version_id = with_ranking
        assert apply_rules(db, project, ids(responses)) == 1

    def test_a_rule_needs_a_rubric_that_compares_so_many(self, db):
        project = factories.Project(rubric=PAIRWISE)
        with pytest.raises(NothingToCompareBy):
            create_rule(db, project, "Compare", TRIO)
        rule = create_rule(db, project, "Compare", Terms(compare=Comparing(at_most=2), rate=1))
        with pytest.raises(NothingToCompareBy):
            change_rule(db, rule, TRIO)
        end_rule(db, rule)

    @pytest.mark.parametrize(("least", "most"), [(1, 2), (2, 10), (3, 2), (0, 0)])
    def test_it_refuses_numbers_that_make_no_comparison(self, least, most):
        with pytest.raises(ValidationError):
            Terms(compare={"at_least": least, "at_most": most}, rate=1)

    def test_captures_at_once_make_one_comparison_of_an_input(self, shared_database, committed):
        project = factories.Project()
        create_rule(committed, project, "One", TRIO)
        create_rule(committed, project, "Two", Terms(compare=Comparing(), rate=1))
        by_input = [
            [factories.Response(project=project, asked=asked, text=text, model=text) for text in "abcd"]
            for asked in ("Why?", "Who?", "When?")
        ]
        committed.commit()
        together = threading.Barrier(4)

        def apply(place):
            batch = [responses[place].id for responses in by_input]
            together.wait()
            with shared_database.writing() as db:
                return apply_rules(db, db.get_one(Project, project.id), batch)

        with ThreadPoolExecutor(4) as pool:
            drawn = sum(pool.map(apply, range(4)))

        assert drawn == 6
        with shared_database.reading() as db:
            items = db.scalar(select(func.count()).select_from(Item))
            assert items == db.scalar(select(func.count()).select_from(ComparedSet))
            assert db.scalar(select(func.count()).select_from(InputSelection)) == 6
            assert db.scalar(select(func.count()).where(InputSelection.item_id.is_(None))) == 0


class TestOrder:
    def test_each_reviewer_has_an_order_of_their_own_and_keeps_it(self, db, project, join, answers):
        (item,) = add_comparisons(db, project, [(ids(answers(*"abcde")), Wish(100))])
        orders = set()
        for _ in range(12):
            reviewer = join()
            lease = leases.claim(db, project, reviewer)
            shown = [target["response_id"] for target in lease_as_json(db, lease, item)["targets"]]
            orders.add(tuple(shown))
            leases.give_back(db, lease)
            again = leases.claim(db, project, reviewer)
            assert again.id != lease.id
            assert [target["response_id"] for target in lease_as_json(db, again, item)["targets"]] == shown
            leases.complete(db, again)
            assert leases.reopen(db, again, counted=True).shuffle_seed == lease.shuffle_seed

        assert len(orders) > 8
        assert {name for order in orders for name in order}.isdisjoint(map(str, compared_in(item)))

    def test_every_response_comes_first_equally_often(self, db, project, join, answers):
        (item,) = add_comparisons(db, project, [(ids(answers(*"abc")), Wish(100))])
        first = Counter()
        for _ in range(60):
            lease = leases.claim(db, project, join())
            first[lease_as_json(db, lease, item)["targets"][0]["output"]["content"]] += 1

        assert set(first) == set("abc")
        assert max(first.values()) <= 36  # 20 expected; more than four standard deviations off is no chance
