"""Sessions of code_interpreter: who has a thread's sandbox, and which files stand in it under which names."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, Boolean, bindparam, delete, select, update
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import fetch_all, fetch_one, insert_records, table_of
from agentrt.store.statements import Statement


class CodeSession(Record):
    """A thread's session in one kind of sandbox. It goes with its thread.

    holder: the process that had it last, by the name under which it finds its sandboxes again; box_id: the sandbox.
    synced_at: when the rows of its files were last what the folder held; Unix seconds.
    """

    thread_id: str = Field(primary_key=True, foreign_key="thread.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    sandbox: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    holder: str
    box_id: str
    synced_at: float = 0.0


class CodeFile(Record):
    """A file that belongs in the folder. path: relative to it. file_id: what it is stored as.

    input_id: the file of the thread or its assistant that stood here first, "" = code made it. is_gone: it was deleted.
    """

    thread_id: str = Field(primary_key=True, foreign_key="thread.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    sandbox: str = Field(primary_key=True, sa_type=ID_COLUMN)
    path: str = Field(primary_key=True, sa_type=ID_COLUMN)
    file_id: str = Field(sa_type=ID_COLUMN)
    sha256: str = Field(sa_type=ID_COLUMN)
    size_bytes: int = Field(sa_type=BigInteger)
    input_id: str = Field(default="", sa_type=ID_COLUMN)
    is_gone: bool = Field(default=False, sa_type=Boolean)


class CodeSessionTable(CodeSession, table=True):
    __tablename__ = "code_session"
    __table_args__ = ({"sqlite_with_rowid": False},)


class CodeFileTable(CodeFile, table=True):
    __tablename__ = "code_file"
    __table_args__ = ({"sqlite_with_rowid": False},)


_sessions = table_of(CodeSessionTable)
_files = table_of(CodeFileTable)
_is_session = (
    _sessions.c.thread_id == bindparam("session_thread"),
    _sessions.c.sandbox == bindparam("session_sandbox"),
)
_of_session = (_files.c.thread_id == bindparam("thread_id"), _files.c.sandbox == bindparam("sandbox"))
_find = Statement(select(_sessions).where(*_is_session))
_insert = Statement(_sessions.insert())
_update = Statement(
    update(_sessions)
    .where(*_is_session)
    .values(holder=bindparam("holder"), box_id=bindparam("box_id"), synced_at=bindparam("synced_at"))
)
_list = Statement(select(_files).where(*_of_session).order_by(_files.c.path))
_insert_file = Statement(_files.insert())
_delete_file = Statement(delete(_files).where(*_of_session, _files.c.path == bindparam("path")))


def find_code_session(tx: Tx, thread_id: str, sandbox: str) -> CodeSession | None:
    return fetch_one(tx, _find, CodeSession, {"session_thread": thread_id, "session_sandbox": sandbox})


def put_code_session(tx: Tx, session: CodeSession) -> None:
    """Write who has it now, and since when its files are known."""
    changes = {"holder": session.holder, "box_id": session.box_id, "synced_at": session.synced_at}
    place = {"session_thread": session.thread_id, "session_sandbox": session.sandbox}
    if _update.run(tx, {**place, **changes}) == 0:
        insert_records(tx, _insert, [session])


def list_code_files(tx: Tx, thread_id: str, sandbox: str) -> list[CodeFile]:
    """The session's files by path, also those that are gone."""
    return fetch_all(tx, _list, CodeFile, {"thread_id": thread_id, "sandbox": sandbox})


def put_code_files(tx: Tx, files: Iterable[CodeFile]) -> None:
    """Write files; one that has the path of another takes its place."""
    for file in files:
        _delete_file.run(tx, {"thread_id": file.thread_id, "sandbox": file.sandbox, "path": file.path})
        insert_records(tx, _insert_file, [file])
