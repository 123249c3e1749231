"""Pages of the reviewer: claim the next item, judge it, go on; and what they decided before.

Each action answers twice: to htmx with the work area that comes next, and to a browser without scripts with a
redirect to the page that shows it.
"""

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, g, make_response, redirect, render_template, request, url_for

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import clock, cursors
from hitl.core.errors import NotFound
from hitl.core.http import answer
from hitl.queue.leases import claim as claim_next
from hitl.queue.leases import extend, give_back, lease_held_by, load_subject
from hitl.queue.leases import skip as skip_item
from hitl.queue.models import Lease
from hitl.queue.queries import running_leases
from hitl.queue.waiting import waiting_count
from hitl.review.drafts import draft_of, save_draft
from hitl.review.errors import AnswersRefused, StaleDraft
from hitl.review.models import Review
from hitl.review.queries import newest_revision, submitted_reviews
from hitl.review.submission import reopen_review, revise, submit_review
from hitl.review.submission import undo as undo_last
from hitl.review.unblinding import look_at_models
from webui.base.layout import COMPARE_KEYS, REVIEW_KEYS
from webui.review import forms, shown

bp = Blueprint(
    "review",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static/review",
)

REVIEWS_ON_A_PAGE = 50
SUBMITTED = "Submitted."
LATE_BUT_COUNTED = "Submitted. Your time was over, but a place was still free: it counts."
LATE_AND_EXTRA = "Submitted. Your time was over and the places are taken: it is kept as an extra for the lead."
EXTRA = "Submitted. Enough others have reviewed this by now: it is kept as an extra for the lead."

Answered = str | Response


# --- The next item ----------------------------------------------------------------------------------------------------


@bp.get("/projects/<slug>/review")
@allow(Permission.REVIEW)
def next_item(slug: str) -> Answered:
    """Show what I hold; else open the next item, or say that nothing waits, on a page that asks here again."""
    held = _held_lease()
    if held is not None:
        return _to_lease(held)
    if not waiting_count(g.db, g.user, g.project):
        return ("", 204) if _is_htmx() else _nothing_waits()
    return _work("review/_start.html", work=shown.work_of(g.db, g.user, g.project))


@bp.post("/projects/<slug>/leases")
@allow(Permission.REVIEW)
def claim(slug: str) -> Answered:
    """Open the next item."""
    return _go_on()


@bp.get("/projects/<slug>/leases/<uuid:lease_id>")
@allow(Permission.REVIEW)
def show(slug: str, lease_id: UUID) -> Answered:
    """Show an item and the form; or where it went, if it is decided."""
    lease = _lease(lease_id)
    if lease.ended_as is None or lease.ended_as == "expired":
        return _item(lease)
    return _where_it_went(lease) or _work("review/_ended.html", ended_as=lease.ended_as)


@bp.put("/projects/<slug>/leases/<uuid:lease_id>/draft")
@allow(Permission.REVIEW)
def keep_draft(slug: str, lease_id: UUID) -> Response:
    """Keep what is filled in so far; 409 with the newer draft where another tab was faster."""
    item = _lease(lease_id).item
    given = forms.given_answers(g.db, item, request)
    try:
        draft = save_draft(g.db, item, g.user, given, forms.seen_number(request))
    except StaleDraft as stale:
        newer = draft_of(g.db, item, g.user)
        fields = shown.fields_of_draft(g.db, item, newer.answers if newer else {})
        saved_at = newer.updated_at.isoformat() if newer else None
        draft_json = {"number": newer.number if newer else 0, "saved_at": saved_at, "fields": fields}
        envelope = {"type": stale.type, "code": stale.code, "message": stale.message, "param": None}
        return answer({"error": envelope, "draft": draft_json}, stale.status)
    return answer({"number": draft.number, "saved_at": draft.updated_at.isoformat()})


@bp.post("/projects/<slug>/leases/<uuid:lease_id>/review")
@allow(Permission.REVIEW)
def create(slug: str, lease_id: UUID) -> Answered:
    """Submit the review, and go on with the next item."""
    lease = _lease(lease_id)
    was_over = shown.is_over(lease)
    given = forms.given_answers(g.db, lease.item, request)
    try:
        answers = forms.checked_answers(g.db, lease.item, given)
        review = submit_review(g.db, lease, answers, forms.seconds_on_display(request))
    except AnswersRefused as refused:
        return _item(lease, shown.filled_by(given, refused.problems), refused.status)
    return _go_on(_standing_in_words(review, was_over), can_undo=True)


@bp.get("/projects/<slug>/leases/<uuid:lease_id>/skip")
@allow(Permission.REVIEW)
def why_skip(slug: str, lease_id: UUID) -> str:
    """Ask why, where the dialog cannot."""
    return _why_skip(_lease(lease_id))


@bp.post("/projects/<slug>/leases/<uuid:lease_id>/skip")
@allow(Permission.REVIEW)
def skip(slug: str, lease_id: UUID) -> Answered:
    """Leave the item to others for good, and go on with the next."""
    lease = _lease(lease_id)
    try:
        reason = forms.skip_reason(request)
    except forms.NoReason as refused:
        return _why_skip(lease, refused.message), refused.status, {"HX-Retarget": "#skip-refusal"}
    skip_item(g.db, lease, reason)
    return _go_on("Skipped. It will not come back to you.")


@bp.post("/projects/<slug>/leases/<uuid:lease_id>/extension")
@allow(Permission.REVIEW)
def extension(slug: str, lease_id: UUID) -> Response:
    """Hold the item for a whole lease's length from now."""
    lease = _lease(lease_id)
    extend(g.db, lease)
    return answer({"ends_at": lease.expires_at.isoformat(), "now": clock.now().isoformat()})


@bp.post("/projects/<slug>/leases/<uuid:lease_id>/return")
@allow(Permission.REVIEW)
def give_back_item(slug: str, lease_id: UUID) -> Answered:
    """Give the item back, for others or for later."""
    give_back(g.db, _lease(lease_id))
    if not _is_htmx():
        return redirect(url_for("review.show", slug=slug, lease_id=lease_id), 303)
    return _work("review/_ended.html", ended_as="given_back")


@bp.post("/projects/<slug>/undo")
@allow(Permission.REVIEW)
def undo(slug: str) -> Answered:
    """Take back what I submitted last, and open it again."""
    return _reopened(undo_last(g.db, g.user, g.project))


@bp.get("/projects/<slug>/guidelines")
@allow(Permission.REVIEW)
def guidelines(slug: str) -> str:
    """Show by which guidelines this project is reviewed."""
    return render_template("review/guidelines.html")


# --- My reviews -------------------------------------------------------------------------------------------------------


@bp.get("/projects/<slug>/my-reviews")
@allow(Permission.REVIEW)
def mine(slug: str) -> str:
    """List what I decided, newest first."""
    cursor = request.args.get("cursor")
    reviews = shown.reviews_by(g.user, g.project)
    page = cursors.page(g.db, reviews, Review.id, cursor=cursor, limit=REVIEWS_ON_A_PAGE, newest_first=True)
    return render_template(
        "review/mine.html",
        reviews=[shown.own_review(g.db, review) for review in page.rows],
        next_cursor=page.next_cursor,
        is_first_page=cursor is None,
        done_today=shown.done_today(g.db, g.user, g.project),
        now=clock.now(),
    )


@bp.get("/projects/<slug>/reviews/<uuid:review_id>")
@allow(Permission.REVIEW)
def show_review(slug: str, review_id: UUID) -> Answered:
    """Show a review of mine and its revisions, with the form to change it."""
    return _own_review(_my_review(review_id))


@bp.post("/projects/<slug>/reviews/<uuid:review_id>/revisions")
@allow(Permission.REVIEW)
def create_revision(slug: str, review_id: UUID) -> Answered:
    """Keep what I decide now beside what I decided before."""
    review = _my_review(review_id)
    given = forms.given_answers(g.db, review.item, request)
    before = g.db.scalars(newest_revision(review.id)).one()
    try:
        answers = forms.checked_answers(g.db, review.item, given)
        revision = revise(g.db, review, answers, forms.seconds_on_display(request))
    except AnswersRefused as refused:
        return _own_review(review, shown.filled_by(given, refused.problems), refused.status)
    said = "Nothing was changed." if revision is before else f"Saved as revision {revision.number}."
    if not _is_htmx():
        flash(said)
        return redirect(url_for("review.show_review", slug=slug, review_id=review.id), 303)
    return _own_review(review, said=said)


@bp.post("/projects/<slug>/reviews/<uuid:review_id>/disclosure")
@allow(Permission.REVIEW)
def disclose(slug: str, review_id: UUID) -> Answered:
    """Show me who wrote what I compared; what I say of it from then on does not count."""
    review = _my_review(review_id)
    look_at_models(g.db, review)
    if not _is_htmx():
        return redirect(url_for("review.show_review", slug=slug, review_id=review.id), 303)
    return _own_review(review)


@bp.post("/projects/<slug>/reviews/<uuid:review_id>/reopening")
@allow(Permission.REVIEW)
def reopen(slug: str, review_id: UUID) -> Answered:
    """Take a review of mine back, and open its item again."""
    return _reopened(reopen_review(g.db, _my_review(review_id)))


# --- What is looked up ------------------------------------------------------------------------------------------------


def _lease(lease_id: UUID) -> Lease:
    return lease_held_by(g.db, g.user, lease_id, g.project)


def _held_lease() -> Lease | None:
    """What I hold and still have time for; the longest held first."""
    mine = running_leases(g.user, g.project).where(Lease.expires_at > clock.now())
    found: Lease | None = g.db.scalars(mine.limit(1)).first()
    return found


def _my_review(review_id: UUID) -> Review:
    review: Review | None = g.db.get(Review, review_id)
    if review is None or review.reviewer_id != g.user.id or review.project_id != g.project.id:
        raise NotFound
    return review


# --- What is answered -------------------------------------------------------------------------------------------------


def _is_htmx() -> bool:
    return "HX-Request" in request.headers


def _go_on(said: str = "", can_undo: bool = False) -> Answered:
    """Open what I hold, or else the next item.

    What I hold comes first: whoever claims twice, because an answer got lost, gets the same item again.
    """
    lease = _held_lease() or claim_next(g.db, g.project, g.user)
    return _to_lease(lease, said, can_undo)


def _reopened(lease: Lease) -> Answered:
    return _to_lease(lease, "Taken back. Change it and submit it again.")


def _to_lease(lease: Lease | None, said: str = "", can_undo: bool = False) -> Answered:
    """Lead to an item, or to the page that says that nothing waits."""
    if lease is None:
        target = url_for("review.next_item", slug=g.project.slug)
    else:
        target = url_for("review.show", slug=g.project.slug, lease_id=lease.id)
    if not _is_htmx():
        if said:
            flash(said, "undo" if can_undo else "message")
        return redirect(target, 303)
    shown_next = _nothing_waits(said, can_undo) if lease is None else _item(lease, said=said, can_undo=can_undo)
    response = make_response(shown_next)
    response.headers["HX-Push-Url"] = target
    return response


def _item(
    lease: Lease, filled: shown.Filled | None = None, status: int = 200, *, said: str = "", can_undo: bool = False
) -> Answered:
    load_subject(g.db, lease)
    subject = shown.subject_of(g.db, lease)
    draft = draft_of(g.db, lease.item, g.user)
    return _work(
        "review/_comparison.html" if subject.is_comparison else "review/_item.html",
        status,
        said=said,
        undo_is_near=can_undo,
        subject=subject,
        hold=shown.hold_of(g.db, lease, g.project, draft),
        filled=filled or shown.filled_by_draft(draft),
        work=shown.work_of(g.db, g.user, g.project),
        skip_reasons=forms.SKIP_REASONS,
        now=clock.now(),
    )


def _nothing_waits(said: str = "", can_undo: bool = False) -> Answered:
    return _work(
        "review/_nothing.html",
        said=said,
        undo_is_near=can_undo,
        work=shown.work_of(g.db, g.user, g.project),
        new_an_hour=shown.new_items_an_hour(g.db, g.project),
    )


def _where_it_went(lease: Lease) -> Response | None:
    """Lead from a lease that ended to where its item is now: held again, or reviewed."""
    held = g.db.scalars(running_leases(g.user, g.project).where(Lease.item_id == lease.item_id)).first()
    if held is not None:
        return redirect(url_for("review.show", slug=g.project.slug, lease_id=held.id))
    review = g.db.scalar(submitted_reviews(g.user).where(Review.item_id == lease.item_id))
    if review is not None:
        return redirect(url_for("review.show_review", slug=g.project.slug, review_id=review.id))
    return None


def _own_review(review: Review, filled: shown.Filled | None = None, status: int = 200, *, said: str = "") -> Answered:
    if review.standing == "reopened":
        held = g.db.scalars(running_leases(g.user, g.project).where(Lease.item_id == review.item_id)).first()
        return _work("review/_reopened.html", lease_id=held.id if held else None)
    newest = g.db.scalars(newest_revision(review.id)).one()
    subject = shown.reviewed_subject(g.db, review)
    return _work(
        "review/_own_comparison.html" if subject.is_comparison else "review/_own_review.html",
        status,
        said=said,
        subject=subject,
        review=shown.own_review(g.db, review),
        filled=filled or shown.filled_by_revision(g.db, newest, review.item),
        now=clock.now(),
    )


def _why_skip(lease: Lease, problem: str = "") -> str:
    if _is_htmx():
        return render_template("review/_skip_problem.html", problem=problem)
    return render_template(
        "review/skip.html", lease_id=lease.id, skip_reasons=forms.SKIP_REASONS, problem=problem, words=_typed_words()
    )


def _typed_words() -> str:
    return request.form.get("words", "")


def _work(part: str, status: int = 200, **values: Any) -> Answered:
    """Return the work area alone to htmx, and the whole page around it to everybody else."""
    frame = "review/_answer.html" if _is_htmx() else "review/show.html"
    return make_response(render_template(frame, part=part, keys=(*REVIEW_KEYS, *COMPARE_KEYS), **values), status)


def _standing_in_words(review: Review, was_over: bool) -> str:
    if review.standing == "counted":
        return LATE_BUT_COUNTED if was_over else SUBMITTED
    return LATE_AND_EXTRA if was_over else EXTRA
