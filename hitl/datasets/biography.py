"""Where a row comes from, and where a response went: every row has a biography."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from hitl.accounts.models import Project
from hitl.capture.models import Feedback, Response
from hitl.datasets.models import Dataset, DatasetVersion
from hitl.datasets.storage import Storage, storage_of
from hitl.datasets.versions import ensure_frozen, lineage_of, row_of, versions_of
from hitl.live.models import Intervention
from hitl.preferences.models import Demonstration, Evidence, Verdict
from hitl.queue.models import Item, RuleVersion
from hitl.queue.models import Selection as Draw
from hitl.review.models import Review, Revision, RubricVersion
from hitl.review.pseudonyms import reviewer_pseudonym


@dataclass(frozen=True)
class ResponseOrigin:
    """A response that was judged for a row. Whoever the end user is stays out."""

    id: UUID
    client_id: str | None
    conversation: str | None  # the client's own id
    model: str | None
    model_version: str | None
    prompt_name: str | None
    prompt_version: str | None
    created_at: datetime


@dataclass(frozen=True)
class RuleOrigin:
    """A rule for which a response was eligible."""

    response_id: UUID
    name: str
    version: int
    rate: float
    is_drawn: bool


@dataclass(frozen=True)
class ReviewOrigin:
    """A revision that decided about a row."""

    revision_id: UUID
    reviewer: str  # pseudonym
    rubric_version: int
    revision: int
    submitted_at: datetime
    counts_today: bool  # a newer revision, or an undo, has not replaced it since


@dataclass(frozen=True)
class InterventionOrigin:
    """What a person did in a live conversation that decided about a row."""

    intervention_id: UUID
    by: str  # pseudonym
    kind: str  # approval, edit, refusal, takeover
    made_at: datetime


@dataclass(frozen=True)
class EvidenceOrigin:
    """What a revision or an intervention said: which answer is better, or which is worth imitating."""

    id: UUID
    cause_id: UUID | None  # of the revision or the intervention
    origin: str
    outcome: str | None  # of a verdict: good or bad; none: a demonstration
    criterion: str | None
    distance: float | None


@dataclass(frozen=True)
class ThumbOrigin:
    """An end user's thumb that was read for a row. Whose it is stays out."""

    feedback_id: UUID
    given_at: datetime
    is_good_today: bool | None  # it may have changed since; none: taken away


@dataclass(frozen=True)
class Appearance:
    """A version of any dataset that holds a row, or rows made of a response."""

    dataset: str
    version: int
    split: str | None  # none: several rows in it
    row_ids: list[str]


@dataclass(frozen=True)
class Biography:
    """A row and all that led to it."""

    row: dict[str, Any]
    inclusion_probability: float | None  # none: picked by hand, so it stands for no others
    responses: list[ResponseOrigin]
    rules: list[RuleOrigin]
    reviews: list[ReviewOrigin]
    interventions: list[InterventionOrigin]
    evidence: list[EvidenceOrigin]
    thumbs: list[ThumbOrigin]
    versions: list[Appearance]


def biography(db: Session, version: DatasetVersion, row_id: str) -> Biography:
    """Return a row's biography. Raises NoSuchRow, VersionNotFrozen."""
    ensure_frozen(version)
    storage = storage_of(db)
    row = row_of(storage, version, row_id)
    lineage = lineage_of(storage, version, row["position"])
    return Biography(
        row=row,
        inclusion_probability=lineage["inclusion_probability"],
        responses=_responses(db, _ids(lineage["response_ids"])),
        rules=_rules(db, _ids(lineage["selection_ids"])),
        reviews=_reviews(db, _ids(lineage["revision_ids"])),
        interventions=_interventions(db, _ids(lineage.get("intervention_ids", []))),
        evidence=_evidence(db, version.dataset.kind, _ids(lineage["evidence_ids"])),
        thumbs=_thumbs(db, _ids(lineage.get("feedback_ids", []))),
        versions=_versions_with_row(db, storage, version, row),
    )


def versions_with(db: Session, response_id: UUID) -> list[Appearance]:
    """Return the versions that hold rows made of a response, with those rows."""
    response = db.get(Response, response_id)
    if response is None:
        return []
    project = db.get_one(Project, response.project_id)
    storage = storage_of(db)
    return [
        Appearance(version.dataset.name, version.number, None, row_ids)
        for version in db.scalars(versions_of(project).where(DatasetVersion.state == "frozen"))
        if (row_ids := _rows_made_of(storage, version, response_id))
    ]


def _responses(db: Session, identifiers: list[UUID]) -> list[ResponseOrigin]:
    query = (
        select(Response)
        .options(joinedload(Response.conversation))
        .where(Response.id.in_(identifiers))
        .order_by(Response.id)
    )
    return [
        ResponseOrigin(
            id=response.id,
            client_id=response.client_id,
            conversation=response.conversation.client_id if response.conversation else None,
            model=response.model,
            model_version=response.model_version,
            prompt_name=response.prompt_name,
            prompt_version=response.prompt_version,
            created_at=response.created_at,
        )
        for response in db.scalars(query)
    ]


def _rules(db: Session, draw_ids: list[UUID]) -> list[RuleOrigin]:
    query = (
        select(Draw)
        .options(joinedload(Draw.rule_version).joinedload(RuleVersion.rule))
        .where(Draw.id.in_(draw_ids))
        .order_by(Draw.id)
    )
    return [
        RuleOrigin(draw.response_id, draw.rule_version.rule.name, draw.rule_version.number, draw.rate, draw.is_drawn)
        for draw in db.scalars(query)
    ]


def _reviews(db: Session, revision_ids: list[UUID]) -> list[ReviewOrigin]:
    query = (
        select(Revision, Review, RubricVersion.number)
        .join(Review, Review.id == Revision.review_id)
        .join(Item, Item.id == Review.item_id)
        .join(RubricVersion, RubricVersion.id == Item.rubric_version_id)
        .where(Revision.id.in_(revision_ids))
        .order_by(Revision.submitted_at, Revision.id)
    )
    return [
        ReviewOrigin(
            revision_id=revision.id,
            reviewer=reviewer_pseudonym(db, review.project_id, review.reviewer_id),
            rubric_version=rubric_number,
            revision=revision.number,
            submitted_at=revision.submitted_at,
            counts_today=review.counting_revision_id == revision.id,
        )
        for revision, review, rubric_number in db.execute(query).all()
    ]


def _interventions(db: Session, identifiers: list[UUID]) -> list[InterventionOrigin]:
    query = select(Intervention).where(Intervention.id.in_(identifiers)).order_by(Intervention.id)
    return [
        InterventionOrigin(one.id, reviewer_pseudonym(db, one.project_id, one.user_id), one.kind, one.made_at)
        for one in db.scalars(query)
    ]


def _evidence(db: Session, kind: str, identifiers: list[UUID]) -> list[EvidenceOrigin]:
    if kind == "preference":
        return [
            EvidenceOrigin(
                one.id, one.revision_id or one.intervention_id, one.origin, one.outcome, one.criterion, one.distance
            )
            for one in db.scalars(select(Evidence).where(Evidence.id.in_(identifiers)).order_by(Evidence.id))
        ]
    if kind == "verdict":
        by_reviewers = select(Verdict).where(Verdict.id.in_(identifiers), Verdict.revision_id.is_not(None))
        return [
            EvidenceOrigin(one.id, one.revision_id, one.origin, "good" if one.is_good else "bad", one.criterion, None)
            for one in db.scalars(by_reviewers.order_by(Verdict.id))
            if one.revision_id is not None
        ]
    return [
        EvidenceOrigin(one.id, one.revision_id or one.intervention_id, one.origin, None, None, None)
        for one in db.scalars(select(Demonstration).where(Demonstration.id.in_(identifiers)).order_by(Demonstration.id))
    ]


def _thumbs(db: Session, feedback_ids: list[UUID]) -> list[ThumbOrigin]:
    query = select(Feedback).where(Feedback.id.in_(feedback_ids)).order_by(Feedback.given_at, Feedback.id)
    return [
        ThumbOrigin(one.id, one.given_at, one.value if isinstance(one.value, bool) else None)
        for one in db.scalars(query)
    ]


def _versions_with_row(db: Session, storage: Storage, version: DatasetVersion, row: dict[str, Any]) -> list[Appearance]:
    """Return the frozen versions that hold this row, those of its own dataset first."""
    project = db.get_one(Project, version.dataset.project_id)
    possible = versions_of(project).where(Dataset.kind == version.dataset.kind, DatasetVersion.state == "frozen")
    own_first = (Dataset.id != version.dataset_id, Dataset.name, DatasetVersion.number)
    found: list[Appearance] = []
    for one in db.scalars(possible.order_by(None).order_by(*own_first)):
        split = _split_of(storage, one, row)
        if split is not None:
            found.append(Appearance(one.dataset.name, one.number, split, [row["id"]]))
    return found


def _split_of(storage: Storage, version: DatasetVersion, row: dict[str, Any]) -> str | None:
    # Rows lie in the order of their inputs' hashes, so that a glance at the file's footer leaves one group to read.
    is_it = (pc.field("input_hash") == row["input_hash"]) & (pc.field("id") == row["id"])
    with storage.reading(f"{version.location}/rows.parquet") as file:
        rows = pq.read_table(file, columns=["split"], filters=is_it)
    splits: list[str] = rows.column("split").to_pylist()
    return splits[0] if splits else None


def _rows_made_of(storage: Storage, version: DatasetVersion, response_id: UUID) -> list[str]:
    with storage.reading(f"{version.location}/lineage.parquet") as file:
        lineage = pq.read_table(file, columns=["row_id", "response_ids"]).combine_chunks()
    response_ids: pa.ChunkedArray = lineage.column("response_ids")
    is_it = pc.equal(pc.list_flatten(response_ids), str(response_id))
    rows = pc.unique(pc.list_parent_indices(response_ids).filter(is_it))
    row_ids: list[str] = lineage.column("row_id").take(rows).to_pylist()
    return row_ids


def _ids(texts: list[str]) -> list[UUID]:
    return [UUID(text) for text in texts]
