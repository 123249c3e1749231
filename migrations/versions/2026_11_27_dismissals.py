"""Dismissals

Revision: e1538ebf8470
After: 4975544ff219
"""

from alembic import op

revision = "e1538ebf8470"
down_revision = "4975544ff219"
branch_labels = None
depends_on = None

BEFORE = (
    "user_message",
    "message",
    "draft",
    "hold",
    "approval",
    "edit",
    "refusal",
    "expiry",
    "takeover",
    "handover",
    "handback",
    "note",
    "whisper",
    "alert",
    "look",
)


def upgrade() -> None:
    _allow_kinds((*BEFORE, "dismissal"))


def downgrade() -> None:
    _allow_kinds(BEFORE)


def _allow_kinds(kinds: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    with op.batch_alter_table("live_events", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_live_events_kind"), type_="check")
        batch_op.create_check_constraint(op.f("ck_live_events_kind"), f"kind IN ({listed})")
