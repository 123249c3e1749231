"""Puts the product together: the only file that knows every part."""

import importlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib.metadata import version as version_of
from typing import Any, NoReturn

from flask import Flask, Response, after_this_request, current_app, g, redirect, request, session, url_for
from flask_openapi3 import Info, OpenAPI
from flask_wtf.csrf import CSRFError, CSRFProtect
from pydantic import ValidationError
from werkzeug.middleware.proxy_fix import ProxyFix

from hitl.accounts import access, keys
from hitl.core import errors, http, schema
from hitl.core.instance import Instance, ensure_ready
from hitl.gateway import door
from hitl.gateway.runtime import EXTENSION, Gateway
from hitl.live.customers import pass_of_token
from webui.base import register_pages
from webui.frame import error_page, layout_of_request

# Each part's tables, and the listeners and jobs that register when they are imported.
PARTS = (
    "hitl.accounts.jobs",
    "hitl.capture.models",
    "hitl.queue.models",
    "hitl.review.models",
    "hitl.preferences.models",
    "hitl.live.models",
    "hitl.live.policy.models",
    "hitl.datasets.models",
    "hitl.gateway.models",
    "hitl.capture.jobs",
    "hitl.queue.jobs",
    "hitl.queue.subscribers",
    "hitl.live.jobs",
    "hitl.live.subscribers",
    "hitl.webhooks.models",
    "hitl.webhooks.jobs",
    "hitl.webhooks.subscribers",
    "hitl.review.subscribers",
    "hitl.preferences.subscribers",
    "hitl.datasets.jobs",
    "hitl.gateway.jobs",
)
APIS = (
    "hitl.accounts",
    "hitl.capture",
    "hitl.queue",
    "hitl.review",
    "hitl.preferences",
    "hitl.datasets",
    "hitl.live",
    "hitl.live.policy",
    "hitl.webhooks",
    "hitl.gateway",
)
PAGES = (
    "webui.accounts",
    "webui.home",
    "webui.review",
    "webui.rubric",
    "webui.queue",
    "webui.live",
    "webui.webhooks",
    "webui.datasets",
    "webui.policy",
    "webui.gateway",
    "webui.api_docs",
)


def import_parts() -> None:
    """Import every part, so that its tables, listeners and jobs are known."""
    for part in PARTS:
        importlib.import_module(part)


class Service(OpenAPI):
    """The application."""

    def log_exception(self, *_: Any) -> None:
        """Leave it to hitl/core/http.py, which logs each mistake once, by its route: a path may hold a token."""


def create_app(instance: Instance) -> Flask:
    """Return the whole service: API and pages.

    Raises SchemaOutOfDate or SecretDiffers when the database does not fit this program.
    """
    import_parts()
    ensure_ready(instance)
    app = Service(
        "hitl",
        info=Info(title="hitl", version=version_of("hitl")),
        security_schemes={"key": {"type": "http", "scheme": "bearer"}},
        responses=dict.fromkeys((401, 403, 404, 409, 413, 415, 422, 429, 503), http.ErrorEnvelope),
        validation_error_model=http.ErrorEnvelope,
        validation_error_callback=_refuse_invalid,
        doc_ui=False,
        static_folder=None,
    )
    app.request_class = http.JsonRequest
    app.extensions["hitl"] = instance
    app.extensions[EXTENSION] = Gateway(instance)
    _configure(app, instance)
    http.open_transactions(app, instance.database)
    app.before_request(admit)
    for part in APIS:
        app.register_api(importlib.import_module(f"{part}.api").bp)
    app.register_blueprint(door.bp)
    for part in PAGES:
        app.register_blueprint(importlib.import_module(f"{part}.views").bp)
    register_pages(app, layout_of_request)
    _let_everybody_see_static_files(app)
    _answer_health(app)
    http.say_errors(app, error_page)
    _ensure_all_routes_declare_access(app)
    return app


def _configure(app: OpenAPI, instance: Instance) -> None:
    settings = instance.settings
    app.config.update(
        SECRET_KEY=instance.keys.sessions,
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=settings.max_body_bytes,
        SESSION_COOKIE_NAME="hitl_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.is_https,
        PERMANENT_SESSION_LIFETIME=timedelta(days=14),
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        WTF_CSRF_SSL_STRICT=settings.is_https,
    )
    csrf = CSRFProtect(app)
    for part in APIS:  # bearer keys only: no cookie, so nothing for another site to ride on
        csrf.exempt(importlib.import_module(f"{part}.api").bp)
    csrf.exempt(door.bp)
    app.register_error_handler(CSRFError, _refuse_forged)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]


def admit() -> Response | None:
    """Find out who asks, and refuse what the route does not allow them. Runs before the body is even parsed."""
    g.user = g.api_key = g.project = g.customer = None
    g.permissions = frozenset()
    if _is_static_file(request.endpoint):
        return None  # the same for everybody, so nobody is looked up
    view = current_app.view_functions.get(request.endpoint or "")
    needed = access.declared_access(view) if view else None
    if needed is None:
        if not http.is_api_request():
            _recognise_person()  # for the frame of the page that says so
        return None  # no such route: 404 or 405 follows
    is_public = needed.door is access.PUBLIC
    if needed.door is access.CUSTOMER:
        if request.method == "OPTIONS":
            return None  # a browser asks whether it may ask; it sends no token with that
        _recognise_customer()
    elif http.is_api_request():
        if not is_public:
            _recognise_program()
    else:
        _recognise_person()
        if g.user is None and not is_public:
            return _ask_to_sign_in()
    access.ensure_allowed(
        needed,
        user=g.user,
        api_key=g.api_key,
        project=g.project,
        permissions=g.permissions,
        is_customer=g.customer is not None,
    )
    return http.answer_repeats(g.api_key.id) if g.api_key and not http.is_gateway_request() else None


def _recognise_program() -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return
    if http.is_gateway_request():
        gateway: Gateway = current_app.extensions[EXTENSION]
        found = gateway.caller(token)
    else:
        found = access.program_of_token(g.db, token)
    if found is None:
        return
    _remember(found)
    if (
        keys.is_use_to_be_noted(g.api_key) and not http.is_gateway_request()
    ):  # the gateway notes it with what it records
        after_this_request(_note_use)
    if _slug() not in (None, g.project.slug):
        raise errors.NotFound  # a key knows one project; it does not learn which others there are


def _note_use(response: Response) -> Response:
    """Note after the answer is sent that the key was used: nobody waits for it."""
    instance: Instance = current_app.extensions["hitl"]
    response.call_on_close(partial(keys.note_use, instance.database, g.api_key.id))
    return response


def _recognise_customer() -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token if scheme.lower() == "bearer" else request.args.get("token", "")
    instance: Instance = current_app.extensions["hitl"]
    g.customer = pass_of_token(instance.keys, token)


def _recognise_person() -> None:
    session_id = session.get(access.SESSION_ID)
    found = None if session_id is None else access.person_of_session(g.db, session_id, _slug())
    if found is not None:
        _remember(found)


def _remember(who: access.Visitor) -> None:
    g.user, g.api_key, g.project, g.permissions = who.user, who.api_key, who.project, who.permissions


def _slug() -> str | None:
    return (request.view_args or {}).get("slug")


def _ask_to_sign_in() -> Response:
    if http.is_stream_wanted():
        raise errors.Unauthenticated
    if request.method not in http.READING_METHODS:
        raise errors.Unauthenticated("You were signed out. Sign in again; what you typed is still on the page before.")
    target = url_for("accounts.sign_in", next=request.full_path.rstrip("?"))
    if request.headers.get("HX-Request"):
        return Response(status=204, headers={"HX-Redirect": target})
    return redirect(target)  # type: ignore[return-value]


def _answer_health(app: Flask) -> None:
    @app.get("/healthz")
    @access.allow(access.PUBLIC)
    def healthz() -> Response:
        """The process runs."""
        return http.answer({"status": "ok"})

    @app.get("/readyz")
    @access.allow(access.PUBLIC)
    def readyz() -> Response:
        """The process can serve: the database answers and has this program's schema."""
        instance: Instance = current_app.extensions["hitl"]
        schema.ensure_current(instance.database)
        return http.answer({"status": "ready"})


def _let_everybody_see_static_files(app: Flask) -> None:
    """Styles, scripts and icons tell nothing about anybody, and the sign-in page needs them."""
    for endpoint in filter(_is_static_file, app.view_functions):
        app.view_functions[endpoint] = _public_file(app.view_functions[endpoint])


def _public_file(send_file: Callable[..., Any]) -> Callable[..., Any]:
    @access.allow(access.PUBLIC)
    def static_file(**values: Any) -> Any:
        return send_file(**values)

    return static_file


def _is_static_file(endpoint: str | None) -> bool:
    return endpoint is not None and endpoint.endswith(".static")


def _ensure_all_routes_declare_access(app: Flask) -> None:
    undeclared = [name for name, view in app.view_functions.items() if access.declared_access(view) is None]
    if undeclared:
        raise RuntimeError(f"these routes do not say who may use them: {', '.join(sorted(undeclared))}")


def _refuse_invalid(error: ValidationError) -> NoReturn:
    raise http.validation_problem(error)  # an answer returned from here would be committed like a success


def _refuse_forged(_error: CSRFError) -> Any:
    refusal = errors.Forbidden(
        "This form was open for too long, or came from another site. Nothing was stored. Reload the page and try again."
    )
    return current_app.handle_user_exception(refusal)  # raised from here it would be logged as a mistake of ours
