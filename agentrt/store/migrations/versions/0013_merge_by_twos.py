"""The keyword index on SQLite merges what is about equally large, and not all of it whenever something is new."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("INSERT INTO segment_terms (segment_terms, rank) VALUES ('usermerge', 2)")
