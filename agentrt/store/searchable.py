"""What a run has to know of vector stores beside their index: names of their files, which of them cannot be searched
in yet or at all, and what its thread's earlier runs were shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from agentrt.store.database import Tx
from agentrt.store.files import FileTable
from agentrt.store.records import table_of
from agentrt.store.run_steps import IS_TOOL_STEP, RunStepTable
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import StoreFileStatus, VectorStoreFileTable

_files = table_of(FileTable)
_store_files = table_of(VectorStoreFileTable)
_steps = table_of(RunStepTable)

_named = Statement(
    select(_files.c.filename, _store_files.c.created_at, _store_files.c.file_id, _store_files.c.last_error_message)
    .select_from(_store_files.join(_files, _files.c.id == _store_files.c.file_id))
    .where(_store_files.c.store_id == bindparam("store_id"), _store_files.c.status == bindparam("status"))
    .order_by(_store_files.c.created_at.desc(), _store_files.c.file_id.desc())
    .limit(bindparam("n"))
)
_calls = Statement(
    select(_steps.c.calls).where(
        _steps.c.thread_id == bindparam("thread_id"),
        IS_TOOL_STEP,
        _steps.c.turn_pos == bindparam("turn_pos", type_=BigInteger),
    )
)


_SEARCHED: Final[tuple[StoreFileStatus, ...]] = ("completed", "in_progress")


class UnreadyFile(NamedTuple):
    """A file of a store that cannot be searched in. is_failed: it never will be, and why; else it is being indexed."""

    name: str
    is_failed: bool
    why: str


def list_file_names(tx: Tx, store_id: str, *, limit: int) -> list[str]:
    """What the files of a store are called, the newest first; without those that could not be indexed."""
    rows = [row for status in _SEARCHED for row in _rows(tx, store_id, status, limit)]
    return [row[0] for row in sorted(rows, key=lambda row: (row[1], row[2]), reverse=True)[:limit]]


def list_unready_files(tx: Tx, store_id: str, *, limit: int) -> list[UnreadyFile]:
    """Those that are being indexed first; so many of each kind."""
    waiting = [UnreadyFile(row[0], False, "") for row in _rows(tx, store_id, "in_progress", limit)]
    return waiting + [UnreadyFile(row[0], True, row[3] or "") for row in _rows(tx, store_id, "failed", limit)]


def list_calls(tx: Tx, thread_id: str, turn_pos: int) -> list[dict[str, Any]]:
    """The calls of a run, by its position in its thread; as RunStep has them."""
    rows = _calls.rows(tx, {"thread_id": thread_id, "turn_pos": turn_pos})
    return [call for row in rows for call in row[0]]


def _rows(tx: Tx, store_id: str, status: StoreFileStatus, limit: int) -> Sequence[Sequence[Any]]:
    return _named.rows(tx, {"store_id": store_id, "status": status, "n": limit})
