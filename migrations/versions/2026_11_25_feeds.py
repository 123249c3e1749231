"""Feeds

Revision: 5be1f0a7c2d4
After: b14ea3d514ea
"""

import sqlalchemy as sa
from alembic import op

revision = "5be1f0a7c2d4"
down_revision = "b14ea3d514ea"
branch_labels = None
depends_on = None

FEEDS = ("responses", "reviews", "evidence")


def upgrade() -> None:
    op.create_table(
        "feed_clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_clock")),
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE feed_numbers")
    for table in FEEDS:
        # A constant default is added without rewriting the table, on both databases: what is there comes first.
        op.add_column(table, sa.Column("feed_number", sa.BigInteger(), server_default="0", nullable=False))
        op.create_index(f"ix_{table}_feed", table, ["project_id", "feed_number", "id"])


def downgrade() -> None:
    for table in FEEDS:
        op.drop_index(f"ix_{table}_feed", table_name=table)
        op.drop_column(table, "feed_number")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE feed_numbers")
    op.drop_table("feed_clock")
