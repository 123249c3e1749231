"""The rules of a policy: what is refused when they are written, and their versions."""

import pytest
from pydantic import ValidationError

from hitl.core.errors import NotFound
from hitl.core.expressions import ExpressionUnacceptable
from hitl.live.policy import rules
from hitl.live.policy.errors import ChangedMeanwhile, PolicyNameTaken, SafeReplyMissing
from hitl.live.policy.preview import preview_of_rule
from hitl.live.policy.rules import PolicyTerms, change_rule, create_rule, rule_of_project, version_of
from tests.hitl import factories


class TestWriting:
    @pytest.mark.parametrize(
        ("expression", "says"),
        [
            ("answr == ''", "there is no name “answr”"),
            ("size(answer)", "neither true nor false"),
            ("messages.map(m, m.text.matches('(?i)[a-z]{1,600} refund')).size() > 0", "takes too long|too large"),
        ],
    )
    def test_it_refuses_what_cannot_be_used(self, db, project, expression, says):
        with pytest.raises(ExpressionUnacceptable, match=says) as refusal:
            create_rule(db, project, "A rule", terms(expression))

        assert refusal.value.param == "/expression"

    def test_it_wants_the_safe_reply_that_is_to_be_said(self, db, project):
        with pytest.raises(SafeReplyMissing):
            create_rule(db, project, "A rule", PolicyTerms(expression="true", safe_reply=" "))

    def test_an_alert_holds_nothing_out(self):
        with pytest.raises(ValidationError, match="an alert has no hold_out"):
            PolicyTerms(action="alert", expression="true", hold_out=0.1)

    def test_a_name_is_used_once_in_a_project(self, db, project):
        create_rule(db, project, "A rule", terms("true"))
        create_rule(db, factories.Project(), "A rule", terms("true"))

        with pytest.raises(PolicyNameTaken):
            create_rule(db, project, "A rule", terms("true"))

    def test_a_change_is_a_new_version_and_the_old_one_stays(self, db, project):
        rule = create_rule(db, project, "A rule", terms("true"))

        change_rule(db, rule, terms("false"))
        change_rule(db, rule, terms("false"))  # says the same: no new version

        db.refresh(rule)
        assert [(one.number, one.expression) for one in rule.versions] == [(1, "true"), (2, "false")]
        assert version_of(db, rule).number == 2

    def test_it_refuses_a_change_of_what_somebody_else_changed_meanwhile(self, db, project):
        rule = create_rule(db, project, "A rule", terms("true"))
        change_rule(db, rule, terms("false"), seen=1)

        with pytest.raises(ChangedMeanwhile):
            change_rule(db, rule, terms("1 == 1"), seen=1)

    def test_it_is_not_found_in_another_project(self, db, project):
        rule = create_rule(db, project, "A rule", terms("true"))

        with pytest.raises(NotFound):
            rule_of_project(db, rule.id, factories.Project())

    def test_it_may_be_switched_off_and_on(self, db, project):
        rule = create_rule(db, project, "A rule", terms("true"))

        rules.switch(db, rule, on=False)
        assert (rule.is_on, rule.why_off) == (False, "by_hand")

        rules.switch(db, rule, on=True)
        assert (rule.is_on, rule.why_off) == (True, None)


class TestPreview:
    def test_it_counts_what_a_rule_would_have_held_and_shows_some(self, db, project):
        for number in range(30):
            refuses = number % 3 == 0
            factories.Response(project=project, text="I'm sorry, I can't help with that." if refuses else "Sure.")
        db.flush()

        preview = preview_of_rule(db, project, "A rule", terms("signals.refusal > 0", hold_out=0.1))

        assert (preview.looked_at, preview.fitting, preview.expected) == (30, 10, 9.0)
        assert len(preview.examples) == 5
        assert preview.examples[0].reasons == ["The answer refuses: “I'm sorry, I can't”."]

    def test_it_says_what_could_not_be_worked_out(self, db, project):
        factories.Response(project=project, details={"age": "four"})
        factories.Response(project=project)
        db.flush()

        preview = preview_of_rule(db, project, "A rule", terms("metadata.age > 3"))

        assert preview.fitting == 0
        assert preview.faults["There is no 'age'."] == 1
        assert sum(preview.faults.values()) == 2


def terms(expression, **others):
    return PolicyTerms(expression=expression, when_nobody="refuse", **others)
