"""Tables: what waits for review, who holds it, and by which rule it came.

In every committed state of an item (see hitl/queue/slots.py):
    open slots + running leases that hold a slot + reserving assignments + counted reviews = reviews wanted
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    CheckConstraint,
    Connection,
    Double,
    ForeignKey,
    Index,
    UniqueConstraint,
    event,
    inspect,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from hitl.accounts.models import User
from hitl.capture.models import Conversation, Response
from hitl.core import clock, feeds
from hitl.core.database import Base, one_of, partial_index_where
from hitl.core.feeds import FeedNumber
from hitl.core.ids import Id
from hitl.queue.openings import opening_number

ITEM_KINDS = ("response", "comparison", "conversation")
LEASE_ENDS = ("completed", "given_back", "expired", "skipped")
ITEM_ENDS = ("complete", "by_hand")
MAX_COMPARED = 9  # responses in one comparison: as many as there are keys for them


class Item(Base):
    """Something that waits for review. Narrow, because the claim walks over it."""

    __tablename__ = "items"
    __table_args__ = (
        one_of("kind", ITEM_KINDS),
        one_of("closed_as", ITEM_ENDS),
        CheckConstraint("open_slots >= 0", name="open_slots"),
        CheckConstraint("reviews_wanted >= 0", name="reviews_wanted"),
        # The queue itself: items with a free slot in their order. Flat in the size of the backlog.
        Index("ix_items_open", "project_id", "sort_key", "id", **partial_index_where(text("open_slots > 0"))),
        Index("ix_items_opened_in", "project_id", "opened_in", **partial_index_where(text("open_slots > 0"))),
        Index("ix_items_project_id_id", "project_id", "id"),
        Index("ix_items_feed", "project_id", "feed_number", "id"),
        Index("ix_items_closed", "project_id", "closed_at", "id", **partial_index_where(text("closed_at IS NOT NULL"))),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(default="response")
    rubric_version_id: Mapped[UUID] = mapped_column(ForeignKey("rubric_versions.id"))
    priority: Mapped[int] = mapped_column(default=0)  # each step counts like a day of waiting
    sort_key: Mapped[float] = mapped_column(Double)  # created_at in seconds, minus priority in days; lowest first
    reviews_wanted: Mapped[int] = mapped_column(default=1)
    open_slots: Mapped[int]
    opened_in: Mapped[int] = mapped_column(BigInteger, default=opening_number())  # see hitl/queue/openings.py
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    added_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))  # none: a rule added it
    closed_at: Mapped[datetime | None]
    closed_as: Mapped[str | None]
    feed_number: Mapped[FeedNumber]

    targets: Mapped[list["ItemTarget"]] = relationship(order_by="ItemTarget.position")


# What followers of the items are told of. Not of slots, which move with each claim: it would take a number each time.
TOLD_OF_ITEMS = ("closed_at", "priority", "reviews_wanted")


@event.listens_for(Item, "before_update")
def _tell(_mapper: Any, connection: Connection, item: Item) -> None:
    if any(inspect(item).attrs[name].history.has_changes() for name in TOLD_OF_ITEMS):
        item.feed_number = feeds.number_of(connection)


class ItemTarget(Base):
    """What an item is about: a response, several in a comparison, or a conversation and then its last response.

    The response fixes what is judged of a conversation: its input and output are all that was said up to then.
    """

    __tablename__ = "item_targets"
    __table_args__ = (
        CheckConstraint("(response_id IS NULL) <> (conversation_id IS NULL)", name="one_subject"),
        Index("ix_item_targets_response_id", "response_id"),
        Index("ix_item_targets_conversation_id", "conversation_id"),
    )

    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    response_id: Mapped[UUID | None] = mapped_column(ForeignKey("responses.id"))
    conversation_id: Mapped[UUID | None] = mapped_column(ForeignKey("conversations.id"))

    response: Mapped[Response | None] = relationship()
    conversation: Mapped[Conversation | None] = relationship()


class Assignment(Base):
    """A slot of an item reserved for one person, by a lead."""

    __tablename__ = "assignments"
    __table_args__ = (
        Index(
            "uq_assignments_standing",
            "item_id",
            "reviewer_id",
            unique=True,
            **partial_index_where(text("ended_at IS NULL")),
        ),
        Index("ix_assignments_reviewer_id", "reviewer_id", **partial_index_where(text("ended_at IS NULL"))),
    )

    id: Mapped[Id]
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    assigned_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    is_reserving: Mapped[bool] = mapped_column(default=True)  # false while a lease of this person holds the slot
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]

    item: Mapped[Item] = relationship()
    reviewer: Mapped[User] = relationship(foreign_keys=reviewer_id)


class Lease(Base):
    """One reviewer's hold on an item until a time. Running until it ends; a row is never used again."""

    __tablename__ = "leases"
    __table_args__ = (
        one_of("ended_as", LEASE_ENDS),
        Index(
            "uq_leases_running",
            "item_id",
            "reviewer_id",
            unique=True,
            **partial_index_where(text("ended_as IS NULL")),
        ),
        Index("ix_leases_item_id_reviewer_id", "item_id", "reviewer_id"),
        Index("ix_leases_running_until", "expires_at", **partial_index_where(text("ended_as IS NULL"))),
        Index(
            "ix_leases_running_of_reviewer",
            "reviewer_id",
            "project_id",
            **partial_index_where(text("ended_as IS NULL")),
        ),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))
    assignment_id: Mapped[UUID | None] = mapped_column(ForeignKey("assignments.id"))  # it took a reserved slot
    started_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]  # none while it runs
    # Running: whether its review will count (not when fewer are wanted now). Completed: whether it does. Else false.
    holds_slot: Mapped[bool] = mapped_column(default=True)
    # Of the order in which its holder sees what they compare.
    shuffle_seed: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    skip_reason: Mapped[str | None]

    item: Mapped[Item] = relationship()
    reviewer: Mapped[User] = relationship()


class ComparedSet(Base):
    """Which responses an item compares, so that the same ones are compared in one item only."""

    __tablename__ = "compared_sets"

    responses_hash: Mapped[str] = mapped_column(primary_key=True)  # SHA-256 over their ids in order
    item_id: Mapped[UUID] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), unique=True)


class QueuePosition(Base):
    """How far a reviewer is in a project's queue: up to there nothing is for them but what was opened since.

    A memory, which may be deleted at any time: without it their next claim looks from the head of the queue.
    """

    __tablename__ = "queue_positions"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sort_key: Mapped[float] = mapped_column(Double)
    item_id: Mapped[UUID]
    horizon: Mapped[int] = mapped_column(BigInteger)  # what was opened since has at least this number
    server: Mapped[str]  # to which these numbers belong


class Rule(Base):
    """When a response becomes an item, or an input an item that compares the responses to it."""

    __tablename__ = "rules"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    # How often its expression took too long, since it was changed last; three times, and it is switched off.
    overruns: Mapped[int] = mapped_column(default=0, server_default="0")
    ended_at: Mapped[datetime | None]  # switched off; what it drew stays

    versions: Mapped[list["RuleVersion"]] = relationship(order_by="RuleVersion.number", back_populates="rule")


class RuleVersion(Base):
    """What a rule said from a moment on. Never changed, only followed by the next."""

    __tablename__ = "rule_versions"
    __table_args__ = (
        UniqueConstraint("rule_id", "number"),
        CheckConstraint("rate > 0 AND rate <= 1", name="rate"),
        CheckConstraint("reviews_wanted >= 1", name="reviews_wanted"),
    )

    id: Mapped[Id]
    rule_id: Mapped[UUID] = mapped_column(ForeignKey("rules.id", ondelete="CASCADE"))
    number: Mapped[int]
    condition: Mapped[dict[str, Any]] = mapped_column(JSON)  # see hitl/queue/rules.py
    rate: Mapped[float]  # share of the matching responses, or inputs, that is drawn
    # A rule that compares: {"at_least", "at_most"} responses to one input. None: one about single responses.
    compare: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True))
    priority: Mapped[int] = mapped_column(default=0)
    reviews_wanted: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    rule: Mapped[Rule] = relationship(back_populates="versions")


class Selection(Base):
    """A response was eligible for a rule: with which rate, and whether it was drawn."""

    __tablename__ = "selections"
    __table_args__ = (UniqueConstraint("response_id", "rule_id"),)

    id: Mapped[Id]
    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"))
    rule_id: Mapped[UUID] = mapped_column(ForeignKey("rules.id", ondelete="CASCADE"), index=True)
    rule_version_id: Mapped[UUID] = mapped_column(ForeignKey("rule_versions.id"))
    rate: Mapped[float]
    is_drawn: Mapped[bool]
    at: Mapped[datetime] = mapped_column(default=clock.now)

    rule_version: Mapped[RuleVersion] = relationship()


class InputSelection(Base):
    """An input was eligible for a rule that compares the responses to it: with which rate, and whether it was drawn."""

    __tablename__ = "input_selections"
    __table_args__ = (UniqueConstraint("rule_id", "input_hash"),)

    id: Mapped[Id]
    rule_id: Mapped[UUID] = mapped_column(ForeignKey("rules.id", ondelete="CASCADE"))
    input_hash: Mapped[str]
    rule_version_id: Mapped[UUID] = mapped_column(ForeignKey("rule_versions.id"))
    rate: Mapped[float]
    is_drawn: Mapped[bool]
    # None where it was not drawn.
    item_id: Mapped[UUID | None] = mapped_column(ForeignKey("items.id", ondelete="SET NULL"), index=True)
    at: Mapped[datetime] = mapped_column(default=clock.now)

    rule_version: Mapped[RuleVersion] = relationship()


class SearchedResponse(Base):
    """The words of a response that is or was in the queue: see hitl/queue/search.py."""

    __tablename__ = "searched_responses"

    id: Mapped[int] = mapped_column(primary_key=True)
    response_id: Mapped[UUID] = mapped_column(ForeignKey("responses.id", ondelete="CASCADE"), unique=True)
    words: Mapped[str]


def let_search(table: Any, index: str) -> None:
    """Let a table's `words` be searched. What searches is each database's own.

    PostgreSQL gets a column with its index, SQLite a table of this name that triggers keep in step.
    """
    name = table.name
    stored = f"INSERT INTO {index} (rowid, words) VALUES (new.id, new.words)"  # noqa: S608 - names of our own
    deleted = f"INSERT INTO {index} ({index}, rowid, words) VALUES ('delete', old.id, old.words)"  # noqa: S608
    commands = {
        "postgresql": (
            f"ALTER TABLE {name} ADD COLUMN vector tsvector"
            " GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED",
            f"CREATE INDEX ix_{name}_vector ON {name} USING gin (vector)",
        ),
        "sqlite": (
            f"CREATE VIRTUAL TABLE {index} USING fts5(words, content='{name}', content_rowid='id', tokenize='ascii')",
            f"CREATE TRIGGER {name}_stored AFTER INSERT ON {name} BEGIN {stored}; END",
            f"CREATE TRIGGER {name}_deleted AFTER DELETE ON {name} BEGIN {deleted}; END",
        ),
    }
    for dialect, its in commands.items():
        for command in its:
            ddl = DDL(command)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl.execute_if(dialect=dialect))


let_search(SearchedResponse.__table__, "searched_words")
