"""Graphs of the vectors of large stores, which PostgreSQL with pgvector has in tables of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "vector_graph",
        sa.Column("id", KEY, nullable=False),
        sa.Column("index_key", KEY, nullable=False),
        sa.Column("model", ID, nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.Column("version", KEY, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_graph")),
    )
    op.create_index("uq_vector_graph_index_model", "vector_graph", ["index_key", "model"], unique=True)
    op.create_table(
        "graphed_file",
        sa.Column("graph_id", KEY, nullable=False),
        sa.Column("file_key", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["graph_id"], ["vector_graph.id"], name=op.f("fk_graphed_file_graph_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("graph_id", "file_key", name=op.f("pk_graphed_file")),
        sqlite_with_rowid=False,
    )
