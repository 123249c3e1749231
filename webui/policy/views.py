"""The policy as supervisors read it and leads change it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hitl.accounts.access import allow
from hitl.accounts.errors import NameUnacceptable
from hitl.accounts.permissions import Permission
from hitl.capture.facts import names_for_people
from hitl.core import clock
from hitl.core.errors import AppError
from hitl.core.expressions import ExpressionUnacceptable
from hitl.live.policy import rules
from hitl.live.policy.errors import ChangedMeanwhile, PolicyNameTaken, SafeReplyMissing
from hitl.live.policy.models import PolicyRule, PolicyRuleVersion
from hitl.live.policy.preview import PolicyPreview, preview_of_rule
from hitl.live.policy.rules import PolicyTerms, terms_of
from webui.policy.forms import ACTIONS, WHEN_NOBODY, PolicyForm
from webui.policy.wording import done_in_words, seconds_in_words, terms_in_words, why_off_in_words

bp = Blueprint(
    "policy", __name__, template_folder="templates", static_folder="static", static_url_path="/static/policy"
)
POLICY = "/projects/<slug>/policy"
RULE = f"{POLICY}/<uuid:policy_rule_id>"
COUNTED_DAYS = 30
REFUSALS = (ExpressionUnacceptable, NameUnacceptable, PolicyNameTaken, SafeReplyMissing)


@dataclass(frozen=True)
class ShownRule:
    """A rule, in words."""

    rule: PolicyRule
    version: PolicyRuleVersion
    says: str
    done: str
    trouble: str


@bp.get(POLICY)
@allow(Permission.SUPERVISE, Permission.QUEUE)
def index(slug: str) -> str:
    """Show the rules, and what came of each."""
    return render_template("policy/index.html", rules=_shown_rules(), may_change=_may_change(), days=COUNTED_DAYS)


@bp.get(f"{POLICY}/new")
@allow(Permission.QUEUE)
def new_rule(slug: str) -> str:
    """Ask what a new rule should say."""
    return _rule_page(PolicyForm.empty())


@bp.post(POLICY)
@allow(Permission.QUEUE)
def create_rule(slug: str) -> Response | tuple[str, int]:
    """Write a rule down."""
    form = PolicyForm.read(request.form)
    terms = form.terms()
    if terms is not None:
        try:
            rule = rules.create_rule(g.db, g.project, form.values["name"], terms, by=g.user)
        except REFUSALS as error:
            _name_problem(form, error)
        else:
            return _back(f"“{rule.name}” is on from the next draft.")
    return _rule_page(form), 422


@bp.get(f"{POLICY}/preview")
@allow(Permission.QUEUE)
def preview_rule(slug: str) -> str:
    """Say what the rule that is being typed would have done."""
    form = PolicyForm.read({**request.args, "safe_reply": "…"})  # which it does not depend on, and which is long
    return render_template("policy/_preview.html", form=form, **_preview(form))


@bp.get(RULE)
@allow(Permission.SUPERVISE, Permission.QUEUE)
def show_rule(slug: str, policy_rule_id: UUID) -> str:
    """Show what a rule says, and said."""
    rule = _rule(policy_rule_id)
    version = rules.version_of(g.db, rule)
    return _rule_page(PolicyForm.of(rule.name, terms_of(version), version.number), rule)


@bp.post(RULE)
@allow(Permission.QUEUE)
def change_rule(slug: str, policy_rule_id: UUID) -> Response | tuple[str, int]:
    """Let a rule say something else."""
    rule = _rule(policy_rule_id)
    form = PolicyForm.read(request.form)
    form.values["name"] = rule.name
    terms = form.terms()
    if terms is None:
        return _rule_page(form, rule), 422
    seen = form.values["seen"]
    try:
        rules.change_rule(g.db, rule, terms, by=g.user, seen=int(seen) if seen.isdecimal() else None)
    except ChangedMeanwhile as error:
        form.problems["expression"] = error.message
        form.values["seen"] = str(rule.version)
        return _rule_page(form, rule), 409
    except REFUSALS as error:
        _name_problem(form, error)
        return _rule_page(form, rule), 422
    return _back(f"“{rule.name}” says from the next draft on: {terms_in_words(terms)}.")


@bp.post(f"{RULE}/switch")
@allow(Permission.QUEUE)
def switch_rule(slug: str, policy_rule_id: UUID) -> Response:
    """Let a rule count, or not."""
    rule = _rule(policy_rule_id)
    rules.switch(g.db, rule, on=request.form.get("on") == "yes", by=g.user)
    return _back(f"“{rule.name}” is {'on' if rule.is_on else 'off'} from the next draft.")


def _rule(policy_rule_id: UUID) -> PolicyRule:
    return rules.rule_of_project(g.db, policy_rule_id, g.project)


def _may_change() -> bool:
    return Permission.QUEUE in g.permissions


def _shown_rules() -> list[ShownRule]:
    counts: dict[UUID, dict[str, int]] = defaultdict(dict)
    for rule_id, outcome, count in g.db.execute(
        rules.outcomes_of(g.project.id, clock.now() - timedelta(days=COUNTED_DAYS))
    ):
        counts[rule_id][outcome] = count
    return [
        ShownRule(
            rule, version, terms_in_words(terms_of(version)), done_in_words(counts[rule.id]), why_off_in_words(rule)
        )
        for rule, version in g.db.execute(rules.rules_with_versions(g.project.id))
    ]


def _rule_page(form: PolicyForm, rule: PolicyRule | None = None) -> str:
    return render_template(
        "policy/rule.html",
        form=form,
        rule=rule,
        versions=[] if rule is None else list(reversed(rule.versions)),
        terms_in_words=terms_in_words,
        terms_of=terms_of,
        seconds_in_words=seconds_in_words,
        trouble="" if rule is None else why_off_in_words(rule),
        may_change=_may_change(),
        actions=ACTIONS,
        when_nobody=WHEN_NOBODY,
        names=names_for_people(),
        **(_preview(PolicyForm.read(form.values)) if _may_change() else {}),
    )


def _preview(form: PolicyForm) -> dict[str, PolicyPreview | PolicyTerms | str | None]:
    if not form.values["safe_reply"]:
        form.values["safe_reply"] = "…"
    terms = form.terms()
    if terms is None:
        return {"preview": None, "terms": None, "problem": ""}
    try:
        return {"preview": preview_of_rule(g.db, g.project, form.values["name"] or "This rule", terms), "terms": terms}
    except ExpressionUnacceptable as error:
        return {"preview": None, "terms": terms, "problem": error.message}


def _name_problem(form: PolicyForm, error: AppError) -> None:
    form.problems[(error.param or "/name").strip("/")] = error.message


def _back(said: str) -> Response:
    flash(said)
    return redirect(url_for("policy.index", slug=g.project.slug), 303)
