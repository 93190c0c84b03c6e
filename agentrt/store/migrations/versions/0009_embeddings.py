"""Vectors by which models the files of stores have, and those made lately of which texts.

Only columns that may be null are added to tables that there were: the release before this one may still be writing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
VISIBLE = sa.text("file_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("store_index", sa.Column("vector_model", ID, nullable=True))
    op.add_column("indexed_file", sa.Column("embedded_with", ID, nullable=True))
    op.create_index(
        "ix_indexed_file_embedded",
        "indexed_file",
        ["index_key", "embedded_with", "key"],
        sqlite_where=VISIBLE,
        postgresql_where=VISIBLE,
    )
    op.create_table(
        "cached_embedding",
        sa.Column("model", ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model", "digest", name=op.f("pk_cached_embedding")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cached_embedding_made", "cached_embedding", ["made_at"])
