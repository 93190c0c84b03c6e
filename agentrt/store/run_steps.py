"""Run steps: what a run did, one row for each message and each turn with tool calls."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, select, text
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

IS_TOOL_STEP = text("type = 'tool_calls'")
"""As the index of the tool steps says it: SQLite uses a partial index only for the same words."""


class RunStep(Record):
    """message_id only of type message_creation. calls, of type tool_calls: `[{id, name, arguments, output}]`,
    output null while the call has none; those of hosted tools have a `type`, and what they show as `shown`.
    pos, turn_pos as in messages. A step goes with its run, and that with its thread."""

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    thread_id: str = Field(sa_type=ID_COLUMN)
    run_id: str = Field(foreign_key="run.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    assistant_id: str = Field(sa_type=ID_COLUMN)
    pos: int = Field(sa_type=BigInteger)
    turn_pos: int = Field(sa_type=BigInteger)
    type: str
    status: str = "in_progress"
    created_at: int = Field(sa_type=BigInteger)
    message_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    calls: list[JsonObject] = Field(default_factory=list, sa_type=JSON_COLUMN)
    usage: JsonObject | None = Field(default=None, sa_type=JSON_COLUMN)
    last_error: JsonObject | None = Field(default=None, sa_type=JSON_COLUMN)
    completed_at: int | None = Field(default=None, sa_type=BigInteger)
    failed_at: int | None = Field(default=None, sa_type=BigInteger)
    cancelled_at: int | None = Field(default=None, sa_type=BigInteger)
    expired_at: int | None = Field(default=None, sa_type=BigInteger)


class RunStepTable(RunStep, table=True):
    __tablename__ = "run_step"
    __table_args__ = (
        Index("ix_run_step_run_pos", "run_id", "pos"),
        Index(
            "ix_run_step_tool",
            "thread_id",
            "turn_pos",
            "pos",
            sqlite_where=IS_TOOL_STEP,
            postgresql_where=IS_TOOL_STEP,
        ),
    )


_table = table_of(RunStepTable)
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_steps = listing(RunStep, _table, kind="run step", prefix="step_", key=(_table.c.pos,), has_time_key=False)
_of_run: Where = (_table.c.run_id == bindparam("run_id"), _table.c.project == bindparam("project"))


def insert_step(tx: Tx, step: RunStep) -> None:
    insert_records(tx, _insert, [step])


def find_step(tx: Tx, project: str, thread_id: str, run_id: str, step_id: str) -> RunStep:
    """Raises NotFoundError, also for a step of another run."""
    owner = {"run_id": run_id, "thread_id": thread_id, "project": project}
    return fetch_owned(tx, _by_id, RunStep, step_id, kind="run step", **owner)


def list_steps(tx: Tx, project: str, run_id: str, query: PageQuery) -> Page[RunStep]:
    return fetch_page(tx, _steps, (_of_run,), {"project": project, "run_id": run_id}, query)


def update_step(tx: Tx, step_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, step_id, changes)
