"""Run by Alembic. The connection comes from whoever started it; there is no alembic.ini."""

from typing import Any, Literal

from alembic import context
from sqlmodel import AutoString

from agentrt.store.migrations import VERSION_TABLE
from agentrt.store.schema import metadata
from agentrt.store.search_tables import KEYWORD_TABLES


def render(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """SQLModel's own string type as a plain one, so that a migration needs no SQLModel."""
    return "sa.String()" if kind == "type" and type(item) is AutoString else False


def is_ours(name: str | None, kind: str, _: Any) -> bool:
    """Not the tables that one engine has and the other has not: they are made by hand."""
    return kind != "table" or name not in KEYWORD_TABLES[connection.dialect.name]


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata(),
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a table by rebuilding it
    render_item=render,
    include_name=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
