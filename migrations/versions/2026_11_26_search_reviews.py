"""Search reviews

Revision: 5e0b9d3c7a14
After: 8d2f64c0a91b
"""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "5e0b9d3c7a14"
down_revision = "8d2f64c0a91b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "searched_reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["review_id"], ["reviews.id"], name=op.f("fk_searched_reviews_review_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_searched_reviews")),
        sa.UniqueConstraint("review_id", name=op.f("uq_searched_reviews_review_id")),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE searched_reviews ADD COLUMN vector tsvector"
            " GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED"
        )
        op.execute("CREATE INDEX ix_searched_reviews_vector ON searched_reviews USING gin (vector)")
    else:
        op.execute(
            "CREATE VIRTUAL TABLE searched_words_of_reviews"
            " USING fts5(words, content='searched_reviews', content_rowid='id', tokenize='ascii')"
        )
        op.execute(
            "CREATE TRIGGER searched_reviews_stored AFTER INSERT ON searched_reviews BEGIN"
            " INSERT INTO searched_words_of_reviews (rowid, words) VALUES (new.id, new.words); END"
        )
        op.execute(
            "CREATE TRIGGER searched_reviews_deleted AFTER DELETE ON searched_reviews BEGIN"
            " INSERT INTO searched_words_of_reviews (searched_words_of_reviews, rowid, words)"
            " VALUES ('delete', old.id, old.words); END"
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
    if op.get_bind().scalar(sa.text("SELECT 1 FROM reviews LIMIT 1")) is None:
        return
    now = datetime.now(UTC)
    if op.get_context().dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    op.get_bind().execute(
        sa.insert(jobs).values(
            id=uuid.uuid4(),
            kind="review.index_words",
            arguments={},
            state="queued",
            due=0.0,
            attempt=0,
            max_attempts=5,
            progress=0.0,
            created_at=now,
        )
    )


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE kind = 'review.index_words'")
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TABLE searched_words_of_reviews")
    op.drop_table("searched_reviews")
