"""Which assistants and threads name which files for code_interpreter: an index over their `tool_resources`, kept by
whoever writes those, so that a file that is deleted finds those who name it.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, bindparam, delete, select
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import table_of
from agentrt.store.statements import Statement


class AssistantCodeFileTable(Record, table=True):
    __tablename__ = "assistant_code_file"
    __table_args__ = (Index("ix_assistant_code_file_assistant", "assistant_id"), {"sqlite_with_rowid": False})

    file_id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    assistant_id: str = Field(primary_key=True, foreign_key="assistant.id", ondelete="CASCADE", sa_type=ID_COLUMN)


class ThreadCodeFileTable(Record, table=True):
    __tablename__ = "thread_code_file"
    __table_args__ = (Index("ix_thread_code_file_thread", "thread_id"), {"sqlite_with_rowid": False})

    file_id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    thread_id: str = Field(primary_key=True, foreign_key="thread.id", ondelete="CASCADE", sa_type=ID_COLUMN)


class CodeFileIndex:
    """The index of one kind of owner."""

    def __init__(self, table: Table, owner: Column[str]) -> None:
        self._owner = owner.name
        self._insert = Statement(table.insert())
        self._delete = Statement(delete(table).where(owner == bindparam("owner")))
        self._owners = Statement(select(owner).where(table.c.file_id == bindparam("file_id")))

    def note(self, tx: Tx, owner_id: str, resources: JsonObject, *, is_new: bool = False) -> None:
        """Note what the owner's tool_resources name from now on."""
        if not is_new:
            self._delete.run(tx, {"owner": owner_id})
        if file_ids := code_file_ids(resources):
            self._insert.run_many(tx, [{"file_id": file_id, self._owner: owner_id} for file_id in file_ids])

    def owners(self, tx: Tx, file_id: str) -> list[str]:
        """Ids of those who name the file, in one order for all transactions."""
        return sorted(row[0] for row in self._owners.rows(tx, {"file_id": file_id}))


def code_file_ids(resources: JsonObject) -> list[str]:
    """The files that tool_resources name for code_interpreter, each once."""
    code = resources.get("code_interpreter")
    file_ids = code.get("file_ids") if isinstance(code, dict) else None
    found = file_ids if isinstance(file_ids, list) else []
    return list(dict.fromkeys(file_id for file_id in found if isinstance(file_id, str)))


_of_assistants = table_of(AssistantCodeFileTable)
_of_threads = table_of(ThreadCodeFileTable)
ASSISTANTS = CodeFileIndex(_of_assistants, _of_assistants.c.assistant_id)
THREADS = CodeFileIndex(_of_threads, _of_threads.c.thread_id)
