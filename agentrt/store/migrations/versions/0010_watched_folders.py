"""Vector stores that agents.toml declares, and what is known of the folders that they watch.

Only columns that may be null are added to tables that there were: the release before this one may still be writing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("vector_store", sa.Column("origin", sa.String(), nullable=True))
    op.add_column("vector_store", sa.Column("declared_hash", sa.String(), nullable=True))
    op.create_table(
        "folder_watch",
        sa.Column("store_id", ID, nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("held_until", sa.Float(), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["vector_store.id"], name=op.f("fk_folder_watch_store_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_folder_watch")),
    )
    op.create_table(
        "watched_file",
        sa.Column("store_id", ID, nullable=False),
        sa.Column("path", ID, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("file_id", ID, nullable=True),
        sa.Column("next_file_id", ID, nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["vector_store.id"], name=op.f("fk_watched_file_store_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "path", name=op.f("pk_watched_file")),
        sqlite_with_rowid=False,
    )
