"""The policy's pages: what supervisors read and leads change."""

import re

import pytest
from sqlalchemy import select

from hitl.live.policy import DraftFacts, decide
from hitl.live.policy.models import PolicyRule, PolicyRuleVersion
from hitl.live.policy.rules import PolicyTerms, create_rule, switch
from tests.hitl import factories
from tests.webui.words import words_of

POLICY = "/projects/hotel-desk/policy"
FORM = {
    "name": "Refusals",
    "action": "hold",
    "expression": "signals.refusal > 0",
    "hold_out": "10",
    "deadline_seconds": "60",
    "when_nobody": "safe_reply",
    "safe_reply": "One moment, please.",
}


class TestPages:
    def test_a_lead_writes_a_rule_that_counts_at_once(self, committed, desk, lead):
        answer = lead.post(POLICY, data=FORM)

        assert answer.status_code == 303
        words = words_of(lead.get(POLICY).text)
        assert "“Refusals” is on from the next draft." in words
        assert "Holds for 1 minute, then the safe reply is sent; 10 in 100 pass by chance." in words
        version = committed.scalars(select(PolicyRuleVersion)).one()
        assert (version.expression, version.hold_out) == ("signals.refusal > 0", 0.1)

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("expression", "signals.refusal >", "Character 18: it ends too early."),
            ("expression", "", "Say when, such as"),
            ("hold_out", "95", "From 0 to 90 in 100."),
            ("deadline_seconds", "soon", "A whole number of seconds"),
            ("safe_reply", "", "Write what is said when nobody comes"),
            ("when_nobody", "shout", "Choose one of these."),
            ("name", "", "name"),
        ],
    )
    def test_it_names_what_is_wrong_and_keeps_what_was_typed(self, committed, lead, field, value, says):
        answer = lead.post(POLICY, data={**FORM, field: value})

        assert answer.status_code == 422
        assert says in words_of(answer.text)
        if field != "expression":
            assert "signals.refusal &gt; 0</textarea>" in answer.text
        assert committed.scalars(select(PolicyRule)).all() == []

    def test_the_preview_shows_what_it_would_have_done_and_why(self, committed, desk, lead):
        for text in ("I'm sorry, but I can't help.", "Sure.", "Here you are."):
            factories.Response(project=desk, text=text, asked="Can you <b>help</b>?")
        committed.commit()

        words = words_of(f"<main>{lead.get(f'{POLICY}/preview', query_string=FORM).text}</main>")

        assert "Of the newest 3 answers it fits 1" in words
        assert "The answer refuses: “I'm sorry, but I can't”." in words
        assert "after “Can you <b>help</b>?”" in words

    def test_the_preview_says_what_cannot_be_worked_out(self, committed, desk, lead):
        factories.Response(project=desk)
        committed.commit()
        typed = {**FORM, "expression": "metadata.plan == 'x'"}

        words = words_of(f"<main>{lead.get(f'{POLICY}/preview', query_string=typed).text}</main>")

        assert "In 1 it could not be worked out, and does not fit: There is no 'plan'." in words

    def test_a_change_is_a_new_version_and_both_are_shown(self, committed, lead, rule):
        answer = lead.post(f"{POLICY}/{rule.id}", data={**FORM, "expression": "signals.empty > 0", "seen": "1"})

        assert answer.status_code == 303
        words = words_of(lead.get(f"{POLICY}/{rule.id}").text)
        assert words.index("signals.empty > 0 Holds for 1 minute") < words.index("signals.refusal > 0 Holds")

    def test_it_does_not_undo_what_somebody_else_changed_meanwhile(self, committed, lead, rule):
        lead.post(f"{POLICY}/{rule.id}", data={**FORM, "expression": "signals.empty > 0", "seen": "1"})

        answer = lead.post(f"{POLICY}/{rule.id}", data={**FORM, "expression": "true", "seen": "1"})

        assert answer.status_code == 409
        assert "Somebody else has changed this rule since you opened it." in words_of(answer.text)
        again = {**FORM, "expression": "true", "seen": re.search(r'name="seen" value="(\d+)"', answer.text)[1]}
        assert lead.post(f"{POLICY}/{rule.id}", data=again).status_code == 303

    def test_it_is_switched_off_and_on(self, committed, lead, rule):
        lead.post(f"{POLICY}/{rule.id}/switch", data={"on": "no"})
        assert "Refusals Off" in words_of(lead.get(POLICY).text)

        lead.post(f"{POLICY}/{rule.id}/switch", data={"on": "yes"})
        committed.refresh(rule)
        assert rule.is_on

    def test_a_supervisor_reads_it_and_changes_nothing(self, sign_in, member, rule):
        supervisor = sign_in(member("supervisor"))

        words = words_of(supervisor.get(f"{POLICY}/{rule.id}").text)

        assert "Leads and admins change the policy." in words
        assert "Use from the next draft" not in words
        assert "New rule" not in words_of(supervisor.get(POLICY).text)
        assert supervisor.post(f"{POLICY}/{rule.id}", data=FORM).status_code == 403

    def test_it_counts_what_came_of_each_rule(self, committed, desk, lead, rule):
        given = {"messages": [{"role": "user", "content": "Help"}]}
        refusal = {"role": "assistant", "content": "I'm sorry, but I can't."}
        for number in range(5):
            decide(committed, desk, DraftFacts(key=str(number), input=given, output=refusal))
        committed.commit()

        assert "So far: held 5." in words_of(lead.get(POLICY).text)

    def test_it_says_why_a_rule_was_switched_off_by_itself(self, committed, lead, rule):
        rule.is_on, rule.why_off, rule.overruns = False, "too_slow", 3
        committed.commit()

        assert "it took too long for one draft three times" in words_of(lead.get(POLICY).text)
        assert "Switch on" in words_of(lead.get(f"{POLICY}/{rule.id}").text)

    def test_hostile_words_are_shown_as_they_are(self, committed, desk, lead):
        name = "<script>alert(1)</script>"
        rule = create_rule(committed, desk, name, PolicyTerms(expression="answer == '<b>'", when_nobody="refuse"))
        switch(committed, rule, on=False)
        committed.commit()

        for page in (POLICY, f"{POLICY}/{rule.id}"):
            assert "<script>alert" not in lead.get(page).text
            assert "<b>'" not in lead.get(page).text


class TestApi:
    def test_it_writes_previews_changes_and_switches(self, committed, desk, api):
        queue = api(desk, "queue")
        new = {"name": "Refusals", "expression": "signals.refusal > 0", "when_nobody": "send", "hold_out": 0.2}

        made = queue.post("/api/v1/projects/hotel-desk/policy", json=new)

        assert made.status_code == 201
        address = f"/api/v1/policy/{made.json['id']}"
        assert queue.post("/api/v1/projects/hotel-desk/policy/preview", json=new).json["looked_at"] == 0
        change = {"expression": "true", "when_nobody": "refuse", "seen_version": 1}
        assert queue.put(address, json=change).json["version"] == 2
        assert queue.put(address, json=change | {"expression": "false"}).json["error"]["code"] == "policy_rule_changed"
        assert queue.put(f"{address}/switch", json={"is_on": False}).json["why_off"] == "by_hand"
        assert [one["name"] for one in queue.get("/api/v1/projects/hotel-desk/policy").json["rules"]] == ["Refusals"]

    def test_it_says_where_an_expression_is_wrong(self, committed, desk, api):
        new = {"name": "Refusals", "expression": "signals.refusal >> 0", "when_nobody": "send"}

        refused = api(desk, "queue").post("/api/v1/projects/hotel-desk/policy", json=new)

        assert refused.status_code == 422
        error = refused.json["error"]
        assert (error["code"], error["param"]) == ("expression_unacceptable", "/expression")
        assert error["message"] == "Character 18: “>” does not fit here."

    def test_it_names_what_expressions_may_speak_of(self, desk, api):
        names = api(desk, "supervise").get("/api/v1/projects/hotel-desk/policy/names").json["names"]

        assert {"answer", "signals", "signals.refusal", "signals.mean_logprob"} <= {one["name"] for one in names}


@pytest.fixture
def lead(sign_in, member):
    return sign_in(member("lead", name="Lea"))


@pytest.fixture
def rule(committed, desk):
    terms = {name: FORM[name] for name in ("action", "expression", "when_nobody", "safe_reply")}
    rule = create_rule(committed, desk, "Refusals", PolicyTerms(deadline_seconds=60, **terms))
    committed.commit()
    return rule
