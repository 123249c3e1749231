"""The API of what reviews teach."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from flask import Response as HttpResponse
from flask import g
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hitl.accounts.access import allow
from hitl.accounts.models import Project
from hitl.accounts.permissions import Permission
from hitl.capture.models import Response
from hitl.core import feeds
from hitl.core.http import FeedQuery, ProjectPath, answer
from hitl.live.models import Intervention
from hitl.preferences.derivation import Derived
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.preferences.queries import counting_demonstrations, counting_evidence, standing_verdicts
from hitl.preferences.schemas import (
    DemonstrationOut,
    DemonstrationPage,
    DemonstrationQuery,
    EvidenceOut,
    EvidencePage,
    SideOut,
    VerdictOut,
    VerdictPage,
    VerdictQuery,
)
from hitl.queue.models import Item
from hitl.review.models import Review, Revision, RubricVersion
from hitl.review.pseudonyms import reviewer_pseudonym

bp = APIBlueprint(
    "preferences_api",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="Preferences", description="Read what reviews teach")],
    abp_security=[{"key": []}],
)


Fields = dict[str, Any]

_OF_EVIDENCE = (
    "input_hash",
    "input_response_id",
    "outcome",
    "distance",
    "origin",
    "criterion",
    "intervention_id",
)


@bp.get("/projects/<slug>/evidence", responses={200: EvidencePage})
@allow(Permission.DATA)
def list_evidence(path: ProjectPath, query: FeedQuery) -> HttpResponse:
    """Page through the evidence that counts, in the order in which it was derived.

    Evidence of a review that was taken back, replaced by a newer revision, or kept as an extra is not among it. A feed:
    go on with `resume_cursor`. What stopped counting since is told by its review, which comes again in `/reviews`; if
    it counts again, it comes again here.
    """
    stretch = feeds.follow(g.db, counting_evidence(g.project), Evidence, cursor=query.cursor, limit=query.limit)
    outputs = _outputs(g.db, {side for row in stretch.rows for side in (row.a_response_id, row.b_response_id)})
    causes = _causes(g.db, g.project, stretch.rows)
    shown = [
        EvidenceOut(
            **_fields(evidence, *_OF_EVIDENCE),
            **causes[evidence.revision_id or evidence.intervention_id],
            a=_side(evidence.a_response_id, evidence.a_output, outputs),
            b=_side(evidence.b_response_id, evidence.b_output, outputs),
        )
        for evidence in stretch.rows
    ]
    return answer(EvidencePage(evidence=shown, **stretch.cursors))


@bp.get("/projects/<slug>/verdicts", responses={200: VerdictPage})
@allow(Permission.DATA)
def list_verdicts(path: ProjectPath, query: VerdictQuery) -> HttpResponse:
    """Page through what people found good or bad, in the order in which they said so last.

    Reviewers' verdicts, as far as their revision counts, and end users' where the project lets their thumbs count. In a
    dataset, reviewers beat end users about the same response. A feed: go on with `resume_cursor`. An end user's verdict
    comes again when the thumb was turned. What a reviewer's review no longer says is told by `/reviews`; if it counts
    again, it comes again here.
    """
    found = _of_origin_and_response(standing_verdicts(g.project), Verdict, query)
    stretch = feeds.follow(g.db, found, Verdict, cursor=query.cursor, limit=query.limit)
    causes = _causes(g.db, g.project, stretch.rows)
    shown = [
        VerdictOut(
            **_fields(verdict, "response_id", "input_hash", "is_good", "origin", "criterion", "feedback_id"),
            **causes[verdict.revision_id],
        )
        for verdict in stretch.rows
    ]
    return answer(VerdictPage(verdicts=shown, **stretch.cursors))


@bp.get("/projects/<slug>/demonstrations", responses={200: DemonstrationPage})
@allow(Permission.DATA)
def list_demonstrations(path: ProjectPath, query: DemonstrationQuery) -> HttpResponse:
    """Page through the answers worth imitating that count, in the order in which they were derived.

    A feed, as `/evidence` is one: go on with `resume_cursor`; what stopped counting is told by `/reviews`.
    """
    found = _of_origin_and_response(counting_demonstrations(g.project), Demonstration, query)
    stretch = feeds.follow(g.db, found, Demonstration, cursor=query.cursor, limit=query.limit)
    outputs = _outputs(g.db, {row.response_id for row in stretch.rows if row.output is None})
    causes = _causes(g.db, g.project, stretch.rows)
    shown = [
        DemonstrationOut(
            **_fields(demonstration, "response_id", "input_hash", "origin", "intervention_id"),
            **causes[demonstration.revision_id or demonstration.intervention_id],
            output=demonstration.output or outputs[demonstration.response_id],
        )
        for demonstration in stretch.rows
    ]
    return answer(DemonstrationPage(demonstrations=shown, **stretch.cursors))


def _of_origin_and_response(
    found: Select[Any], table: type[Verdict | Demonstration], query: VerdictQuery | DemonstrationQuery
) -> Select[Any]:
    asked = {"origin": query.origin, "response_id": query.response_id}
    return found.where(*(getattr(table, name) == value for name, value in asked.items() if value is not None))


def _outputs(db: Session, response_ids: Collection[UUID | None]) -> dict[UUID, dict[str, Any]]:
    found = select(Response.id, Response.output).where(Response.id.in_(set(response_ids) - {None}))
    return {row.id: row.output for row in db.execute(found)}


_NO_CAUSE: Fields = dict.fromkeys(("review_id", "revision", "reviewer", "rubric"))


def _causes(db: Session, project: Project, rows: Sequence[Derived]) -> dict[UUID | None, Fields]:
    """Return by revision or intervention where a row came from. An end user's verdict has neither: all is null."""
    found = db.execute(
        select(Revision.id, Review.id, Revision.number, Review.reviewer_id, RubricVersion.number)
        .join(Review, Review.id == Revision.review_id)
        .join(Item, Item.id == Review.item_id)
        .join(RubricVersion, RubricVersion.id == Item.rubric_version_id)
        .where(Revision.id.in_({row.revision_id for row in rows} - {None}))
    )
    causes: dict[UUID | None, Fields] = {None: _NO_CAUSE}
    for revision_id, review_id, number, reviewer_id, rubric in found:
        reviewer = reviewer_pseudonym(db, project.id, reviewer_id)
        causes[revision_id] = {"review_id": review_id, "revision": number, "reviewer": reviewer, "rubric": rubric}
    intervention_ids = {row.intervention_id for row in rows if not isinstance(row, Verdict)} - {None}
    made = select(Intervention.id, Intervention.user_id).where(Intervention.id.in_(intervention_ids))
    for intervention_id, user_id in db.execute(made):
        causes[intervention_id] = _NO_CAUSE | {"reviewer": reviewer_pseudonym(db, project.id, user_id)}
    return causes


def _fields(row: Derived, *names: str) -> Fields:
    return {name: getattr(row, name) for name in ("id", "created_at", *names)}


def _side(response_id: UUID | None, written: dict[str, Any] | None, outputs: dict[UUID, dict[str, Any]]) -> SideOut:
    if response_id is not None:
        return SideOut(response_id=response_id, output=outputs[response_id])
    return SideOut(response_id=None, output=written or {})
