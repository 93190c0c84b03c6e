"""Schedules; and what retention and expiry need to know: when runs ended, threads were active, files were kept.

Only nullable columns are added to tables that there were: the release before this one may still be writing. What it
leaves null, and what was there before, is filled in by the sweeps, a few rows at a time.
"""

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    create_schedule()
    with op.batch_alter_table("run") as batch_op:
        batch_op.add_column(sa.Column("ended_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("events_gone_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("schedule_id", ID, nullable=True))
        create_index(batch_op, "ix_run_ended", ["ended_at"], "events_gone_at IS NULL")
        create_index(batch_op, "ix_run_schedule", ["schedule_id", "created_at", "id"], "schedule_id IS NOT NULL")
    with op.batch_alter_table("thread") as batch_op:
        batch_op.add_column(sa.Column("active_at", sa.BigInteger(), nullable=True))
        batch_op.create_index("ix_thread_active", ["active_at"])
    with op.batch_alter_table("file") as batch_op:
        batch_op.add_column(sa.Column("kept_at", sa.BigInteger(), nullable=True))
        create_index(batch_op, "ix_file_kept", ["kept_at"], "expires_at IS NULL")
    with op.batch_alter_table("vector_store") as batch_op:
        batch_op.add_column(sa.Column("expires_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("expired_at", sa.BigInteger(), nullable=True))
        live = "expires_after_days IS NOT NULL AND expired_at IS NULL"
        create_index(batch_op, "ix_vector_store_expires", ["expires_at"], live)


def create_schedule() -> None:
    op.create_table(
        "schedule",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("cron", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("assistant_id", ID, nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("thread", ID, nullable=False),
        sa.Column("thread_id", ID, nullable=True),
        sa.Column("on_busy", sa.String(), nullable=True),
        sa.Column("catch_up_s", sa.BigInteger(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("fired_at", sa.BigInteger(), nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("error_at", sa.BigInteger(), nullable=True),
        sa.Column("declared_hash", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
    )
    with op.batch_alter_table("schedule") as batch_op:
        batch_op.create_index("ix_schedule_project_created", ["project", "created_at", "id"])
        create_index(batch_op, "ix_schedule_next", ["next_at"], "next_at IS NOT NULL")
        create_index(batch_op, "ix_schedule_declared", ["id"], "origin = 'toml'")


def create_index(batch_op: BatchOperations, name: str, columns: list[str], where: str) -> None:
    """A partial index."""
    batch_op.create_index(name, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
