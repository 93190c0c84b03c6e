"""Who names a file in tool_resources. Files in vector stores are rows of their own, which go with the file's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, Table, Text, cast, select

from agentrt.engine.message import JsonObject
from agentrt.store.assistants import AssistantTable, update_assistant
from agentrt.store.database import Tx
from agentrt.store.records import table_of
from agentrt.store.threads import ThreadTable, update_thread

_assistants = table_of(AssistantTable)
_threads = table_of(ThreadTable)


def forget_code_file(tx: Tx, project: str, file_id: str) -> None:
    """Take a file from the code_interpreter lists of the project's assistants and threads.

    Reads all of the project's rows (there is no index over JSON lists that both engines have): for deletions only.
    """
    _forget(tx, _assistants, update_assistant, project, file_id)
    _forget(tx, _threads, update_thread, project, file_id)


def is_listed_by_assistant(tx: Tx, project: str, file_id: str) -> bool:
    """Whether an assistant of the project names the file. Reads all of them."""
    return tx.conn.execute(_naming(_assistants, project, file_id).limit(1)).first() is not None


def _forget(
    tx: Tx, table: Table, update_row: Callable[[Tx, str, dict[str, Any]], None], project: str, file_id: str
) -> None:
    for row in tx.conn.execute(_naming(table, project, file_id)).all():
        update_row(tx, row.id, {"tool_resources": _without(row.tool_resources, file_id)})


def _naming(table: Table, project: str, file_id: str) -> Select[Any]:
    """The rows of the project that name the file."""
    text = cast(table.c.tool_resources, Text)
    return select(table.c.id, table.c.tool_resources).where(
        table.c.project == project, text.contains(f'"{file_id}"', autoescape=True)
    )


def _without(resources: JsonObject, file_id: str) -> JsonObject:
    code = resources.get("code_interpreter")
    file_ids = code.get("file_ids") if isinstance(code, dict) else None
    if not isinstance(code, dict) or not isinstance(file_ids, list):
        return resources
    kept = [other for other in file_ids if other != file_id]
    return {**resources, "code_interpreter": {**code, "file_ids": kept}}
