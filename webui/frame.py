"""The frame of each page for the person who asked: where they are, where they may go; and the page that says no."""

from typing import Any
from urllib.parse import urlsplit

from flask import Response, g, render_template, request, url_for

from hitl.accounts.models import Project, User
from hitl.accounts.permissions import Permission
from hitl.accounts.projects import projects_of
from hitl.core.errors import AppError, NotFound
from hitl.core.http import answer
from hitl.live.board import COUNTED, needing_count
from hitl.queue.waiting import WAITING_COUNT_LIMIT, waiting_count
from webui.base.appearance import chosen_appearance, local_path
from webui.base.layout import Layout, NavEntry, ProjectLink, initials_of, visible_to
from webui.base.trouble import Trouble, WayOn, trouble_for

# Name, the first page behind it, icon, and what one needs to go there.
PLACES: tuple[tuple[str, str, str, Permission | None], ...] = (
    ("Home", "home.show", "home", None),
    ("Review", "review.next_item", "review", Permission.REVIEW),
    ("Live", "live.index", "live", Permission.SUPERVISE),
    ("Queue", "queue.index", "queue", Permission.QUEUE),
    ("Datasets", "datasets.index", "dataset", Permission.DATA),
    ("Settings", "rubric.show", "settings", Permission.QUEUE),
)
# The pages behind "Settings", as tabs, and what one needs to go there.
SETTINGS: tuple[tuple[str, str, Permission], ...] = (
    ("Rubric", "rubric.show", Permission.QUEUE),
    ("Guidelines", "accounts.edit_guidelines", Permission.QUEUE),
    ("Policy", "policy.index", Permission.SUPERVISE),
    ("Project", "accounts.show_settings", Permission.ADMIN),
    ("Members", "accounts.list_members", Permission.ADMIN),
    ("Invitations", "accounts.list_invitations", Permission.ADMIN),
    ("Keys", "accounts.list_keys", Permission.ADMIN),
    ("Webhooks", "webhooks.index", Permission.ADMIN),
    ("Gateway", "gateway_settings.show", Permission.ADMIN),
)


def layout_of_request() -> Layout:
    """Return the frame of the page that answers this request."""
    user = g.get("user")
    if user is None:
        return Layout(appearance=chosen_appearance(request))
    project = project_in_view()
    links = {found.id: project_link(found) for found in g.db.scalars(projects_of(user))}
    return Layout(
        user_name=user.name,
        initials=initials_of(user.name),
        projects=tuple(links.values()),
        project=links[project.id] if project else None,
        nav=places_in(project, user) if project else (),
        tabs=settings_tabs(project) if project else (),
        account_links=account_links(project),
        appearance=chosen_appearance(request),
        home_url=url_for("home.index"),
        sign_out_url=url_for("accounts.sign_out"),
    )


def project_in_view() -> Project | None:
    """Return the project of this page if the person is a member: a stranger must not learn that it exists."""
    project: Project | None = g.get("project")
    return project if project is not None and g.permissions else None


def project_link(project: Project) -> ProjectLink:
    """Return the way to a project's first page."""
    return ProjectLink(project.name, url_for("home.show", slug=project.slug))


def places_in(project: Project, user: User) -> tuple[NavEntry, ...]:
    """Return where this person may go in a project; beside Review, how much waits for them there."""
    here = (request.endpoint or "").partition(".")[0]
    entries = [
        NavEntry(
            name,
            url_for(endpoint, slug=project.slug),
            icon,
            permission,
            is_current=_is_settings() if name == "Settings" else endpoint.partition(".")[0] == here,
            **(_counts(permission, project, user) if permission in g.permissions else {}),
        )
        for name, endpoint, icon, permission in PLACES
    ]
    return visible_to(g.permissions, entries)


def settings_tabs(project: Project) -> tuple[NavEntry, ...]:
    """Return the pages behind Settings that this person may open."""
    here = _settings_path(request.path)
    entries = [
        NavEntry(name, url, "settings", permission, is_current=_settings_path(url) == here)
        for name, endpoint, permission in SETTINGS
        for url in (url_for(endpoint, slug=project.slug),)
    ]
    return visible_to(g.permissions, entries)


def _is_settings() -> bool:
    """Whether this page stands behind Settings: it is one of the tabs, or answers a form of one."""
    slug = g.project.slug
    return _settings_path(request.path) in {_settings_path(url_for(name, slug=slug)) for _, name, _ in SETTINGS}


def _settings_path(path: str) -> str:
    """The first word after the project: what stands behind it is about one of its rows."""
    return "/".join(path.split("/")[:4])


def _counts(permission: Permission | None, project: Project, user: User) -> dict[str, Any]:
    """Return what waits behind a place: items for the reviewer, conversations that need a supervisor."""
    if permission is Permission.REVIEW:
        count = waiting_count(g.db, user, project)
        return {"count": count, "count_goes_on": count >= WAITING_COUNT_LIMIT}
    if permission is Permission.SUPERVISE:
        count = needing_count(g.db, project.id)
        return {"count": count or None, "count_goes_on": count >= COUNTED, "needs_you": True}
    return {}


def account_links(project: Project | None) -> tuple[NavEntry, ...]:
    """Return what is not daily work: one's account, the API, what one has decided."""
    entries = [("Your account", "accounts.show", "user", {}, None), ("API", "api_docs.show", "book", {}, None)]
    if project is not None:
        here = {"slug": project.slug}
        entries += [
            ("My reviews", "review.mine", "history", here, Permission.REVIEW),
        ]
    return visible_to(
        g.permissions,
        [
            NavEntry(name, url_for(endpoint, **where), icon, permission, is_current=request.endpoint == endpoint)
            for name, endpoint, icon, where, permission in entries
        ],
    )


def error_page(error: AppError) -> str | Response:
    """Say no: as a page, or to a script as JSON, whose message is shown without losing what the page holds."""
    if _asked_by_script():
        return answer(error.as_json())
    if error.status >= 500:
        g.layout = Layout(appearance=chosen_appearance(request))  # the full frame would ask the database again
    return render_template("error.html", trouble=trouble_of(error))


def trouble_of(error: AppError) -> Trouble:
    """Return what a page says about a refusal."""
    # A page of somebody else and a page that never was must read the same, code and all.
    code = NotFound.code if error.status == NotFound.status else type(error).code
    return trouble_for(error.status, code, error.message, ways_on=_ways_on(error))


def _ways_on(error: AppError) -> tuple[WayOn, ...]:
    home = WayOn("Home", url_for("home.index"))
    back = _page_before()
    if back is None or error.status == NotFound.status:
        return (home,)
    return (WayOn("Back to the page", back), home)


def _page_before() -> str | None:
    """Return the path of our own page that this request came from."""
    try:
        before = urlsplit(request.referrer or "")
    except ValueError:  # not an address at all
        return None
    if before.netloc != request.host or before.path == request.path:
        return None
    address = f"{before.path}?{before.query}" if before.query else before.path
    return address if address == local_path(address) else None


def _asked_by_script() -> bool:
    wanted = request.accept_mimetypes.best_match(["text/html", "application/json"], default="text/html")
    return "HX-Request" in request.headers or wanted == "application/json"
