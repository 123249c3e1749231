"""Search the queue

Revision: 4c7d20e1b6fa
After: bb7548676ca5
"""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "4c7d20e1b6fa"
down_revision = "bb7548676ca5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_items_closed",
        "items",
        ["project_id", "closed_at", "id"],
        postgresql_where=sa.text("closed_at IS NOT NULL"),
        sqlite_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_table(
        "searched_responses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("response_id", sa.Uuid(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["response_id"], ["responses.id"], name=op.f("fk_searched_responses_response_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_searched_responses")),
        sa.UniqueConstraint("response_id", name=op.f("uq_searched_responses_response_id")),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE searched_responses ADD COLUMN vector tsvector"
            " GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED"
        )
        op.execute("CREATE INDEX ix_searched_responses_vector ON searched_responses USING gin (vector)")
    else:
        op.execute(
            "CREATE VIRTUAL TABLE searched_words"
            " USING fts5(words, content='searched_responses', content_rowid='id', tokenize='ascii')"
        )
        op.execute(
            "CREATE TRIGGER searched_responses_stored AFTER INSERT ON searched_responses BEGIN"
            " INSERT INTO searched_words (rowid, words) VALUES (new.id, new.words); END"
        )
        op.execute(
            "CREATE TRIGGER searched_responses_deleted AFTER DELETE ON searched_responses BEGIN"
            " INSERT INTO searched_words (searched_words, rowid, words) VALUES ('delete', old.id, old.words); END"
        )
    _index_what_is_there()


def _index_what_is_there() -> None:
    """Let a job do it, in short transactions, while the program runs."""
    jobs = sa.table(
        "jobs",
        sa.column("id", sa.Uuid()),
        sa.column("kind", sa.String()),
        sa.column("arguments", sa.JSON()),
        sa.column("state", sa.String()),
        sa.column("due", sa.Double()),
        sa.column("attempt", sa.Integer()),
        sa.column("max_attempts", sa.Integer()),
        sa.column("progress", sa.Double()),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    if op.get_bind().scalar(sa.text("SELECT 1 FROM item_targets LIMIT 1")) is None:
        return
    now = datetime.now(UTC)
    if op.get_context().dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    op.get_bind().execute(
        sa.insert(jobs).values(
            id=uuid.uuid4(),
            kind="queue.index_words",
            arguments={"response_ids": None},
            state="queued",
            due=0.0,
            attempt=0,
            max_attempts=5,
            progress=0.0,
            created_at=now,
        )
    )


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TABLE searched_words")
    op.drop_table("searched_responses")
    op.drop_index("ix_items_closed", table_name="items")
