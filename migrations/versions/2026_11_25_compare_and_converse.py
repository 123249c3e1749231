"""Compare and converse

Revision: 1f136b7b3f69
After: 5be1f0a7c2d4
"""

import sqlalchemy as sa
from alembic import op

revision = "1f136b7b3f69"
down_revision = "5be1f0a7c2d4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "compared_sets",
        sa.Column("responses_hash", sa.String(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_compared_sets_item_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("responses_hash", name=op.f("pk_compared_sets")),
        sa.UniqueConstraint("item_id", name=op.f("uq_compared_sets_item_id")),
    )
    op.create_table(
        "input_selections",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("input_hash", sa.String(), nullable=False),
        sa.Column("rule_version_id", sa.Uuid(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("is_drawn", sa.Boolean(), nullable=False),
        sa.Column("item_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_input_selections_item_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["rules.id"], name=op.f("fk_input_selections_rule_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["rule_version_id"], ["rule_versions.id"], name=op.f("fk_input_selections_rule_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_input_selections")),
        sa.UniqueConstraint("rule_id", "input_hash", name=op.f("uq_input_selections_rule_id_input_hash")),
    )
    with op.batch_alter_table("input_selections", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_input_selections_item_id"), ["item_id"], unique=False)

    op.create_table(
        "rankings",
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("strength", sa.String(), nullable=True),
        sa.Column("is_all_bad", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("revision_id", sa.Uuid(), nullable=False),
        sa.Column("criterion", sa.String(), nullable=False),
        sa.Column("response_id", sa.Uuid(), nullable=True),
        sa.Column("message_index", sa.Integer(), nullable=True),
        sa.CheckConstraint("strength IN ('much', 'slightly')", name=op.f("ck_rankings_strength")),
        sa.CheckConstraint(
            "is_all_bad = (position IS NULL) AND is_all_bad = (response_id IS NULL)",
            name=op.f("ck_rankings_placed_or_all_bad"),
        ),
        sa.ForeignKeyConstraint(["response_id"], ["responses.id"], name=op.f("fk_rankings_response_id")),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["revisions.id"], name=op.f("fk_rankings_revision_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rankings")),
    )
    with op.batch_alter_table("rankings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rankings_revision_id"), ["revision_id"], unique=False)

    op.create_table(
        "spans",
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=True),
        sa.Column("text_hash", sa.String(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("revision_id", sa.Uuid(), nullable=False),
        sa.Column("criterion", sa.String(), nullable=False),
        sa.Column("response_id", sa.Uuid(), nullable=True),
        sa.Column("message_index", sa.Integer(), nullable=True),
        sa.CheckConstraint('0 <= "start" AND "start" < "end"', name=op.f("ck_spans_within")),
        sa.ForeignKeyConstraint(["response_id"], ["responses.id"], name=op.f("fk_spans_response_id")),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["revisions.id"], name=op.f("fk_spans_revision_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spans")),
    )
    with op.batch_alter_table("spans", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_spans_revision_id"), ["revision_id"], unique=False)

    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shuffle_seed", sa.Integer(), server_default=sa.text("0"), nullable=False))

    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.add_column(sa.Column("is_unblinded", sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table("rule_versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("compare", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("rule_versions", schema=None) as batch_op:
        batch_op.drop_column("compare")

    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.drop_column("is_unblinded")

    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.drop_column("shuffle_seed")

    with op.batch_alter_table("spans", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_spans_revision_id"))

    op.drop_table("spans")
    with op.batch_alter_table("rankings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_rankings_revision_id"))

    op.drop_table("rankings")
    with op.batch_alter_table("input_selections", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_input_selections_item_id"))

    op.drop_table("input_selections")
    op.drop_table("compared_sets")
