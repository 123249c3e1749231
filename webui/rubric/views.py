"""The rubric editor: a draft that leads share, its preview, publishing it, and the versions before.

The whole form comes with each press of a button, is kept as the draft, and then the button does what it says. htmx gets
the editor anew, or, while somebody types, only the preview and what became of the work; a browser without scripts is
led back to the page.
"""

from collections.abc import Set
from uuid import UUID

from flask import Blueprint, Response, flash, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core.errors import NotFound
from hitl.review.errors import RubricDraftChanged, RubricRefused
from hitl.review.models import RubricVersion
from hitl.review.rubric_changes import changes_between
from hitl.review.rubric_drafts import (
    MAX_ITEMS_MOVED,
    Criteria,
    discard_rubric_draft,
    open_items,
    publish_rubric_draft,
    rubric_of_draft,
    save_rubric_draft,
    untouched_items,
)
from hitl.review.rubrics import rubric_of_version
from webui.rubric import shown
from webui.rubric.forms import ITEM_KINDS, KINDS, PER, ROWS, Done, as_typed, is_same, press, read_criteria

bp = Blueprint(
    "rubric", __name__, template_folder="templates", static_folder="static", static_url_path="/static/rubric"
)
RUBRIC = "/projects/<slug>/rubric"
VERSION = f"{RUBRIC}/versions/<uuid:rubric_version_id>"


@bp.get(RUBRIC)
@allow(Permission.QUEUE)
def show(slug: str) -> Response:
    """Show the work at hand, as a form and as reviewers would see it."""
    at = request.args.get("at", "")
    is_number = at.isascii() and at.isdigit() and len(at) < 4
    return _editor(at=int(at) if is_number else None, focus=request.args.get("focus", ""))


@bp.post(f"{RUBRIC}/draft")
@allow(Permission.QUEUE)
def change_draft(slug: str) -> AnyResponse:
    """Keep what was typed, and do what the pressed button says."""
    action = request.form.get("action", "")
    done = press(action, read_criteria(request.form))
    try:
        _keep(done.criteria)
    except RubricDraftChanged as error:
        return _editor(done.criteria, status=error.status, is_stale=True)
    except RubricRefused as error:
        return _editor(done.criteria, status=error.status, refused=error.message)
    if action == "keep" and _is_htmx():
        return _live(done.criteria)
    return _done(done)


@bp.post(f"{RUBRIC}/draft/discard")
@allow(Permission.QUEUE)
def discard_draft(slug: str) -> AnyResponse:
    """Forget unpublished work."""
    discard_rubric_draft(g.db, g.project, seen_number=_seen_number())
    flash("The draft is discarded. This is the rubric in use.")
    return redirect(url_for("rubric.show", slug=slug), 303)


@bp.get(f"{RUBRIC}/publication")
@allow(Permission.QUEUE)
def ask_to_publish(slug: str) -> str | AnyResponse:
    """Say what publishing changes, and for whom."""
    work = shown.work_of(g.db, g.project)
    if not work.is_draft or work.problems:
        return redirect(url_for("rubric.show", slug=slug), 303)
    return _publication(work)


@bp.post(f"{RUBRIC}/publication")
@allow(Permission.QUEUE)
def publish(slug: str) -> AnyResponse | tuple[str, int]:
    """Make the draft the version in use."""
    also_untouched = "also_untouched" in request.form
    try:
        version, moved = publish_rubric_draft(
            g.db, g.project, seen_number=_seen_number(), by=g.user, also_untouched=also_untouched
        )
    except (RubricDraftChanged, RubricRefused) as error:
        g.db.rollback()
        flash(f"Nothing was published. {error.message}", "warn")
        return redirect(url_for("rubric.show", slug=slug), 303)
    also = f", and so do {moved:,} that nobody had begun" if moved else ""
    flash(f"Version {version.number} is in use: new items get it{also}.")
    return redirect(url_for("rubric.show", slug=slug), 303)


@bp.get(VERSION)
@allow(Permission.QUEUE)
def show_version(slug: str, rubric_version_id: UUID) -> str:
    """Show what a version asks, and what it asked otherwise than the one before."""
    version = _version(rubric_version_id)
    before = g.db.scalar(shown.newest_first(g.project).where(RubricVersion.number < version.number).limit(1))
    criteria = rubric_of_version(version).as_json()
    return render_template(
        "rubric/version.html",
        version=version,
        is_in_use=version.id == g.project.rubric_version_id,
        before=before,
        changes=changes_between(rubric_of_version(before).as_json(), criteria) if before else [],
        preview=shown.preview_of(g.db, g.project, criteria, _preview_kind()),
        item_kinds=ITEM_KINDS,
        work=shown.work_of(g.db, g.project),
    )


@bp.post(f"{VERSION}/draft")
@allow(Permission.QUEUE)
def take_as_draft(slug: str, rubric_version_id: UUID) -> AnyResponse:
    """Go on from a version that was published before."""
    version = _version(rubric_version_id)
    criteria = as_typed(rubric_of_version(version).as_json())
    save_rubric_draft(g.db, g.project, criteria, seen_number=_seen_number(), by=g.user, base=version)
    flash(f"The draft is version {version.number} now. Nothing is published yet.")
    return redirect(url_for("rubric.show", slug=slug), 303)


# --- What is looked up ------------------------------------------------------------------------------------------------


def _version(version_id: UUID) -> RubricVersion:
    version: RubricVersion | None = g.db.get(RubricVersion, version_id)
    if version is None or version.project_id != g.project.id:
        raise NotFound
    return version


def _seen_number() -> int:
    typed = request.form.get("seen_number", "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 10 else -1


def _preview_kind() -> str:
    asked = request.values.get("preview_of", "")
    return asked if asked in dict(ITEM_KINDS) else "response"


def _keep(criteria: Criteria) -> None:
    """Save the draft, unless it would only repeat the version in use."""
    work = shown.work_of(g.db, g.project)
    if work.is_draft or work.in_use is None or not is_same(criteria, work.criteria):
        save_rubric_draft(g.db, g.project, criteria, seen_number=_seen_number(), by=g.user)


# --- What is answered -------------------------------------------------------------------------------------------------


def _is_htmx() -> bool:
    return "HX-Request" in request.headers


def _done(done: Done) -> AnyResponse:
    if _is_htmx():
        return _editor(at=done.at, focus=done.focus, open_places=done.still_open(request.form))
    where = {} if done.at is None else {"at": done.at, "focus": done.focus, "_anchor": f"criterion-{done.at}"}
    return redirect(url_for("rubric.show", slug=g.project.slug, preview_of=_preview_kind(), **where), 303)


def _editor(
    typed: Criteria | None = None,
    *,
    open_places: Set[int] = frozenset(),
    status: int = 200,
    at: int | None = None,
    focus: str = "",
    is_stale: bool = False,
    refused: str = "",
) -> Response:
    work = shown.work_of(g.db, g.project, typed, hushed=at if focus == "label" else None)
    response = make_response(
        render_template(
            "rubric/_editor.html" if _is_htmx() else "rubric/show.html",
            work=work,
            preview=shown.preview_of(g.db, g.project, work.criteria, _preview_kind()),
            versions=shown.versions_of(g.db, g.project),
            kinds=KINDS,
            rows_words=ROWS,
            item_kinds=ITEM_KINDS,
            per=PER,
            open_places=open_places | ({at} if at is not None and focus not in ("up", "down") else set()),
            # Whoever saves or comes back wants to see what is missing; whoever moves a line does not.
            open_problems=request.method == "GET" or request.form.get("action") == "save",
            at=at,
            focus=focus,
            is_stale=is_stale,
            refused=refused,
        ),
        status,
    )
    if status >= 400:
        response.headers["HX-Retarget"] = "#editor"
        response.headers["HX-Reswap"] = "outerHTML"
    return response


def _live(criteria: Criteria) -> Response:
    """While somebody types: the preview and what became of the work, and nothing that has the focus."""
    work = shown.work_of(g.db, g.project)
    preview = shown.preview_of(g.db, g.project, criteria, _preview_kind())
    return make_response(render_template("rubric/_live.html", work=work, preview=preview, item_kinds=ITEM_KINDS))


def _publication(work: shown.Work) -> str:
    untouched = untouched_items(g.db, g.project, rubric_of_draft(work.criteria))
    return render_template(
        "rubric/publication.html",
        work=work,
        open_count=open_items(g.db, g.project),
        untouched=untouched if untouched <= MAX_ITEMS_MOVED else None,
        limit=MAX_ITEMS_MOVED,
    )
