"""JSON routes by which the gateway is administered. What applications call is in door.py."""

from datetime import UTC, timedelta

from flask import Response, current_app, g
from flask_openapi3 import APIBlueprint, Tag

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import clock
from hitl.core.http import ProjectPath, answer, no_content
from hitl.gateway import budgets, settings, upstreams
from hitl.gateway.models import Budget, Upstream
from hitl.gateway.runtime import EXTENSION, Gateway
from hitl.gateway.schemas import (
    BudgetBody,
    BudgetOut,
    BudgetPath,
    GatewayOut,
    HandlingBody,
    RecordingOut,
    UpstreamBody,
    UpstreamOut,
    UpstreamPath,
    UsageList,
    UsageOut,
    UsageQuery,
)

USAGE_DAYS = 30

bp = APIBlueprint(
    "gateway_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Gateway", description="Where a project's calls go, and what they may cost")],
    abp_security=[{"key": []}],
)


@bp.get("/projects/<slug>/gateway", responses={200: GatewayOut})
@allow(Permission.ADMIN)
def show_gateway(path: ProjectPath) -> Response:
    """Show how calls are handled, and how far recording has come."""
    return answer(_gateway_out())


@bp.patch("/projects/<slug>/gateway", responses={200: GatewayOut})
@allow(Permission.ADMIN)
def change_gateway(path: ProjectPath, body: HandlingBody) -> Response:
    """Change how calls are handled. Counts in each process within a second or two."""
    settings.change_handling(g.db, g.project, body.model_dump(exclude_none=True), by=g.user)
    return answer(_gateway_out())


@bp.post("/projects/<slug>/gateway/upstreams", responses={201: UpstreamOut})
@allow(Permission.ADMIN)
def add_upstream(path: ProjectPath, body: UpstreamBody) -> Response:
    """Add a server that answers. 422 `upstream_unacceptable` names the field."""
    return answer(_upstream_out(upstreams.add_upstream(g.db, g.project, body.said(), body.key, by=g.user)), 201)


@bp.patch("/projects/<slug>/gateway/upstreams/<uuid:upstream_id>", responses={200: UpstreamOut})
@allow(Permission.ADMIN)
def change_upstream(path: UpstreamPath, body: UpstreamBody) -> Response:
    """Change what is said of a server. Its key is dropped when the host changes, unless another is given."""
    upstream = upstreams.upstream_of_id(g.db, g.project, path.upstream_id)
    return answer(_upstream_out(upstreams.change_upstream(g.db, g.project, upstream, body.said(), body.key, by=g.user)))


@bp.delete("/projects/<slug>/gateway/upstreams/<uuid:upstream_id>", responses={204: None})
@allow(Permission.ADMIN)
def remove_upstream(path: UpstreamPath) -> Response:
    """Ask a server no more, and forget its key."""
    upstreams.remove_upstream(g.db, g.project, upstreams.upstream_of_id(g.db, g.project, path.upstream_id), by=g.user)
    return no_content()


@bp.post("/projects/<slug>/gateway/budgets", responses={201: BudgetOut})
@allow(Permission.ADMIN)
def add_budget(path: ProjectPath, body: BudgetBody) -> Response:
    """Limit what is used in a day or a month (UTC)."""
    return answer(_budget_out(budgets.add_budget(g.db, g.project, **body.model_dump(), by=g.user)), 201)


@bp.delete("/projects/<slug>/gateway/budgets/<uuid:budget_id>", responses={204: None})
@allow(Permission.ADMIN)
def remove_budget(path: BudgetPath) -> Response:
    """End a limit."""
    budgets.remove_budget(g.db, g.project, path.budget_id, by=g.user)
    return no_content()


@bp.get("/projects/<slug>/gateway/usage", responses={200: UsageList})
@allow(Permission.ADMIN)
def list_usage(path: ProjectPath, query: UsageQuery) -> Response:
    """List what each key used of each model on each day."""
    now = clock.now().astimezone(UTC)
    since = query.since or (now - timedelta(days=USAGE_DAYS)).date()
    rows = g.db.scalars(budgets.usage_since(g.project, since))
    usage = [UsageOut(**{name: getattr(row, name) for name in UsageOut.model_fields}) for row in rows]
    return answer(UsageList(usage=usage, as_of=now))


def _gateway() -> Gateway:
    gateway: Gateway = current_app.extensions[EXTENSION]
    return gateway


def _gateway_out() -> GatewayOut:
    return GatewayOut(
        settings=settings.handling_of(g.db, g.project),
        upstreams=[_upstream_out(upstream) for upstream in g.db.scalars(upstreams.upstreams_of(g.project))],
        budgets=[_budget_out(budget) for budget in g.db.scalars(budgets.budgets_of(g.project))],
        recording=RecordingOut(**_gateway().recording_counts()),
    )


def _upstream_out(upstream: Upstream) -> UpstreamOut:
    return UpstreamOut.of(upstream, is_left_alone=_gateway().forwarder.breakers.is_open(upstream.id))


def _budget_out(budget: Budget) -> BudgetOut:
    return BudgetOut(**{name: getattr(budget, name) for name in BudgetOut.model_fields})
