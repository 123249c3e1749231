"""JSON shapes of datasets and their versions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from hitl.core.http import ApiModel, PageQuery
from hitl.datasets.selection import WITHOUT_NUL, Kind, Selection, Split


class VersionShape(ApiModel):
    """A dataset version."""

    dataset: str
    version: int
    kind: Kind
    state: Literal["freezing", "frozen", "failed"]
    error: str | None = Field(description="why it failed")
    content_hash: str | None = Field(description="SHA-256 over the rows: the same on every machine for the same rows")
    lineage_hash: str | None
    selection: dict[str, Any]
    statistics: dict[str, Any] | None
    manifest: dict[str, Any] | None
    created_at: datetime
    frozen_at: datetime | None


class DatasetShape(ApiModel):
    """A dataset and its versions, newest first."""

    name: str
    kind: Kind
    selection: dict[str, Any]
    seed: str
    created_at: datetime
    versions: list[VersionShape]


class DatasetList(ApiModel):
    """A project's datasets, by name."""

    datasets: list[DatasetShape]


class FreezeBody(ApiModel):
    """What the next version takes. What is left out stays as it was for the version before."""

    kind: Kind | None = Field(None, description="of a new dataset; preference when left out")
    selection: Selection | None = None
    seed: str | None = Field(
        None, max_length=200, pattern=WITHOUT_NUL, description="of a new dataset; its name when left out"
    )


class DatasetPath(ApiModel):
    """A dataset of a project."""

    slug: str
    name: str


class VersionPath(DatasetPath):
    """A version of a dataset."""

    number: int


class RowPath(VersionPath):
    """A row of a version."""

    row_id: str


class RowsQuery(PageQuery):
    """Which rows."""

    split: Split | None = None
    origin: str | None = None


class RowsShape(ApiModel):
    """Rows of a version: messages as captured, with split, origin, agreement and margin."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


class ExportQuery(ApiModel):
    """Which format."""

    format: str


class ExportShape(ApiModel):
    """A version in one format, as a file to carry away."""

    dataset: str
    version: int
    format: str
    state: Literal["writing", "ready", "failed"]
    error: str | None = Field(description="why it failed")
    bytes: int | None = Field(description="of the zip, once it is ready")
    rows: int | None = Field(description="written")
    refused: int | None = Field(description="rows that the format cannot express; manifest.json names them")
    created_at: datetime


class BiographyShape(ApiModel):
    """A row and all that led to it."""

    row: dict[str, Any]
    inclusion_probability: float | None
    responses: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    reviews: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    thumbs: list[dict[str, Any]] = Field(description="End users' thumbs that were read; only in a dataset of verdicts")
    versions: list[dict[str, Any]]
