"""Assistants: those made through the API and those declared in agents.toml."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, delete, or_, select, text
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.errors import NotFoundError
from agentrt.store.code_files import ASSISTANTS as CODE_FILES
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_one, insert_records, table_of, update_row
from agentrt.store.statements import Statement

DECLARED = "toml"
IN_CODE = "code"
MADE_BY_API = "api"

_IS_SHARED = text(f"origin != '{MADE_BY_API}'")


class Assistant(Record):
    """tools, response_format and settings are the engine's ToolSpecs, ResponseFormat and RunDefaults, as JSON.

    declared_hash: of what agents.toml said when it last changed this row; None when the API made it.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    origin: str = MADE_BY_API
    name: str | None = None
    description: str | None = None
    model: str
    instructions: str | None = None
    tools: list[JsonObject] = Field(default_factory=list, sa_type=JSON_COLUMN)
    tool_resources: JsonObject = Field(default_factory=dict, sa_type=JSON_COLUMN)
    meta: dict[str, str] = Field(default_factory=dict, sa_type=JSON_COLUMN)
    temperature: float | None = None
    top_p: float | None = None
    response_format: JsonObject = Field(default_factory=dict, sa_type=JSON_COLUMN)
    reasoning_effort: str | None = None
    settings: JsonObject = Field(default_factory=dict, sa_type=JSON_COLUMN)
    declared_hash: str | None = None


class AssistantTable(Assistant, table=True):
    __tablename__ = "assistant"
    __table_args__ = (
        Index("ix_assistant_project_created", "project", "created_at", "id"),
        Index("ix_assistant_shared", "created_at", "id", sqlite_where=_IS_SHARED, postgresql_where=_IS_SHARED),
    )


_table = table_of(AssistantTable)
_insert = Statement(_table.insert())
_by_id = Statement(
    select(_table).where(_table.c.id == bindparam("id"), or_(_table.c.project == bindparam("project"), _IS_SHARED))
)
_declared = Statement(select(_table.c.id).where(_IS_SHARED, _table.c.origin == DECLARED))
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_assistants = listing(Assistant, _table, kind="assistant", prefix="asst_")
# Two ordered reads, because no index can serve "of the project, or everybody's" in order.
_visible: tuple[Where, Where] = (
    (_table.c.project == bindparam("project"), _table.c.origin == MADE_BY_API),
    (_IS_SHARED,),
)


def insert_assistant(tx: Tx, assistant: Assistant) -> None:
    insert_records(tx, _insert, [assistant])
    CODE_FILES.note(tx, assistant.id, assistant.tool_resources, is_new=True)


def find_assistant(tx: Tx, project: str, assistant_id: str) -> Assistant:
    """An assistant of the project, or one of the file or the code: every project sees those. Raises NotFoundError."""
    found = fetch_one(tx, _by_id, Assistant, {"id": assistant_id, "project": project})
    if found is None:
        raise NotFoundError("assistant", assistant_id)
    return found


def list_assistants(tx: Tx, project: str, query: PageQuery) -> Page[Assistant]:
    """Assistants of the project, and those of the file and the code."""
    return fetch_page(tx, _assistants, _visible, {"project": project}, query)


def list_declared(tx: Tx) -> list[str]:
    """Ids of the assistants that agents.toml declared at the last start."""
    return [row[0] for row in _declared.rows(tx, {})]


def update_assistant(tx: Tx, assistant_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, assistant_id, changes)
    if "tool_resources" in changes:
        CODE_FILES.note(tx, assistant_id, changes["tool_resources"])


def delete_assistant(tx: Tx, assistant_id: str) -> None:
    _delete.run(tx, {"id": assistant_id})
