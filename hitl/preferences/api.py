"""The API of what reviews teach."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Response as HttpResponse
from flask import g
from flask_openapi3 import APIBlueprint, Tag
from sqlalchemy import select
from sqlalchemy.orm import Session

from hitl.accounts.access import allow
from hitl.accounts.permissions import Permission
from hitl.capture.models import Response
from hitl.core import feeds
from hitl.core.http import FeedQuery, ProjectPath, answer
from hitl.preferences.models import Evidence
from hitl.preferences.queries import counting_evidence
from hitl.preferences.schemas import EvidenceOut, EvidencePage, SideOut
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


@dataclass(frozen=True)
class _Cause:
    review_id: UUID
    number: int
    reviewer_id: UUID
    rubric: int


@bp.get("/projects/<slug>/evidence", responses={200: EvidencePage})
@allow(Permission.DATA)
def list_evidence(path: ProjectPath, query: FeedQuery) -> HttpResponse:
    """Page through the evidence that counts, in the order in which it was derived.

    Evidence of a review that was taken back, replaced by a newer revision, or kept as an extra is not among it. A feed:
    go on with `resume_cursor`. What stopped counting since is told by its review, which comes again in `/reviews`; if
    it counts again, it comes again here.
    """
    stretch = feeds.follow(g.db, counting_evidence(g.project), Evidence, cursor=query.cursor, limit=query.limit)
    outputs = _outputs(g.db, stretch.rows)
    causes = _causes(g.db, stretch.rows)
    shown = [_shown(evidence, outputs, causes[evidence.revision_id]) for evidence in stretch.rows]
    return answer(EvidencePage(evidence=shown, **stretch.cursors))


def _outputs(db: Session, rows: Sequence[Evidence]) -> dict[UUID, dict[str, Any]]:
    sides = {side for row in rows for side in (row.a_response_id, row.b_response_id) if side is not None}
    return {
        row.id: row.output for row in db.execute(select(Response.id, Response.output).where(Response.id.in_(sides)))
    }


def _causes(db: Session, rows: Sequence[Evidence]) -> dict[UUID, _Cause]:
    found = db.execute(
        select(Revision.id, Review.id, Revision.number, Review.reviewer_id, RubricVersion.number)
        .join(Review, Review.id == Revision.review_id)
        .join(Item, Item.id == Review.item_id)
        .join(RubricVersion, RubricVersion.id == Item.rubric_version_id)
        .where(Revision.id.in_({row.revision_id for row in rows}))
    )
    return {
        revision_id: _Cause(review_id, number, reviewer_id, rubric)
        for revision_id, review_id, number, reviewer_id, rubric in found
    }


def _shown(evidence: Evidence, outputs: dict[UUID, dict[str, Any]], cause: _Cause) -> EvidenceOut:
    return EvidenceOut(
        id=evidence.id,
        input_hash=evidence.input_hash,
        input_response_id=evidence.input_response_id,
        a=_side(evidence.a_response_id, evidence.a_output, outputs),
        b=_side(evidence.b_response_id, evidence.b_output, outputs),
        outcome=evidence.outcome,
        distance=evidence.distance,
        origin=evidence.origin,
        criterion=evidence.criterion,
        review_id=cause.review_id,
        revision=cause.number,
        reviewer=reviewer_pseudonym(g.db, evidence.project_id, cause.reviewer_id),
        rubric=cause.rubric,
        created_at=evidence.created_at,
    )


def _side(response_id: UUID | None, written: dict[str, Any] | None, outputs: dict[UUID, dict[str, Any]]) -> SideOut:
    if response_id is not None:
        return SideOut(response_id=response_id, output=outputs[response_id])
    return SideOut(response_id=None, output=written or {})
