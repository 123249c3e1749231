import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from hitl.capture.events import FeedbackGiven, ResponsesCaptured
from hitl.capture.models import Conversation, Feedback
from hitl.core import clock, events
from hitl.core.ids import new_id
from hitl.core.jobs import Job
from hitl.core.secrets import keys_of
from hitl.queue.drawing import apply_rules
from hitl.queue.errors import RuleEnded, RuleNameTaken
from hitl.queue.items import add_item
from hitl.queue.models import Item, ItemTarget, RuleVersion, Selection
from hitl.queue.reasons import share_in_words, why_here
from hitl.queue.rules import (
    FeedbackCondition,
    ModelCondition,
    Terms,
    change_rule,
    create_rule,
    draw,
    end_rule,
    inclusion_probability,
    terms_of,
)
from hitl.queue.subscribers import draw_from_captured, draw_from_feedback
from tests.hitl import factories

ALWAYS = Terms(rate=1)


class TestCreateRule:
    def test_it_keeps_what_the_rule_says(self, db, project):
        terms = Terms(condition=ModelCondition(name="desk-small"), rate=0.25, priority=2, reviews_wanted=3)

        rule = create_rule(db, project, "Desk", terms)

        assert [terms_of(version) for version in rule.versions] == [terms]

    def test_it_refuses_a_name_that_is_taken(self, db, project):
        create_rule(db, project, "Everything", ALWAYS)
        with pytest.raises(RuleNameTaken):
            create_rule(db, project, "Everything", ALWAYS)

    @pytest.mark.parametrize("rate", [0, -0.1, 1.01, float("nan")])
    def test_it_takes_rates_above_zero_up_to_one(self, rate):
        with pytest.raises(ValidationError):
            Terms(rate=rate)


class TestChangeRule:
    def test_it_is_followed_by_a_new_version(self, db, project):
        rule = create_rule(db, project, "Everything", ALWAYS)

        change_rule(db, rule, Terms(rate=0.5))

        versions = db.execute(select(RuleVersion.number, RuleVersion.rate).order_by(RuleVersion.number)).all()
        assert [tuple(version) for version in versions] == [(1, 1.0), (2, 0.5)]

    def test_it_makes_no_version_of_no_change(self, db, project):
        rule = create_rule(db, project, "Everything", ALWAYS)
        assert change_rule(db, rule, Terms(rate=1)).number == 1

    def test_it_refuses_a_rule_that_was_switched_off(self, db, project):
        rule = create_rule(db, project, "Everything", ALWAYS)
        end_rule(db, rule)
        with pytest.raises(RuleEnded):
            change_rule(db, rule, Terms(rate=0.5))


class TestApplyRules:
    def test_it_draws_a_share_and_keeps_who_was_eligible(self, db, project):
        rule = create_rule(db, project, "A fifth", Terms(rate=0.2))
        responses = [factories.Response(project=project) for _ in range(200)]

        drawn = apply_rules(db, project, [response.id for response in responses])

        selections = db.scalars(select(Selection)).all()
        assert len(selections) == 200
        assert drawn == sum(selection.is_drawn for selection in selections) == db.scalar(item_count(project))
        key = keys_of(db).sampling
        assert drawn == sum(draw(key, rule.id, response.client_id) < 0.2 for response in responses)
        assert 15 < drawn < 70  # more than five standard deviations either way

    def test_it_is_safe_to_repeat(self, db, project):
        create_rule(db, project, "Everything", ALWAYS)
        response = factories.Response(project=project)

        assert [apply_rules(db, project, [response.id]) for _ in range(2)] == [1, 0]
        assert db.scalar(item_count(project)) == 1

    def test_it_gives_a_response_one_item_with_most_reviews_and_highest_priority(self, db, project):
        create_rule(db, project, "Thorough", Terms(rate=1, reviews_wanted=3))
        create_rule(db, project, "Soon", Terms(rate=1, priority=2))
        response = factories.Response(project=project)

        apply_rules(db, project, [response.id])

        item = db.scalars(select(Item)).one()
        assert (item.reviews_wanted, item.priority) == (3, 2)
        assert len(db.scalars(select(Selection)).all()) == 2

    def test_it_fits_models_and_their_versions(self, db, project):
        create_rule(db, project, "Model", Terms(condition=ModelCondition(name="a", version="2"), rate=1))
        right = factories.Response(project=project, model="a", model_version="2")
        others = [
            factories.Response(project=project, model="a", model_version="1"),
            factories.Response(project=project, model="b", model_version="2"),
            factories.Response(project=project, model=None),
        ]

        apply_rules(db, project, [right.id, *(other.id for other in others)])

        assert db.scalars(select(Selection.response_id)).all() == [right.id]

    def test_it_draws_when_the_feedback_comes(self, db, project):
        create_rule(
            db, project, "Complaints", Terms(condition=FeedbackCondition(negative_only=True), rate=1, priority=1)
        )
        response = factories.Response(project=project)
        assert apply_rules(db, project, [response.id]) == 0

        say(db, project, value=False, response_id=response.id)
        assert apply_rules(db, project, [response.id]) == 1
        assert db.scalars(select(Item.priority)).one() == 1

    def test_it_hears_feedback_about_the_conversation(self, db, project):
        create_rule(
            db, project, "Two stars", Terms(condition=FeedbackCondition(feedback_kind="stars", value=2), rate=1)
        )
        conversation = Conversation(project_id=project.id, client_id="c-1")
        db.add(conversation)
        db.flush()
        inside = factories.Response(project=project, conversation_id=conversation.id)
        outside = factories.Response(project=project)
        say(db, project, kind="stars", value=2, conversation_id=conversation.id)

        apply_rules(db, project, [inside.id, outside.id])

        assert db.scalars(select(Selection.response_id)).all() == [inside.id]

    def test_it_uses_no_rule_that_was_switched_off(self, db, project):
        end_rule(db, create_rule(db, project, "Everything", ALWAYS))
        assert apply_rules(db, project, [factories.Response(project=project).id]) == 0

    def test_it_uses_what_a_rule_says_now(self, db, project):
        rule = create_rule(db, project, "Everything", ALWAYS)
        change_rule(db, rule, Terms(rate=0.5, reviews_wanted=2))
        apply_rules(db, project, [factories.Response(project=project).id])

        assert db.scalars(select(Selection.rate)).one() == 0.5

    def test_it_leaves_other_projects_alone(self, db, project):
        create_rule(db, project, "Everything", ALWAYS)
        assert apply_rules(db, project, [factories.Response().id]) == 0

    def test_it_happens_after_responses_and_feedback(self, db, project):
        create_rule(db, project, "Everything", ALWAYS)
        response = factories.Response(project=project)
        fact = ResponsesCaptured(project.id, [response.id])
        events.publish(db, fact)
        events.publish(db, FeedbackGiven(project.id, [response.id]))

        assert {job.kind for job in db.scalars(select(Job))} >= {
            "hitl.queue.subscribers.draw_from_captured",
            "hitl.queue.subscribers.draw_from_feedback",
        }
        draw_from_captured(db, fact)
        assert db.scalar(item_count(project)) == 1


class TestApplyFeedbackRules:
    def test_it_draws_with_the_rules_about_feedback_alone(self, db, project):
        old = factories.Response(project=project, model="desk-small")
        create_rule(db, project, "Everything", ALWAYS)
        create_rule(db, project, "One model", Terms(condition=ModelCondition(name="desk-small"), rate=1))
        complaints = create_rule(db, project, "Complaints", Terms(condition=FeedbackCondition(), rate=1))
        say(db, project, value=False, response_id=old.id)

        draw_from_feedback(db, FeedbackGiven(project.id, [old.id]))

        # The others are younger than the response: drawn only because of its feedback, it would bend their samples.
        assert db.scalars(select(Selection.rule_id)).all() == [complaints.id]

    def test_it_keeps_the_draws_of_a_new_response(self, db, project):
        everything = create_rule(db, project, "Everything", ALWAYS)
        complaints = create_rule(db, project, "Complaints", Terms(condition=FeedbackCondition(), rate=1))
        response = factories.Response(project=project)
        say(db, project, value=False, response_id=response.id)

        draw_from_feedback(db, FeedbackGiven(project.id, [response.id]))
        draw_from_captured(db, ResponsesCaptured(project.id, [response.id]))

        assert set(db.scalars(select(Selection.rule_id))) == {everything.id, complaints.id}


class TestFeedbackCondition:
    def test_it_takes_no_thumb_for_a_star(self):
        assert not FeedbackCondition(value=1).fits(Feedback(kind="thumbs", value=True))
        assert FeedbackCondition(value=True).fits(Feedback(kind="thumbs", value=True))

    def test_it_keeps_the_type_of_its_value(self):
        for value in (True, 1.0, "bad"):
            condition = FeedbackCondition.model_validate_json(FeedbackCondition(value=value).model_dump_json())
            assert type(condition.value) is type(value)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_it_takes_no_value_that_json_cannot_keep(self, value):
        with pytest.raises(ValidationError):
            FeedbackCondition(value=value)

    def test_it_asks_for_complaints_or_a_value(self):
        with pytest.raises(ValidationError):
            FeedbackCondition(negative_only=True, value=1)


class TestDraw:
    def test_it_is_uniform_repeatable_and_independent_between_rules(self):
        one, other = new_id(), new_id()
        numbers = [draw(b"k" * 32, one, str(n)) for n in range(4000)]
        others = [draw(b"k" * 32, other, str(n)) for n in range(4000)]

        assert numbers == [draw(b"k" * 32, one, str(n)) for n in range(4000)]
        assert all(0 <= number < 1 for number in numbers)
        assert abs(sum(numbers) / 4000 - 0.5) < 0.025  # five standard deviations
        both = sum(a < 0.5 and b < 0.5 for a, b in zip(numbers, others, strict=True))
        assert abs(both / 4000 - 0.25) < 0.035

    def test_it_depends_on_the_key(self):
        rule_id = new_id()
        assert draw(b"a" * 32, rule_id, "r") != draw(b"b" * 32, rule_id, "r")


class TestInclusionProbability:
    @pytest.mark.parametrize(
        ("rates", "probability"), [([], 0), ([0.05], 0.05), ([0.5, 0.5], 0.75), ([1, 0.1], 1), ([0.1, 0.2, 0.5], 0.64)]
    )
    def test_it_is_one_minus_the_product_of_misses(self, rates, probability):
        assert inclusion_probability(rates) == pytest.approx(probability)


class TestWhyHere:
    def test_it_names_the_sample_and_its_share(self, db, project):
        rule = create_rule(db, project, "Secret name", Terms(rate=0.05))
        response = factories.Response(project=project)
        item = add_item(db, project, [response])
        version = db.scalars(select(RuleVersion)).one()
        db.add(
            Selection(response_id=response.id, rule_id=rule.id, rule_version_id=version.id, rate=0.05, is_drawn=True)
        )
        db.flush()

        assert why_here(db, item) == ["random sample of all responses, 5 in 100"]

    def test_it_never_names_a_model_or_a_rule(self, db, project):
        terms = Terms(condition=ModelCondition(name="canary-model", version="canary-version"), rate=1)
        create_rule(db, project, "canary-rule", terms)
        response = factories.Response(project=project, model="canary-model", model_version="canary-version")
        apply_rules(db, project, [response.id])

        assert why_here(db, db.scalars(select(Item)).one()) == ["all responses of one model"]

    def test_it_says_what_was_picked_by_hand(self, db, project, ann):
        item = add_item(db, project, [factories.Response(project=project)], added_by=ann)
        assert why_here(db, item) == ["picked by hand"]

    @pytest.mark.parametrize(
        ("rate", "words"),
        [(0.05, "5 in 100"), (0.001, "1 in 1,000"), (0.012, "12 in 1,000"), (1 / 3, "33.3 in 100"), (0.5, "50 in 100")],
    )
    def test_it_says_shares_as_people_do(self, rate, words):
        assert share_in_words(rate) == words


def item_count(project):
    return select(func.count()).select_from(ItemTarget).join(Item).where(Item.project_id == project.id)


def say(db, project, *, kind="thumbs", value, **about):
    db.add(Feedback(project_id=project.id, kind=kind, value=value, given_at=clock.now(), **about))
    db.flush()
