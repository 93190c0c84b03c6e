"""The vectors that each process gives files: of two that differ, the one that was started last counts."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("embedding", sa.String(), nullable=True))
