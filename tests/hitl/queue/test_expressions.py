"""Rules whose condition is an expression, the same as in the policy of live conversations."""

import time

import pytest
from sqlalchemy import select

from hitl.accounts.models import AuditEntry
from hitl.capture.events import FeedbackGiven
from hitl.capture.models import Feedback
from hitl.core import clock
from hitl.core.expressions import Expression, ExpressionUnacceptable, Outcome
from hitl.queue.drawing import apply_rules
from hitl.queue.models import Item, Selection
from hitl.queue.reasons import why_here
from hitl.queue.rule_preview import preview_of_rule
from hitl.queue.rules import Comparing, ExpressionCondition, Terms, change_rule, create_rule, terms_of
from hitl.queue.subscribers import draw_from_feedback
from tests.hitl import factories

REFUSES = "I'm sorry, but I can't help with that."


class TestExpressions:
    def test_it_fits_what_the_expression_fits(self, db, project):
        create_rule(db, project, "Refusals", when("signals.refusal > 0 && metadata.plan == 'free'"))
        right = factories.Response(project=project, text=REFUSES, details={"plan": "free"})
        others = [
            factories.Response(project=project, text=REFUSES, details={"plan": "business"}),
            factories.Response(project=project, text=REFUSES),
            factories.Response(project=project, details={"plan": "free"}),
        ]

        apply_rules(db, project, [right.id, *(other.id for other in others)])

        assert db.scalars(select(Selection.response_id)).all() == [right.id]

    def test_it_keeps_what_the_rule_says(self, db, project):
        terms = when("signals.refusal > 0")

        rule = create_rule(db, project, "Refusals", terms)

        db.refresh(rule)
        assert terms_of(rule.versions[0]) == terms
        assert rule.versions[0].condition == {"kind": "expression", "expression": "signals.refusal > 0"}

    @pytest.mark.parametrize("wrong", ["signals.refusal >", "answr == ''", "size(answer)"])
    def test_it_refuses_what_cannot_be_used(self, db, project, wrong):
        rule = create_rule(db, project, "All", Terms(rate=1))

        for attempt in (
            lambda: create_rule(db, project, "Wrong", when(wrong)),
            lambda: change_rule(db, rule, when(wrong)),
            lambda: preview_of_rule(db, project, when(wrong)),
        ):
            with pytest.raises(ExpressionUnacceptable) as refusal:
                attempt()
            assert refusal.value.param == "/condition/expression"

    def test_it_tells_reviewers_nothing_of_what_it_says(self, db, project):
        create_rule(db, project, "Canary", when("model == 'canary-model'"))
        response = factories.Response(project=project, model="canary-model")
        apply_rules(db, project, [response.id])

        assert why_here(db, db.scalars(select(Item)).one()) == ["responses that a rule looks for"]

    def test_a_rule_that_compares_counts_inputs_of_which_an_answer_fits(self, db, project):
        terms = Terms(condition=ExpressionCondition(expression="signals.refusal > 0"), rate=1, compare=Comparing())
        for text, model in ((REFUSES, "a"), ("Yes.", "b"), ("No.", "c")):
            factories.Response(project=project, asked="Same?", text=text, model=model)
            factories.Response(project=project, asked="Other?", text="Sure.", model=model)
        db.flush()

        assert preview_of_rule(db, project, terms).fitting == 1

    def test_the_preview_says_how_many_fit(self, db, project):
        for number in range(10):
            factories.Response(project=project, text=REFUSES if number < 3 else "Sure.")
        db.flush()

        preview = preview_of_rule(db, project, when("signals.refusal > 0", rate=0.5))

        assert (preview.looked_at, preview.fitting, preview.expected) == (10, 3, 1.5)


class TestFeedback:
    def test_it_is_heard_when_it_comes(self, db, project):
        create_rule(db, project, "Complaints", when("feedback.exists(f, f.is_negative && f.kind == 'thumbs')"))
        response = factories.Response(project=project)
        assert apply_rules(db, project, [response.id]) == 0

        say(db, project, response)
        draw_from_feedback(db, FeedbackGiven(project.id, [response.id]))

        assert db.scalars(select(Selection.response_id)).all() == [response.id]

    def test_it_does_not_let_a_younger_rule_draw_from_older_responses(self, db, project):
        """Among them it would get only those that somebody said something about."""
        old = factories.Response(project=project, text=REFUSES)
        db.flush()
        time.sleep(0.002)  # what came within the millisecond in which a rule was made counts as younger
        create_rule(db, project, "Either", when("signals.refusal > 0 || feedback.exists(f, f.is_negative)"))
        say(db, project, old)

        draw_from_feedback(db, FeedbackGiven(project.id, [old.id]))

        assert db.scalars(select(Selection.response_id)).all() == []

    def test_an_expression_about_other_things_does_not_hear_it(self, db, project):
        create_rule(db, project, "Refusals", when("signals.refusal > 0"))
        response = factories.Response(project=project, text=REFUSES)
        say(db, project, response)

        draw_from_feedback(db, FeedbackGiven(project.id, [response.id]))

        assert db.scalars(select(Selection.response_id)).all() == []


class TestOverruns:
    def test_a_rule_that_is_too_slow_three_times_is_switched_off(self, db, project, monkeypatch):
        rule = create_rule(db, project, "Slow", when("true"))
        fast = create_rule(db, project, "Fast", Terms(rate=1))
        monkeypatch.setattr(Expression, "about", lambda *_: Outcome(fits=True, is_overrun=True))

        for _ in range(3):
            assert rule.ended_at is None
            apply_rules(db, project, [factories.Response(project=project).id])

        assert rule.overruns == 3
        assert rule.ended_at is not None
        assert fast.ended_at is None
        (entry,) = db.scalars(select(AuditEntry).where(AuditEntry.action == "rule_ended")).all()
        assert entry.details == {"why": "too_slow"}


def when(expression, rate=1):
    return Terms(condition=ExpressionCondition(expression=expression), rate=rate)


def say(db, project, response):
    given = {"kind": "thumbs", "value": False, "given_at": clock.now()}
    db.add(Feedback(project_id=project.id, response_id=response.id, **given))
    db.flush()
