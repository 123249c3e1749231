"""Live presence

Revision: b86fa420e984
After: 0bdec79b3a7b
"""

import sqlalchemy as sa
from alembic import op

revision = "b86fa420e984"
down_revision = "0bdec79b3a7b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "live_ready_replies",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_live_ready_replies_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_ready_replies")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_live_ready_replies_project_id_name")),
    )
    op.create_table(
        "live_presences",
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("read_to", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("typed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["live_conversations.id"],
            name=op.f("fk_live_presences_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_live_presences_user_id")),
        sa.PrimaryKeyConstraint("conversation_id", "user_id", name=op.f("pk_live_presences")),
    )
    with op.batch_alter_table("live_presences", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_live_presences_user_id"), ["user_id"], unique=False)

    with op.batch_alter_table("live_conversations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("delivered_number", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("live_conversations", schema=None) as batch_op:
        batch_op.drop_column("delivered_number")

    with op.batch_alter_table("live_presences", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_live_presences_user_id"))

    op.drop_table("live_presences")
    op.drop_table("live_ready_replies")
