"""Uploads in parts; which blobs there are; which assistants and threads name which files; a file's media type.

The release before this one may still be writing. Files that it uploads have no row in `blob`, which is made when they
are deleted. What it writes into `tool_resources` after this has run is not in the index of files until the next change
of that assistant or thread: a file that is deleted meanwhile stays named there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_AT_ONCE = 1000


def upgrade() -> None:
    create_upload()
    create_blob()
    for owner in ("assistant", "thread"):
        create_code_file(owner)
        fill_code_file(owner)
    with op.batch_alter_table("file") as batch_op:
        batch_op.add_column(sa.Column("media_type", sa.String(), nullable=True))


def create_upload() -> None:
    op.create_table(
        "upload",
        sa.Column("id", ID, nullable=False),
        sa.Column("project", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("file_expires_after_s", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("file_id", ID, nullable=True),
        sa.Column("part_ids", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
    )
    pending = sa.text("status = 'pending'")
    op.create_index("ix_upload_expires", "upload", ["expires_at"])
    op.create_index("ix_upload_pending", "upload", ["expires_at"], sqlite_where=pending, postgresql_where=pending)
    op.create_table(
        "upload_part",
        sa.Column("id", ID, nullable=False),
        sa.Column("upload_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("blob", ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["upload.id"], name=op.f("fk_upload_part_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_part")),
    )
    op.create_index("ix_upload_part_upload", "upload_part", ["upload_id"])
    op.create_index("ix_upload_part_blob", "upload_part", ["blob"])


def create_blob() -> None:
    op.create_table(
        "blob",
        sa.Column("name", ID, nullable=False),
        sa.Column("sha256", ID, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_blob")),
    )
    not_live = sa.text("state != 'live'")
    op.create_index("ix_blob_sha256", "blob", ["sha256"])
    op.create_index("ix_blob_since", "blob", ["state", "since"], sqlite_where=not_live, postgresql_where=not_live)


def create_code_file(owner: str) -> None:
    table, column = f"{owner}_code_file", f"{owner}_id"
    op.create_table(
        table,
        sa.Column("file_id", ID, nullable=False),
        sa.Column(column, ID, nullable=False),
        sa.ForeignKeyConstraint([column], [f"{owner}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("file_id", column, name=op.f(f"pk_{table}")),
        sqlite_with_rowid=False,
    )
    op.create_index(f"ix_{table}_{owner}", table, [column])


def fill_code_file(owner: str) -> None:
    owners = sa.table(owner, sa.column("id"), sa.column("tool_resources", sa.JSON()))
    index = sa.table(f"{owner}_code_file", sa.column("file_id"), sa.column(f"{owner}_id"))
    # Most name no file: the text is looked at before it is read as JSON.
    naming = sa.cast(owners.c.tool_resources, sa.Text).like('%"file_ids":%["%')
    conn, last = op.get_bind(), ""
    while rows := conn.execute(
        sa.select(owners).where(naming, owners.c.id > last).order_by(owners.c.id).limit(_AT_ONCE)
    ).all():
        pairs = [(file_id, row.id) for row in rows for file_id in code_files(row.tool_resources)]
        if pairs:
            conn.execute(index.insert(), [{"file_id": file_id, f"{owner}_id": id_} for file_id, id_ in pairs])
        last = rows[-1].id


def code_files(resources: object) -> list[str]:
    code = resources.get("code_interpreter") if isinstance(resources, dict) else None
    file_ids = code.get("file_ids") if isinstance(code, dict) else None
    found = file_ids if isinstance(file_ids, list) else []
    return list(dict.fromkeys(file_id for file_id in found if isinstance(file_id, str)))
