"""Tables: by which rubric a person judged, and what they decided."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.accounts.models import User
from hitl.core import clock
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.feeds import ChangingFeedNumber
from hitl.core.ids import Id
from hitl.queue.models import Item, Lease, let_search

STANDINGS = ("counted", "extra", "reopened")
STRENGTHS = ("much", "slightly")  # by how much one of two responses is better


class RubricVersion(Base):
    """The questions a reviewer answers. Once published it never changes."""

    __tablename__ = "rubric_versions"
    __table_args__ = (UniqueConstraint("project_id", "number"),)

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    number: Mapped[int]
    criteria: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # see hitl/review/rubrics.py
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    # From then on it never changes; `Project.rubric_version_id` names the one in use.
    published_at: Mapped[datetime | None]


class RubricDraft(Base):
    """The rubric that a project's leads are working on, which nobody answers yet."""

    __tablename__ = "rubric_drafts"

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), unique=True)
    base_id: Mapped[UUID | None] = mapped_column(ForeignKey("rubric_versions.id"))  # the version it started from
    number: Mapped[int] = mapped_column(default=0)  # rises with each save; a save names the number it saw
    # As typed: may be incomplete; none: nobody is working on anything.
    criteria: Mapped[list[dict[str, Any]] | None]
    editor_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # who saved it last
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)

    base: Mapped[RubricVersion | None] = relationship()
    editor: Mapped[User | None] = relationship()


class Draft(Base):
    """What a reviewer has filled in so far. It outlives the lease."""

    __tablename__ = "drafts"
    __table_args__ = (UniqueConstraint("item_id", "reviewer_id"),)

    id: Mapped[Id]
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    number: Mapped[int] = mapped_column(default=0)  # rises with each save; a save names the number it saw
    answers: Mapped[dict[str, Any]] = mapped_column(JSON)  # as typed: may be incomplete; empty once submitted
    updated_at: Mapped[datetime] = mapped_column(default=clock.now)


class Review(Base):
    """What one reviewer decided about one item."""

    __tablename__ = "reviews"
    __table_args__ = (
        UniqueConstraint("item_id", "reviewer_id"),
        one_of("standing", STANDINGS),
        Index("ix_reviews_project_id_id", "project_id", "id"),
        Index("ix_reviews_feed", "project_id", "feed_number", "id"),
        Index("ix_reviews_reviewer_id", "reviewer_id"),
        Index(
            "ix_reviews_counting",
            "project_id",
            "counting_revision_id",
            **partial_index_where(text("counting_revision_id IS NOT NULL")),
        ),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    lease_id: Mapped[UUID] = mapped_column(ForeignKey("leases.id"))  # the lease under which it was last submitted
    standing: Mapped[str]  # counted; extra: too late or too many, kept but not counted; reopened by undo
    # The newest revision of a counted review; what was derived from any other revision does not count.
    # No foreign key: revisions refer to reviews, and neither table could be made first.
    counting_revision_id: Mapped[UUID | None]
    # Its author was told which model wrote what: what they say of these responses from then on does not count.
    is_unblinded: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    # Of the transaction that changed it last, be it by a new revision: so it comes again, as it is now.
    feed_number: Mapped[ChangingFeedNumber]

    item: Mapped[Item] = relationship()
    reviewer: Mapped[User] = relationship()
    lease: Mapped[Lease] = relationship()
    revisions: Mapped[list["Revision"]] = relationship(order_by="Revision.number", back_populates="review")


class Revision(Base):
    """One version of a review. Never changed; the newest counts."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("review_id", "number"),)

    id: Mapped[Id]
    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"))
    number: Mapped[int]  # from 1
    submitted_at: Mapped[datetime] = mapped_column(default=clock.now)
    seconds_on_display: Mapped[float | None]
    comment: Mapped[str | None]
    # Made when the reviewer had been told which model said what: kept, but never the one that counts.
    is_unblinded: Mapped[bool] = mapped_column(default=False)

    review: Mapped[Review] = relationship(back_populates="revisions")
    ratings: Mapped[list["Rating"]] = relationship(order_by="Rating.id")
    tags: Mapped[list["Tag"]] = relationship(order_by="Tag.id")
    remarks: Mapped[list["Remark"]] = relationship(order_by="Remark.id")
    corrections: Mapped[list["Correction"]] = relationship(order_by="Correction.id")
    rankings: Mapped[list["Ranking"]] = relationship(order_by="Ranking.id")
    spans: Mapped[list["Span"]] = relationship(order_by="Span.id")


class SearchedReview(Base):
    """The words of what a review says now: see hitl/review/search.py."""

    __tablename__ = "searched_reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    review_id: Mapped[UUID] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"), unique=True)
    words: Mapped[str]


let_search(SearchedReview.__table__, "searched_words_of_reviews")


class Mark:
    """What every mark has: its revision, its criterion, and what it is about where that is less than the whole item."""

    id: Mapped[Id]
    revision_id: Mapped[UUID] = mapped_column(ForeignKey("revisions.id", ondelete="CASCADE"), index=True)
    criterion: Mapped[str]
    response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id"))  # none: about the whole item
    message_index: Mapped[int | None]  # none: about the whole response or conversation


class Rating(Mark, Base):
    """A number on one of the rubric's scales; thumbs are 1 (up) and 0 (down)."""

    __tablename__ = "ratings"

    value: Mapped[int | None]  # a point of the criterion's scale; none: "cannot judge", for any kind of criterion


class Tag(Mark, Base):
    """One word chosen from a criterion's options: several for `tags`, one for `choice`."""

    __tablename__ = "tags"

    value: Mapped[str]


class Remark(Mark, Base):
    """Free text for a `text` criterion."""

    __tablename__ = "remarks"

    text: Mapped[str]


class Correction(Mark, Base):
    """The whole response as it should have been."""

    __tablename__ = "corrections"

    output: Mapped[dict[str, Any]] = mapped_column(JSON)  # an assistant message


class Ranking(Mark, Base):
    """The place of one response among those compared; or, about the whole item, that all of them are bad."""

    __tablename__ = "rankings"
    __table_args__ = (
        one_of("strength", STRENGTHS),
        CheckConstraint(
            "is_all_bad = (position IS NULL) AND is_all_bad = (response_id IS NULL)", name="placed_or_all_bad"
        ),
    )

    position: Mapped[int | None]  # from 1, the best; equal ones share a place and the next one follows
    strength: Mapped[str | None]  # on both of two compared: how much the better one is better
    is_all_bad: Mapped[bool] = mapped_column(default=False)


class Span(Mark, Base):
    """A passage of a text, with a label."""

    __tablename__ = "spans"
    __table_args__ = (CheckConstraint('0 <= "start" AND "start" < "end"', name="within"),)

    start: Mapped[int]  # in Unicode code points of the stored words
    end: Mapped[int]  # the first code point that is not part of it
    label: Mapped[str]
    severity: Mapped[str | None]
    text_hash: Mapped[str]  # SHA-256 of the words in hexadecimal
