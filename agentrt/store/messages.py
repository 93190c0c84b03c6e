"""Messages of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, delete, select, text
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement


class Message(Record):
    """One message. parts: the engine's parts as JSON.

    pos: its place in the thread. turn_pos: the place of the run that wrote it, or its own when nobody's run did;
    a model reads messages by (turn_pos, pos), so that what was queued behind a run comes after the run's answer.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    thread_id: str = Field(foreign_key="thread.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    pos: int = Field(sa_type=BigInteger)
    turn_pos: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    role: str
    status: str = "completed"
    parts: list[JsonObject] = Field(default_factory=list, sa_type=JSON_COLUMN)
    assistant_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    run_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    attachments: list[JsonObject] | None = Field(default=None, sa_type=JSON_COLUMN)
    meta: dict[str, str] = Field(default_factory=dict, sa_type=JSON_COLUMN)
    completed_at: int | None = Field(default=None, sa_type=BigInteger)
    incomplete_at: int | None = Field(default=None, sa_type=BigInteger)
    incomplete_reason: str | None = None


_OF_A_RUN = text("run_id IS NOT NULL")


class MessageTable(Message, table=True):
    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_thread_pos", "thread_id", "pos"),
        Index("ix_message_thread_turn", "thread_id", "turn_pos", "pos"),
        Index("ix_message_run", "thread_id", "run_id", "pos", sqlite_where=_OF_A_RUN, postgresql_where=_OF_A_RUN),
    )


_table = table_of(MessageTable)
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_messages = listing(Message, _table, kind="message", prefix="msg_", key=(_table.c.pos,), has_time_key=False)
_of_thread: Where = (_table.c.thread_id == bindparam("thread_id"), _table.c.project == bindparam("project"))
_of_run: Where = (*_of_thread, _table.c.run_id == bindparam("run_id"))


def insert_messages(tx: Tx, messages: Sequence[Message]) -> None:
    insert_records(tx, _insert, messages)


def find_message(tx: Tx, project: str, thread_id: str, message_id: str) -> Message:
    """Raises NotFoundError, also for a message of another thread."""
    return fetch_owned(tx, _by_id, Message, message_id, kind="message", thread_id=thread_id, project=project)


def list_messages(
    tx: Tx, project: str, thread_id: str, query: PageQuery, *, run_id: str | None = None
) -> Page[Message]:
    """Messages of the thread; with run_id, those that the run wrote."""
    values = {"project": project, "thread_id": thread_id, "run_id": run_id}
    return fetch_page(tx, _messages, (_of_thread if run_id is None else _of_run,), values, query)


def update_message(tx: Tx, message_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, message_id, changes)


def delete_message(tx: Tx, message_id: str) -> None:
    _delete.run(tx, {"id": message_id})
