"""Leases: jobs say who drives them and since when they are ready; workers say that they are alive."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    remake_job()
    create_worker()


def remake_job() -> None:
    """Made anew rather than altered: SQLite would rebuild it anyway, and there are few jobs."""
    op.execute("CREATE TEMPORARY TABLE job_before AS SELECT id, kind, subject_id, epoch FROM job")
    op.drop_table("job")
    op.create_table(
        "job",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("ready_at", sa.Float(), nullable=True),
        sa.Column("touched_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sqlite_with_rowid=False,
    )
    for name, column in (("ix_job_held", "worker"), ("ix_job_ready", "ready_at")):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "job", [column], sqlite_where=where, postgresql_where=where)
    # A run that waits for its caller, or for another run to end, rests; every other one is to be driven.
    op.execute(
        "INSERT INTO job (id, kind, subject_id, project, queue, epoch, ready_at, touched_at) "
        "SELECT b.id, b.kind, b.subject_id, r.project, 'default', b.epoch, "
        "CASE WHEN r.is_held OR r.status = 'requires_action' THEN NULL ELSE 0 END, 0 "
        "FROM job_before b JOIN run r ON r.id = b.subject_id"
    )
    op.execute("DROP TABLE job_before")


def create_worker() -> None:
    op.create_table(
        "worker",
        sa.Column("id", ID, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("n_driving", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
    )
