"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
ACTIVE = "status IN ('queued', 'in_progress', 'requires_action', 'cancelling')"


def upgrade() -> None:
    create_assistant()
    create_commit_marker()
    create_file()
    create_job()
    create_thread()
    create_vector_store()
    create_message()
    create_run()
    create_thread_pair()
    create_vector_store_file()
    create_run_event()
    create_run_step()


def create_assistant() -> None:
    op.create_table(
        "assistant",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("instructions", sa.String(), nullable=True),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.Column("tool_resources", sa.JSON(), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("temperature", sa.Float(), nullable=True),
        sa.Column("top_p", sa.Float(), nullable=True),
        sa.Column("response_format", sa.JSON(), nullable=False),
        sa.Column("reasoning_effort", sa.String(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("declared_hash", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assistant")),
    )
    with op.batch_alter_table("assistant") as batch_op:
        batch_op.create_index(
            "ix_assistant_shared",
            ["created_at", "id"],
            sqlite_where=sa.text("origin != 'api'"),
            postgresql_where=sa.text("origin != 'api'"),
        )
        batch_op.create_index("ix_assistant_project_created", ["project", "created_at", "id"])


def create_commit_marker() -> None:
    op.create_table(
        "commit_marker",
        sa.Column("id", ID, nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commit_marker")),
    )


def create_file() -> None:
    op.create_table(
        "file",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("sha256", ID, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    with op.batch_alter_table("file") as batch_op:
        batch_op.create_index(
            "ix_file_expires",
            ["expires_at"],
            sqlite_where=sa.text("expires_at IS NOT NULL"),
            postgresql_where=sa.text("expires_at IS NOT NULL"),
        )
        batch_op.create_index("ix_file_project_created", ["project", "created_at", "id"])
        batch_op.create_index("ix_file_project_purpose", ["project", "purpose", "created_at", "id"])
        batch_op.create_index("ix_file_sha256", ["sha256"])


def create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("touched_at", sa.Float(), nullable=False),
        sa.Column("dispatch_n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sqlite_with_rowid=False,
    )


def create_thread() -> None:
    op.create_table(
        "thread",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("tool_resources", sa.JSON(), nullable=False),
        sa.Column("next_pos", sa.BigInteger(), nullable=False),
        sa.Column("on_busy", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_thread")),
    )
    with op.batch_alter_table("thread") as batch_op:
        batch_op.create_index("ix_thread_project_created", ["project", "created_at", "id"])


def create_vector_store() -> None:
    op.create_table(
        "vector_store",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_active_at", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("expires_after_days", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_store")),
    )
    with op.batch_alter_table("vector_store") as batch_op:
        batch_op.create_index("ix_vector_store_project_created", ["project", "created_at", "id"])


def create_message() -> None:
    op.create_table(
        "message",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.Column("turn_pos", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("assistant_id", ID, nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("attachments", sa.JSON(), nullable=True),
        sa.Column("meta", sa.JSON(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("incomplete_at", sa.BigInteger(), nullable=True),
        sa.Column("incomplete_reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_message_thread_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
    )
    with op.batch_alter_table("message") as batch_op:
        batch_op.create_index(
            "ix_message_run",
            ["thread_id", "run_id", "pos"],
            sqlite_where=sa.text("run_id IS NOT NULL"),
            postgresql_where=sa.text("run_id IS NOT NULL"),
        )
        batch_op.create_index("ix_message_thread_pos", ["thread_id", "pos"])
        batch_op.create_index("ix_message_thread_turn", ["thread_id", "turn_pos", "pos"])


def create_run() -> None:
    op.create_table(
        "run",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("assistant_id", ID, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("is_held", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("spec", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("meta", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_run_thread_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    with op.batch_alter_table("run") as batch_op:
        batch_op.create_index(
            "ix_run_live", ["expires_at"], sqlite_where=sa.text(ACTIVE), postgresql_where=sa.text(ACTIVE)
        )
        batch_op.create_index("ix_run_thread_position", ["thread_id", "position"])
        batch_op.create_index(
            "ix_run_held",
            ["thread_id", "status", "position"],
            sqlite_where=sa.text("is_held"),
            postgresql_where=sa.text("is_held"),
        )
        batch_op.create_index(
            "uq_run_active_thread",
            ["thread_id"],
            unique=True,
            sqlite_where=sa.text(f"{ACTIVE} AND NOT is_held"),
            postgresql_where=sa.text(f"{ACTIVE} AND NOT is_held"),
        )


def create_thread_pair() -> None:
    op.create_table(
        "thread_pair",
        sa.Column("digest", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("thread_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["thread.id"], name=op.f("fk_thread_pair_thread_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", "created_at", "thread_id", name=op.f("pk_thread_pair")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("thread_pair") as batch_op:
        batch_op.create_index("ix_thread_pair_thread", ["thread_id"])


def create_vector_store_file() -> None:
    op.create_table(
        "vector_store_file",
        sa.Column("store_id", ID, nullable=False),
        sa.Column("file_id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("chunking", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["file_id"], ["file.id"], name=op.f("fk_vector_store_file_file_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["vector_store.id"], name=op.f("fk_vector_store_file_store_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "file_id", name=op.f("pk_vector_store_file")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("vector_store_file") as batch_op:
        batch_op.create_index("ix_vector_store_file_file", ["file_id"])


def create_run_event() -> None:
    op.create_table(
        "run_event",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("is_delta", sa.Boolean(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_event_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_run_event")),
    )


def create_run_step() -> None:
    op.create_table(
        "run_step",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("assistant_id", ID, nullable=False),
        sa.Column("pos", sa.BigInteger(), nullable=False),
        sa.Column("turn_pos", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("calls", sa.JSON(), nullable=False),
        sa.Column("usage", sa.JSON(), nullable=True),
        sa.Column("last_error", sa.JSON(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("expired_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_run_step_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_step")),
    )
    with op.batch_alter_table("run_step") as batch_op:
        batch_op.create_index("ix_run_step_run_pos", ["run_id", "pos"])
        batch_op.create_index(
            "ix_run_step_tool",
            ["thread_id", "turn_pos", "pos"],
            sqlite_where=sa.text("type = 'tool_calls'"),
            postgresql_where=sa.text("type = 'tool_calls'"),
        )
