"""Webhooks: deliveries with their attempts, and endpoints that want no more."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "webhook_delivery",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("webhook", ID, nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("job_id", ID, nullable=True),
        sa.Column("n_tries", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
    )
    with op.batch_alter_table("webhook_delivery") as batch_op:
        batch_op.create_index("ix_webhook_delivery_project_created", ["project", "created_at", "id"])
        batch_op.create_index("ix_webhook_delivery_project_status", ["project", "status", "created_at", "id"])
        batch_op.create_index("ix_webhook_delivery_project_subject", ["project", "subject_id", "created_at", "id"])
        batch_op.create_index(
            "ix_webhook_delivery_ended",
            ["ended_at"],
            sqlite_where=sa.text("ended_at IS NOT NULL"),
            postgresql_where=sa.text("ended_at IS NOT NULL"),
        )
    op.create_table(
        "disabled_webhook",
        sa.Column("name", ID, nullable=False),
        sa.Column("url_hash", sa.String(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_disabled_webhook")),
    )
