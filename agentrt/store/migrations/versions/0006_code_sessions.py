"""Sessions of code_interpreter: who has a thread's sandbox, and its files."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "code_session",
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("sandbox", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("box_id", sa.String(), nullable=False),
        sa.Column("synced_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["thread_id"], ["thread.id"], name=op.f("fk_code_session_thread_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("thread_id", "sandbox", name=op.f("pk_code_session")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "code_file",
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("sandbox", ID, nullable=False),
        sa.Column("path", ID, nullable=False),
        sa.Column("file_id", ID, nullable=False),
        sa.Column("sha256", ID, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("input_id", ID, nullable=False),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name=op.f("fk_code_file_thread_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("thread_id", "sandbox", "path", name=op.f("pk_code_file")),
        sqlite_with_rowid=False,
    )
