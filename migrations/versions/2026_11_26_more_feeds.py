"""More feeds

Revision: 8d2f64c0a91b
After: a3d1c07f5e92
"""

import sqlalchemy as sa
from alembic import op

revision = "8d2f64c0a91b"
down_revision = "a3d1c07f5e92"
branch_labels = None
depends_on = None

FEEDS = ("items", "feedback", "verdicts", "demonstrations")


def upgrade() -> None:
    for table in FEEDS:
        # A constant default is added without rewriting the table, on both databases: what is there comes first.
        op.add_column(table, sa.Column("feed_number", sa.BigInteger(), server_default="0", nullable=False))
        op.create_index(f"ix_{table}_feed", table, ["project_id", "feed_number", "id"])


def downgrade() -> None:
    for table in FEEDS:
        op.drop_index(f"ix_{table}_feed", table_name=table)
        op.drop_column(table, "feed_number")
