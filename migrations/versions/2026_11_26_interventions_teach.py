"""Interventions in live conversations teach what reviews teach.

Revision: 1e9019c1344c
After: 185fb3df0a3b
"""

import sqlalchemy as sa
from alembic import op

revision = "1e9019c1344c"
down_revision = "185fb3df0a3b"
branch_labels = None
depends_on = None


ORIGINS = {
    "demonstrations": ("correction", "approval"),
    "evidence": ("correction", "ranking", "scale"),
}


def upgrade() -> None:
    op.create_table(
        "frozen_interventions",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("intervention_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["intervention_id"],
            ["live_interventions.id"],
            name=op.f("fk_frozen_interventions_intervention_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_versions.id"], name=op.f("fk_frozen_interventions_version_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("version_id", "intervention_id", name=op.f("pk_frozen_interventions")),
    )
    for table, origins in ORIGINS.items():
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("intervention_id", sa.Uuid(), nullable=True))
            batch_op.alter_column("revision_id", existing_type=sa.Uuid(), nullable=True)
            if table == "evidence":
                batch_op.alter_column("criterion", existing_type=sa.String(), nullable=True)
            batch_op.create_index(op.f(f"ix_{table}_intervention_id"), ["intervention_id"], unique=False)
            batch_op.create_foreign_key(
                op.f(f"fk_{table}_intervention_id"),
                "live_interventions",
                ["intervention_id"],
                ["id"],
                ondelete="CASCADE",
            )
            batch_op.create_check_constraint(
                op.f(f"ck_{table}_one_cause"), "(revision_id IS NULL) <> (intervention_id IS NULL)"
            )
        _let_origins_be(table, *origins, "intervention")


def downgrade() -> None:
    for table, origins in ORIGINS.items():
        lessons = sa.table(table, sa.column("revision_id"))
        op.execute(sa.delete(lessons).where(lessons.c.revision_id.is_(None)))
        _let_origins_be(table, *origins)
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_constraint(op.f(f"ck_{table}_one_cause"), type_="check")
            batch_op.drop_constraint(op.f(f"fk_{table}_intervention_id"), type_="foreignkey")
            batch_op.drop_index(op.f(f"ix_{table}_intervention_id"))
            if table == "evidence":
                batch_op.alter_column("criterion", existing_type=sa.String(), nullable=False)
            batch_op.alter_column("revision_id", existing_type=sa.Uuid(), nullable=False)
            batch_op.drop_column("intervention_id")
    op.drop_table("frozen_interventions")


def _let_origins_be(table: str, *origins: str) -> None:
    listed = ", ".join(f"'{origin}'" for origin in origins)
    with op.batch_alter_table(table, schema=None) as batch_op:
        batch_op.drop_constraint(op.f(f"ck_{table}_origin"), type_="check")
        batch_op.create_check_constraint(op.f(f"ck_{table}_origin"), f"origin IN ({listed})")
