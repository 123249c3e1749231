"""Last use of keys

Revision: b5e90d2c7a14
After: 5e0b9d3c7a14
"""

import sqlalchemy as sa
from alembic import op

revision = "b5e90d2c7a14"
down_revision = "5e0b9d3c7a14"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("api_keys", "last_used_at")
