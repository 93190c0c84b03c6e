"""Indexes for lists of runs over all threads of a project."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_run_project_created", "run", ["project", "created_at", "id"])
    op.create_index("ix_run_status_created", "run", ["project", "status", "created_at", "id"])
    op.create_index("ix_run_assistant_created", "run", ["project", "assistant_id", "status", "created_at", "id"])
