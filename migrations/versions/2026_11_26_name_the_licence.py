"""Name the licence

Revision: c41d8e6b07fa
After: b5e90d2c7a14
"""

import sqlalchemy as sa
from alembic import op

revision = "c41d8e6b07fa"
down_revision = "b5e90d2c7a14"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("version_exports", sa.Column("licence", sa.String(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("version_exports", "licence")
