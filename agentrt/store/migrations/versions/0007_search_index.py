"""The index of vector stores: segments of texts, their terms, attributes and vectors; how far indexing has come.

Only columns that may be null are added to tables that there were: the release before this one may still be writing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HIDDEN = sa.text("file_id IS NULL")
QUEUED = sa.text("job_id IS NOT NULL")
FORGOTTEN = sa.text("status = 'in_progress' AND job_id IS NULL")

SEGMENT_TERMS = (
    "CREATE VIRTUAL TABLE segment_terms USING fts5("
    "terms, detail=none, columnsize=0, tokenize=\"ascii tokenchars ':^_'\")"
)
POSTING = (
    'CREATE TABLE posting (index_key BIGINT NOT NULL, term VARCHAR COLLATE "C" NOT NULL, part BIGINT NOT NULL, '
    "data BYTEA NOT NULL, CONSTRAINT pk_posting PRIMARY KEY (index_key, term, part))"
)
TERMS = {
    "sqlite": (SEGMENT_TERMS,),
    "postgresql": (POSTING, "CREATE INDEX ix_posting_part ON posting (part)"),
}


def upgrade() -> None:
    add_outcome_of_indexing()
    create_batches()
    create_store_index()
    create_indexed_file()
    create_segment()
    create_file_attribute()
    create_segment_vector()


def add_outcome_of_indexing() -> None:
    # Without rebuilding the table: new columns that may be null are only noted.
    op.add_column("vector_store_file", sa.Column("attributes", sa.JSON(), nullable=True))
    op.add_column("vector_store_file", sa.Column("last_error_code", sa.String(), nullable=True))
    op.add_column("vector_store_file", sa.Column("last_error_message", sa.String(), nullable=True))
    op.add_column("vector_store_file", sa.Column("usage_bytes", sa.BigInteger(), nullable=True))
    op.add_column("vector_store_file", sa.Column("job_id", ID, nullable=True))
    op.add_column("vector_store_file", sa.Column("n_tries", sa.Integer(), nullable=True))
    op.add_column("vector_store_file", sa.Column("retry_at", sa.Float(), nullable=True))
    with op.batch_alter_table("vector_store_file") as batch_op:
        by_status = ["store_id", "status", "created_at", "file_id", "usage_bytes"]
        batch_op.create_index("ix_vector_store_file_created", ["store_id", "created_at", "file_id"])
        batch_op.create_index("ix_vector_store_file_status", by_status)
        batch_op.create_index("ix_vector_store_file_job", ["job_id"], sqlite_where=QUEUED, postgresql_where=QUEUED)
        batch_op.create_index(
            "ix_vector_store_file_forgotten", ["created_at"], sqlite_where=FORGOTTEN, postgresql_where=FORGOTTEN
        )


def create_batches() -> None:
    op.create_table(
        "detached_file",
        sa.Column("store_id", ID, nullable=False),
        sa.Column("file_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("detached_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["vector_store.id"], name=op.f("fk_detached_file_store_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "file_id", name=op.f("pk_detached_file")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_detached_file_detached", "detached_file", ["detached_at"])
    op.create_table(
        "vector_store_batch",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("store_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["vector_store.id"], name=op.f("fk_vector_store_batch_store_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vector_store_batch")),
    )
    op.create_index("ix_vector_store_batch_store", "vector_store_batch", ["store_id"])
    op.create_table(
        "vector_store_batch_file",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("file_id", ID, nullable=False),
        sa.Column("store_id", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["vector_store_batch.id"],
            name=op.f("fk_vector_store_batch_file_batch_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "file_id"],
            ["vector_store_file.store_id", "vector_store_file.file_id"],
            name="fk_vector_store_batch_file_store_file",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", "file_id", name=op.f("pk_vector_store_batch_file")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_vector_store_batch_file_store_file", "vector_store_batch_file", ["store_id", "file_id"])


def create_store_index() -> None:
    op.create_table(
        "store_index",
        sa.Column("key", KEY, nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("n_chunks", sa.BigInteger(), nullable=False),
        sa.Column("n_terms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["vector_store.id"], name=op.f("fk_store_index_store_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_store_index")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("store_index") as batch_op:
        batch_op.create_index("uq_store_index_store", ["store_id"], unique=True)


def create_indexed_file() -> None:
    op.create_table(
        "indexed_file",
        sa.Column("key", KEY, nullable=False),
        sa.Column("index_key", KEY, nullable=False),
        sa.Column("store_id", ID, nullable=True),
        sa.Column("file_id", ID, nullable=True),
        sa.Column("staged_at", sa.BigInteger(), nullable=True),
        sa.Column("language", ID, nullable=True),
        sa.Column("analyser", sa.Integer(), nullable=False),
        sa.Column("n_chunks", sa.BigInteger(), nullable=False),
        sa.Column("n_terms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["index_key"], ["store_index.key"], name=op.f("fk_indexed_file_index_key"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id", "file_id"],
            ["vector_store_file.store_id", "vector_store_file.file_id"],
            name="fk_indexed_file_store_file",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_indexed_file")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("indexed_file") as batch_op:
        batch_op.create_index(
            "ix_indexed_file_hidden", ["index_key", "key"], sqlite_where=HIDDEN, postgresql_where=HIDDEN
        )
        batch_op.create_index("ix_indexed_file_index_language", ["index_key", "language"])
        batch_op.create_index("uq_indexed_file_store_file", ["store_id", "file_id"], unique=True)


def create_segment() -> None:
    op.create_table(
        "segment",
        sa.Column("id", KEY, nullable=False, autoincrement=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("n_tokens", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("lead", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment")),
    )
    for statement in TERMS[op.get_bind().dialect.name]:
        op.execute(statement)


def create_file_attribute() -> None:
    op.create_table(
        "file_attribute",
        sa.Column("file_key", KEY, nullable=False),
        sa.Column("name", ID, nullable=False),
        sa.Column("index_key", KEY, nullable=False),
        sa.Column("kind", ID, nullable=False),
        sa.Column("text", ID, nullable=True),
        sa.Column("number", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["file_key"], ["indexed_file.key"], name=op.f("fk_file_attribute_file_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file_key", "name", name=op.f("pk_file_attribute")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("file_attribute") as batch_op:
        batch_op.create_index("ix_file_attribute_number", ["index_key", "name", "kind", "number", "file_key"])
        batch_op.create_index("ix_file_attribute_text", ["index_key", "name", "kind", "text", "file_key"])


def create_segment_vector() -> None:
    op.create_table(
        "segment_vector",
        sa.Column("index_key", KEY, nullable=False),
        sa.Column("model", ID, nullable=False),
        sa.Column("segment_id", KEY, nullable=False),
        sa.Column("window", sa.Integer(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index_key", "model", "segment_id", "window", name=op.f("pk_segment_vector")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("segment_vector") as batch_op:
        batch_op.create_index("ix_segment_vector_segment", ["segment_id"])
