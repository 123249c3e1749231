"""The API of reviewing: drafts, reviews, rubrics. The reviewer is the person who made the key."""

from typing import Any
from uuid import UUID

from flask import Response, g
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy import select

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.core import cursors, feeds
from hitl.core.errors import NotFound
from hitl.core.http import FeedQuery, PageQuery, ProjectPath, answer
from hitl.queue.blindness import blind_message
from hitl.queue.leases import lease_held_by
from hitl.queue.models import Item, Lease
from hitl.review import queries
from hitl.review.answers import Answers
from hitl.review.drafts import draft_of, save_draft
from hitl.review.judged import judged_of
from hitl.review.models import Draft, Review, Revision, RubricVersion
from hitl.review.rubrics import publish_rubric, read_rubric, rubric_of
from hitl.review.schemas import (
    AnswersBody,
    ComparedOut,
    DraftBody,
    DraftConflictEnvelope,
    DraftOut,
    LeasePath,
    MyReviewPage,
    OwnReviewOut,
    ReopenedOut,
    ReviewByOut,
    Reviewer,
    ReviewPage,
    ReviewPath,
    RevisionOut,
    RubricBody,
    RubricOut,
    RubricPage,
    RubricVersionOut,
)
from hitl.review.submission import admit, reopen_review, revise, submit_review
from hitl.review.unblinding import look_at_models, models_named_to_author

bp = APIBlueprint(
    "review_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Review", description="Judge what you hold; read what was decided")],
    abp_security=[{"key": []}],
)


@bp.get("/leases/<uuid:lease_id>/rubric", responses={200: RubricOut})
@allow(Permission.REVIEW)
def show_rubric_of_lease(path: LeasePath) -> Response:
    """Show the questions to answer about an item that you hold."""
    item = _lease(path).item
    version = g.db.get_one(RubricVersion, item.rubric_version_id)
    return answer(RubricOut(number=version.number, criteria=rubric_of(g.db, item).as_json()))


@bp.get("/leases/<uuid:lease_id>/draft", responses={200: DraftOut})
@allow(Permission.REVIEW)
def show_draft(path: LeasePath) -> Response:
    """Show what you have filled in so far. It outlives the lease."""
    return answer(_draft_out(draft_of(g.db, _lease(path).item, g.user)))


@bp.put("/leases/<uuid:lease_id>/draft", responses={200: DraftOut, 409: DraftConflictEnvelope})
@allow(Permission.REVIEW)
def put_draft(path: LeasePath, body: DraftBody) -> Response:
    """Keep what you have filled in so far.

    409 `stale_draft` carries the newer draft when another one was saved over the one you saw.
    """
    filled_in = body.answers | ({"comment": body.comment} if body.comment else {})
    return answer(_draft_out(save_draft(g.db, _lease(path).item, g.user, filled_in, body.seen_number)))


@bp.post("/leases/<uuid:lease_id>/review", responses={200: OwnReviewOut, 201: OwnReviewOut})
@allow(Permission.REVIEW)
def create_review(path: LeasePath, body: AnswersBody) -> Response:
    """Submit your review of an item that you hold.

    201: it counts. 200: the lease had ended and no slot was open, so it is kept as an extra, `counted: false`. The same
    submission again is the same review; a different one is 409 `already_submitted`.
    """
    lease = _lease(path)
    review = submit_review(g.db, lease, _answers(body, lease.item), body.seconds_on_display)
    return answer(_review_out(review), 201 if review.standing == "counted" else 200)


@bp.get("/projects/<slug>/my-reviews", responses={200: MyReviewPage})
@allow(Permission.REVIEW)
def list_my_reviews(path: ProjectPath, query: PageQuery) -> Response:
    """Page through your own reviews, newest first."""
    mine = queries.my_reviews(g.user, g.project).order_by(None)
    page = cursors.page(g.db, mine, Review.id, cursor=query.cursor, limit=query.limit, newest_first=True)
    return answer(MyReviewPage(reviews=[_review_out(review) for review in page.rows], next_cursor=page.next_cursor))


@bp.post("/reviews/<uuid:review_id>/reopening", responses={201: ReopenedOut})
@allow(Permission.REVIEW)
def reopen(path: ReviewPath) -> Response:
    """Take back a review of yours: you hold its item again, with your answers as the draft."""
    lease = reopen_review(g.db, _own_review(path.review_id))
    return answer(ReopenedOut(lease_id=lease.id, item_id=lease.item_id, expires_at=lease.expires_at), 201)


@bp.post("/reviews/<uuid:review_id>/revisions", responses={201: OwnReviewOut})
@allow(Permission.REVIEW)
def create_revision(path: ReviewPath, body: AnswersBody) -> Response:
    """Change a review of yours. What you decided before is kept; the newest revision counts."""
    review = _own_review(path.review_id)
    revise(g.db, review, _answers(body, review.item), body.seconds_on_display)
    return answer(_review_out(review), 201)


@bp.post("/reviews/<uuid:review_id>/disclosure", responses={201: OwnReviewOut})
@allow(Permission.REVIEW)
def create_disclosure(path: ReviewPath) -> Response:
    """Ask which models wrote what you compared, once the comparison is closed.

    What you decide about these responses from then on is kept and never counts, for you no longer judge blind.
    """
    review = _own_review(path.review_id)
    look_at_models(g.db, review)
    return answer(_review_out(review), 201)


@bp.get("/projects/<slug>/reviews", responses={200: ReviewPage})
@allow(Permission.QUEUE)
def list_reviews(path: ProjectPath, query: FeedQuery) -> Response:
    """Page through all reviews of the project, extras among them, in the order in which they last changed.

    A feed: go on with `resume_cursor`. A review that was revised, taken back, submitted again or admitted comes again,
    as it is by then.
    """
    stretch = feeds.follow(g.db, queries.reviews_in(g.project), Review, cursor=query.cursor, limit=query.limit)
    return answer(ReviewPage(reviews=[_review_by_out(review) for review in stretch.rows], **stretch.cursors))


@bp.post("/reviews/<uuid:review_id>/admission", responses={201: ReviewByOut})
@allow(Permission.QUEUE)
def create_admission(path: ReviewPath) -> Response:
    """Let an extra review count. Its item needs an open slot."""
    return answer(_review_by_out(admit(g.db, _review(path.review_id), by=g.user)), 201)


@bp.get("/projects/<slug>/rubrics", responses={200: RubricPage})
@allow(Permission.QUEUE)
def list_rubrics(path: ProjectPath, query: PageQuery) -> Response:
    """Page through the project's rubric versions, newest first."""
    versions = queries.rubric_versions(g.project)
    page = cursors.page(g.db, versions, RubricVersion.id, cursor=query.cursor, limit=query.limit, newest_first=True)
    return answer(RubricPage(rubrics=[_rubric_out(version) for version in page.rows], next_cursor=page.next_cursor))


@bp.post("/projects/<slug>/rubrics", responses={201: RubricVersionOut})
@allow(Permission.QUEUE)
def create_rubric(path: ProjectPath, body: RubricBody) -> Response:
    """Publish the project's next rubric version and put it in use. Items made before keep theirs."""
    return answer(_rubric_out(publish_rubric(g.db, g.project, read_rubric(body.criteria), by=g.user)), 201)


def _lease(path: LeasePath) -> Lease:
    return lease_held_by(g.db, g.user, path.lease_id, g.project)


def _review(review_id: UUID) -> Review:
    review: Review | None = g.db.scalar(select(Review).where(Review.id == review_id, Review.project_id == g.project.id))
    if review is None:
        raise NotFound
    return review


def _own_review(review_id: UUID) -> Review:
    review = _review(review_id)
    if review.reviewer_id != g.user.id:
        raise NotFound
    return review


def _answers(body: AnswersBody, item: Item) -> Answers:
    return Answers.read(rubric_of(g.db, item), body.answers, judged_of(g.db, item), comment=body.comment)


def _draft_out(draft: Draft | None) -> DraftOut:
    if draft is None:
        return DraftOut(number=0, answers={}, comment=None, saved_at=None)
    values = {name: value for name, value in draft.answers.items() if name != "comment"}
    return DraftOut(
        number=draft.number, answers=values, comment=draft.answers.get("comment"), saved_at=draft.updated_at
    )


def _review_out(review: Review) -> OwnReviewOut:
    named = models_named_to_author(g.db, review)
    models = (
        None
        if named is None
        else [
            ComparedOut(response_id=UUID(name), model=response.model, model_version=response.model_version)
            for name, response in named.items()
        ]
    )
    return OwnReviewOut(**_review_fields(review, is_own=True), models=models)


def _review_by_out(review: Review) -> ReviewByOut:
    reviewer = Reviewer(id=review.reviewer.id, name=review.reviewer.name)
    return ReviewByOut(**_review_fields(review, is_own=False), reviewer=reviewer)


def _review_fields(review: Review, is_own: bool) -> dict[str, Any]:
    return {
        "id": review.id,
        "item_id": review.item_id,
        "standing": review.standing,
        "counted": review.standing == "counted",
        "revisions": [_revision_out(revision, review.item, is_own) for revision in review.revisions],
    }


def _revision_out(revision: Revision, item: Item, is_own: bool) -> RevisionOut:
    rubric = rubric_of(g.db, item)
    said = Answers.of(revision, rubric)
    values = said.as_seen(rubric, judged_of(g.db, item)) if is_own else said.values
    return RevisionOut(
        number=revision.number,
        submitted_at=revision.submitted_at,
        seconds_on_display=revision.seconds_on_display,
        answers={name: _without_model(value) for name, value in values.items()},
        comment=said.comment,
        is_unblinded=revision.is_unblinded,
    )


def _without_model(answer: Any) -> Any:
    """A correction of the words alone keeps the rest of the response's message."""
    return blind_message(answer) if isinstance(answer, dict) and "role" in answer else answer


def _rubric_out(version: RubricVersion) -> RubricVersionOut:
    return RubricVersionOut(
        id=version.id,
        number=version.number,
        criteria=version.criteria,
        published_at=version.published_at or version.created_at,
        is_in_use=version.id == g.project.rubric_version_id,
    )
