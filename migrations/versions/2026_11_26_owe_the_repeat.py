"""Owe the repeat

Revision: 4975544ff219
After: 5df9002d5ab6
"""

import sqlalchemy as sa
from alembic import op

revision = "4975544ff219"
down_revision = "5df9002d5ab6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("gateway_repeatables", schema=None) as batch_op:
        batch_op.add_column(sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE gateway_repeatables SET told_at = waited_at")


def downgrade() -> None:
    with op.batch_alter_table("gateway_repeatables", schema=None) as batch_op:
        batch_op.drop_column("told_at")
