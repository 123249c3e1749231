"""Draft rubrics

Revision: 061f99c067b6
After: 559cd66bafae
"""

import sqlalchemy as sa
from alembic import op

revision = "061f99c067b6"
down_revision = "559cd66bafae"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rubric_drafts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("base_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("criteria", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("editor_id", sa.Uuid(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["base_id"], ["rubric_versions.id"], name=op.f("fk_rubric_drafts_base_id")),
        sa.ForeignKeyConstraint(["editor_id"], ["users.id"], name=op.f("fk_rubric_drafts_editor_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_rubric_drafts_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rubric_drafts")),
        sa.UniqueConstraint("project_id", name=op.f("uq_rubric_drafts_project_id")),
    )


def downgrade() -> None:
    op.drop_table("rubric_drafts")
