"""JSON routes of a policy. Who supervises may read it; who makes the queue's rules makes these too."""

from flask import Response as HttpResponse
from flask import g
from flask_openapi3 import APIBlueprint, Tag

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.capture.facts import names_for_people
from hitl.core.http import ProjectPath, answer
from hitl.live.policy import rules
from hitl.live.policy.models import PolicyRule
from hitl.live.policy.preview import preview_of_rule
from hitl.live.policy.schemas import (
    NameList,
    NameOut,
    NewPolicyRule,
    PolicyPreviewOut,
    PolicyRuleChange,
    PolicyRuleList,
    PolicyRuleOut,
    PolicyRulePath,
    SwitchBody,
)

bp = APIBlueprint(
    "policy_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Policy", description="Which drafts wait for a person, and what supervisors are told of")],
    abp_security=[{"key": []}],
)


@bp.get("/projects/<slug>/policy", responses={200: PolicyRuleList})
@allow(Permission.SUPERVISE, Permission.QUEUE)
def list_policy(path: ProjectPath) -> HttpResponse:
    """List the rules of the policy, switched off ones too."""
    found = g.db.execute(rules.rules_with_versions(g.project.id))
    return answer(PolicyRuleList(rules=[PolicyRuleOut.of(rule, version) for rule, version in found]))


@bp.post("/projects/<slug>/policy", responses={201: PolicyRuleOut})
@allow(Permission.QUEUE)
def create_policy_rule(path: ProjectPath, body: NewPolicyRule) -> HttpResponse:
    """Write down a rule; it counts from the next draft on. 422 `expression_unacceptable` says where and why."""
    rule = rules.create_rule(g.db, g.project, body.name, body.terms(), by=g.user)
    return answer(_shown(rule), 201)


@bp.get("/projects/<slug>/policy/names", responses={200: NameList})
@allow(Permission.SUPERVISE, Permission.QUEUE)
def list_policy_names(path: ProjectPath) -> HttpResponse:
    """List what expressions may speak of, with what each means; signals as `signals.…`."""
    shown = [NameOut(name=name, kind=it.kind, means=it.means, example=it.example) for name, it in names_for_people()]
    return answer(NameList(names=shown))


@bp.post("/projects/<slug>/policy/preview", responses={200: PolicyPreviewOut})
@allow(Permission.QUEUE)
def preview_policy_rule(path: ProjectPath, body: NewPolicyRule) -> HttpResponse:
    """Say what a rule would have done to the newest 500 answers. Nothing is held, and nothing is kept."""
    return answer(PolicyPreviewOut.of(preview_of_rule(g.db, g.project, body.name, body.terms())))


@bp.get("/policy/<uuid:policy_rule_id>", responses={200: PolicyRuleOut})
@allow(Permission.SUPERVISE, Permission.QUEUE)
def show_policy_rule(path: PolicyRulePath) -> HttpResponse:
    """Show a rule as it is now."""
    return answer(_shown(_rule(path)))


@bp.put("/policy/<uuid:policy_rule_id>", responses={200: PolicyRuleOut})
@allow(Permission.QUEUE)
def change_policy_rule(path: PolicyRulePath, body: PolicyRuleChange) -> HttpResponse:
    """Let a rule say something else from the next draft on. 409 `policy_rule_changed` if it is not what you saw."""
    rule = _rule(path)
    rules.change_rule(g.db, rule, body.terms(), by=g.user, seen=body.seen_version)
    return answer(_shown(rule))


@bp.put("/policy/<uuid:policy_rule_id>/switch", responses={200: PolicyRuleOut})
@allow(Permission.QUEUE)
def switch_policy_rule(path: PolicyRulePath, body: SwitchBody) -> HttpResponse:
    """Let a rule count, or not, from the next draft on."""
    rule = _rule(path)
    rules.switch(g.db, rule, on=body.is_on, by=g.user)
    return answer(_shown(rule))


def _rule(path: PolicyRulePath) -> PolicyRule:
    return rules.rule_of_project(g.db, path.policy_rule_id, g.project)


def _shown(rule: PolicyRule) -> PolicyRuleOut:
    return PolicyRuleOut.of(rule, rules.version_of(g.db, rule))
