"""Ask for models

The page of a review of a closed comparison named the models by itself before; now its author asks for them.

Revision: a3d1c07f5e92
After: 4c7d20e1b6fa
"""

from alembic import op

revision = "a3d1c07f5e92"
down_revision = "4c7d20e1b6fa"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "UPDATE reviews SET is_unblinded = true WHERE standing <> 'reopened' AND item_id IN"
        " (SELECT id FROM items WHERE kind = 'comparison' AND closed_at IS NOT NULL)"
    )


def downgrade() -> None:
    pass  # They did see them.
