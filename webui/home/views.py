"""Home: which projects there are for a person, and what waits for them in each."""

from flask import Blueprint, current_app, g, redirect, render_template, url_for
from werkzeug.wrappers import Response

from hitl.accounts.access import SIGNED_IN, allow
from hitl.accounts.permissions import Permission
from hitl.accounts.projects import projects_of
from hitl.core import clock
from hitl.core.instance import Instance
from webui.home.waiting import role_in, to_build, to_decide, to_review
from webui.queue.wording import age, plural, role_in_words

bp = Blueprint("home", __name__, template_folder="templates")


@bp.get("/")
@allow(SIGNED_IN)
def index() -> str | Response:
    """Show the person's projects; who has only one goes straight there."""
    projects = g.db.scalars(projects_of(g.user)).all()
    if len(projects) == 1:
        return redirect(url_for("home.show", slug=projects[0].slug))
    return render_template("home/index.html", projects=projects)


@bp.get("/projects/<slug>")
@allow(*Permission)
def show(slug: str) -> str:
    """Show what waits for this person in a project."""
    return render_template(
        "home/show.html",
        role=role_in_words(role_in(g.db, g.user, g.project)),
        now=clock.now(),
        review=to_review(g.db, g.user, g.project) if Permission.REVIEW in g.permissions else None,
        lead=to_decide(g.db, g.project) if Permission.QUEUE in g.permissions else None,
        engineer=to_build(g.db, g.project) if Permission.DATA in g.permissions else None,
        api_address=_api_address(),
        age=age,
        plural=plural,
        may_make_keys=Permission.ADMIN in g.permissions,
    )


def _api_address() -> str:
    instance: Instance = current_app.extensions["hitl"]
    return f"{str(instance.settings.public_url).rstrip('/')}/api/v1/projects/{g.project.slug}"
