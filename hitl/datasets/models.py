"""Tables: named datasets and their frozen versions. The rows themselves lie in Parquet files in the storage."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.core import clock
from hitl.core.database import Base, one_of
from hitl.core.ids import Id
from hitl.datasets.selection import Kind

DATASET_KINDS = ("preference", "demonstration", "verdict")
VERSION_STATES = ("freezing", "frozen", "failed")
EXPORT_STATES = ("writing", "ready", "failed")


class Dataset(Base):
    """A name under which versions are frozen, and what goes into them."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "name"), one_of("kind", DATASET_KINDS))

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[Kind] = mapped_column(String)
    selection: Mapped[dict[str, Any]] = mapped_column(
        JSON
    )  # what the next version takes; see hitl/datasets/selection.py
    seed: Mapped[str]  # decides the split, with each group's smallest input hash
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # none: the command line

    versions: Mapped[list["DatasetVersion"]] = relationship(order_by="DatasetVersion.number", back_populates="dataset")


class DatasetVersion(Base):
    """A frozen set of rows and their origin. Never changed, only followed by the next."""

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"), one_of("state", VERSION_STATES))

    id: Mapped[Id]
    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    number: Mapped[int]  # from 1
    state: Mapped[str] = mapped_column(default="freezing")
    selection: Mapped[dict[str, Any]] = mapped_column(JSON)  # what this version took
    may_train_default: Mapped[str]  # what the project said of responses whose `may_train` is unknown
    # The project marked personal data, so that what people wrote themselves is looked through as well.
    looks_for_personal_data: Mapped[bool] = mapped_column(default=False, server_default=false())
    content_hash: Mapped[str | None]  # SHA-256 over the sorted hashes of the rows: the same on every machine
    lineage_hash: Mapped[str | None]
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    statistics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    location: Mapped[str | None]  # folder in the storage
    error: Mapped[str | None]  # why freezing failed
    job_id: Mapped[UUID | None]  # the job that freezes it; no foreign key, for jobs are cleared away
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    frozen_at: Mapped[datetime | None]

    dataset: Mapped[Dataset] = relationship(back_populates="versions")


class FrozenRevision(Base):
    """A revision that a version being frozen reads. The set is fixed in one statement when the freeze starts.

    Kept until the freeze ends: from then on the version's lineage names the revisions.
    """

    __tablename__ = "frozen_revisions"

    version_id: Mapped[UUID] = mapped_column(ForeignKey("dataset_versions.id", ondelete="CASCADE"), primary_key=True)
    revision_id: Mapped[UUID] = mapped_column(ForeignKey("revisions.id", ondelete="CASCADE"), primary_key=True)


class FrozenIntervention(Base):
    """An intervention whose lessons a version being frozen reads. Fixed with the revisions, and kept as long."""

    __tablename__ = "frozen_interventions"

    version_id: Mapped[UUID] = mapped_column(ForeignKey("dataset_versions.id", ondelete="CASCADE"), primary_key=True)
    intervention_id: Mapped[UUID] = mapped_column(
        ForeignKey("live_interventions.id", ondelete="CASCADE"), primary_key=True
    )


class FrozenThumb(Base):
    """What an end user's thumb says when the freeze of a version of verdicts starts; the thumb itself may still change.

    Fixed in one statement with the revisions, and kept as long.
    """

    __tablename__ = "frozen_thumbs"

    version_id: Mapped[UUID] = mapped_column(ForeignKey("dataset_versions.id", ondelete="CASCADE"), primary_key=True)
    input_hash: Mapped[str] = mapped_column(primary_key=True)  # before the id: they are read in this order
    verdict_id: Mapped[UUID] = mapped_column(primary_key=True)  # no foreign key: it goes when the thumb is taken away
    feedback_id: Mapped[UUID] = mapped_column(ForeignKey("feedback.id", ondelete="CASCADE"), index=True)
    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), index=True)
    is_good: Mapped[bool]


class HeldOutInput(Base):
    """An input that was once in a dataset's test split, and so stays there in later versions."""

    __tablename__ = "held_out_inputs"

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    input_hash: Mapped[str] = mapped_column(primary_key=True)


class HeldOutTie(Base):
    """A conversation or an end user of whom a row was once in a dataset's test split: all their rows stay there."""

    __tablename__ = "held_out_ties"

    dataset_id: Mapped[UUID] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    tie: Mapped[str] = mapped_column(primary_key=True)  # 128 bits of a hash of the name, in hexadecimal digits


class VersionExport(Base):
    """A version in one format as a file to carry away. Made once, kept beside the version's own files."""

    __tablename__ = "version_exports"
    __table_args__ = (UniqueConstraint("version_id", "format"), one_of("state", EXPORT_STATES))

    id: Mapped[Id]
    version_id: Mapped[UUID] = mapped_column(ForeignKey("dataset_versions.id", ondelete="CASCADE"))
    format: Mapped[str]
    state: Mapped[str] = mapped_column(default="writing")
    location: Mapped[str | None]  # name of the .zip in the storage
    licence: Mapped[str] = mapped_column(default="", server_default="")  # what the project says when it is asked for
    bytes: Mapped[int | None] = mapped_column(BigInteger)
    row_count: Mapped[int | None]
    refused_count: Mapped[int | None]
    error: Mapped[str | None]  # why it failed
    job_id: Mapped[UUID | None]  # the job that writes it; no foreign key, for jobs are cleared away
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))

    version: Mapped[DatasetVersion] = relationship()
