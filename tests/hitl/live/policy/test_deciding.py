"""What the policy says of drafts, and what it keeps of that."""

from datetime import timedelta

import pytest
from sqlalchemy import event, select

from hitl.accounts.models import AuditEntry
from hitl.capture.models import Feedback
from hitl.core import clock
from hitl.core.expressions import Expression, Outcome
from hitl.live.holding import hold_draft
from hitl.live.models import Event
from hitl.live.policy import DraftFacts, decide, rules
from hitl.live.policy.models import PolicyDecision
from tests.hitl import factories

REFUSES = "I'm sorry, but I cannot help you with that."


class TestDecide:
    def test_without_rules_everything_goes_out(self, db, project, draft_of):
        decision = decide(db, project, draft_of(REFUSES))

        assert (decision.action, decision.reasons, decision.is_held_out) == ("send", [], False)
        assert kept(db) == []

    def test_it_holds_what_fits_and_says_why(self, db, project, talk, hold_when, draft_of):
        rule = hold_when("signals.refusal > 0", deadline_seconds=60)
        draft = draft_of(REFUSES)

        decision = decide(db, project, draft)

        assert decision.action == "hold"
        assert decision.reasons == ["The answer refuses: “I'm sorry, but I cannot”."]
        (one,) = kept(db)
        assert (one.outcome, one.draft_id, one.conversation_id) == ("held", draft.draft.id, talk.id)
        assert one.rule_version_id == rules.version_of(db, rule).id
        assert hold_draft(db, talk, draft.draft, decision.reasons, **decision.terms) is not None

    def test_it_lets_pass_what_does_not_fit(self, db, project, hold_when, draft_of):
        hold_when("signals.refusal > 0")

        assert decide(db, project, draft_of("Of course, here it is.")).action == "send"
        assert kept(db) == []

    def test_a_rule_without_signals_gives_its_name_as_the_reason(self, db, project, hold_when, draft_of):
        hold_when("answer.contains('refund')", name="Money matters")

        assert decide(db, project, draft_of("Your refund is on its way.")).reasons == ["The rule “Money matters” fits."]

    def test_of_several_rules_the_shortest_time_and_the_most_careful_end_count(self, db, project, hold_when, draft_of):
        hold_when("true", name="a", deadline_seconds=300, when_nobody="safe_reply", safe_reply="One moment.")
        hold_when("true", name="b", deadline_seconds=60, when_nobody="send")

        decision = decide(db, project, draft_of("Yes."))

        assert decision.terms == {"deadline_seconds": 60, "when_nobody": "safe_reply", "safe_reply": "One moment."}
        assert len(decision.reasons) == 2

    def test_rules_of_other_projects_and_those_switched_off_say_nothing(self, db, project, hold_when, draft_of):
        rule = hold_when("true")
        rules.switch(db, rule, on=False)

        assert decide(db, project, draft_of("Yes.")).action == "send"

        rules.switch(db, rule, on=True)
        assert decide(db, factories.Project(), draft_of("Yes.")).action == "send"
        assert decide(db, project, draft_of("Yes.")).action == "hold"

    def test_it_reads_the_rules_with_one_query(self, db, project, hold_when, draft_of):
        for number in range(5):
            hold_when("signals.refusal > 1", name=f"rule {number}")
        draft = draft_of("Yes.")
        asked = []
        listen = lambda *arguments: asked.append(arguments[2])  # noqa: E731
        event.listen(db.get_bind().engine, "before_cursor_execute", listen)
        try:
            decide(db, project, draft)
        finally:
            event.remove(db.get_bind().engine, "before_cursor_execute", listen)

        assert len(asked) == 1

    def test_it_hears_what_end_users_said(self, db, project, talk, hold_when, draft_of):
        hold_when("feedback.exists(f, f.is_negative)")
        assert decide(db, project, draft_of("Yes.")).action == "send"

        said = {"kind": "thumbs", "value": False, "given_at": clock.now()}
        db.add(Feedback(project_id=project.id, conversation_id=talk.id, **said))
        db.flush()

        assert decide(db, project, draft_of("Yes.")).action == "hold"

    def test_a_signal_of_the_application_goes_before_ours(self, db, project, hold_when, draft_of):
        hold_when("signals.refusal > 0")

        assert decide(db, project, draft_of(REFUSES, signals={"refusal": 0.0})).action == "send"

    def test_it_knows_how_sure_the_model_was(self, db, project, hold_when, draft_of):
        hold_when("signals.mean_logprob < -1.0")

        assert decide(db, project, draft_of("Yes.")).action == "send"
        unsure = decide(db, project, draft_of("Yes.", mean_logprob=-1.7))
        assert unsure.reasons == ["The model was not sure: its words had a mean log probability of -1.70."]

    def test_it_reads_a_captured_response(self, db, project, hold_when):
        hold_when("model == 'desk-small' && metadata.plan == 'free'")
        response = factories.Response(project=project, details={"plan": "free"})

        assert decide(db, project, DraftFacts.of_response(response)).action == "hold"
        assert kept(db)[0].response_id == response.id


class TestHoldOut:
    def test_a_share_is_let_pass_by_chance_and_marked(self, db, project, hold_when):
        hold_when("true", hold_out=0.25)

        passed = [decide(db, project, facts(number)).is_held_out for number in range(400)]

        assert 70 <= sum(passed) <= 130  # 100 on average; outside of this once in 3,000 keys
        assert [one.outcome == "held_out" for one in kept(db)] == passed

    def test_the_same_draft_always_draws_the_same(self, db, project, hold_when):
        hold_when("true", hold_out=0.5)

        first = [decide(db, project, facts(number)).action for number in range(40)]
        again = [decide(db, project, facts(number)).action for number in range(40)]

        assert first == again
        assert set(first) == {"hold", "send"}

    def test_what_another_rule_holds_is_not_held_out(self, db, project, hold_when):
        hold_when("true", name="a", hold_out=0.9)
        hold_when("true", name="b")

        decisions = [decide(db, project, facts(number)) for number in range(20)]

        assert all(decision.action == "hold" and not decision.is_held_out for decision in decisions)
        assert {one.outcome for one in kept(db)} == {"held", "held_out"}


class TestAlerts:
    def test_it_tells_supervisors_and_lets_the_draft_pass(self, db, project, talk, hold_when, draft_of):
        hold_when("signals.negative_turns > 0", name="Angry", action="alert")

        decision = decide(db, project, draft_of("Sorry.", asked="This is ridiculous, you never listen"))

        assert decision.action == "send"
        assert decision.alerts == ["The user sounds unhappy in their newest message: “ridiculous”."]
        assert [need["kind"] for need in talk.needs] == ["alert"]
        log = db.scalars(select(Event).where(Event.conversation_id == talk.id, Event.kind == "alert")).all()
        assert [(one.audience, one.content["rule"]) for one in log] == [("staff", "Angry")]

    def test_it_does_not_cry_at_each_message(self, db, project, talk, hold_when, draft_of):
        hold_when("true", action="alert")

        decisions = [decide(db, project, draft_of("Sorry.")) for _ in range(3)]

        assert [len(decision.alerts) for decision in decisions] == [1, 0, 0]
        assert [one.outcome for one in kept(db)] == ["alerted", "silenced", "silenced"]

    def test_it_cries_again_after_ten_minutes(self, db, project, hold_when, draft_of):
        hold_when("true", action="alert")
        decide(db, project, draft_of("Sorry."))
        kept(db)[0].decided_at = clock.now() - timedelta(minutes=11)
        db.flush()

        assert decide(db, project, draft_of("Sorry.")).alerts


class TestTrouble:
    def test_a_rule_is_switched_off_after_three_overruns(self, db, project, hold_when, draft_of, monkeypatch):
        rule = hold_when("true", name="Slow")
        monkeypatch.setattr(Expression, "about", lambda *_: Outcome(fits=True, is_overrun=True))

        actions = [decide(db, project, draft_of("Yes.")).action for _ in range(4)]

        assert actions == ["hold", "hold", "hold", "send"]
        assert (rule.is_on, rule.why_off, rule.overruns) == (False, "too_slow", 3)
        noted = db.scalars(select(AuditEntry).where(AuditEntry.action == "policy_rule_switched_off")).all()
        assert [entry.details for entry in noted] == [{"why": "too_slow"}]

    def test_it_starts_to_count_anew_when_the_rule_is_changed(self, db, project, hold_when, monkeypatch):
        rule = hold_when("true")
        rule.overruns = 2

        rules.change_rule(db, rule, rules.PolicyTerms(expression="1 == 1", when_nobody="refuse"))

        assert (rule.overruns, rule.version) == (0, 2)

    def test_what_cannot_be_worked_out_holds_nothing_and_is_noted(self, db, project, hold_when, draft_of):
        rule = hold_when("metadata.age > 3")

        assert decide(db, project, draft_of("Yes.", details={"age": "four"})).action == "send"

        assert rule.fault.startswith("No such overload")

    def test_a_key_that_is_not_there_is_no_fault(self, db, project, hold_when, draft_of):
        rule = hold_when("metadata.age > 3")

        assert decide(db, project, draft_of("Yes.")).action == "send"

        assert rule.fault is None

    def test_a_huge_answer_does_not_take_long(self, db, project, hold_when, draft_of):
        rule = hold_when("answer.matches('(?i)refund|money back') || messages.exists(m, m.text.contains('refund'))")
        given = {"messages": [{"role": "user", "content": "a b " * 50_000}] * 2_000}
        huge = DraftFacts(key="x", input=given, output={"role": "assistant", "content": "a b " * 500_000})

        decide(db, project, huge)

        assert rule.overruns == 0


def facts(number):
    given = {"messages": [{"role": "user", "content": "Hello"}]}
    return DraftFacts(key=f"draft-{number}", input=given, output={"role": "assistant", "content": "Yes."})


def kept(db):
    return db.scalars(select(PolicyDecision).order_by(PolicyDecision.id)).all()


@pytest.fixture(autouse=True)
def _flush(db):
    db.flush()
