"""Who names a file in tool_resources. Files in vector stores are rows of their own, which go with the file's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Table, bindparam, select

from agentrt.engine.message import JsonObject
from agentrt.store.assistants import AssistantTable, update_assistant
from agentrt.store.code_files import ASSISTANTS, THREADS, code_file_ids
from agentrt.store.database import Tx
from agentrt.store.records import table_of
from agentrt.store.statements import Statement
from agentrt.store.threads import ThreadTable, update_thread


def forget_code_file(tx: Tx, file_id: str) -> None:
    """Take a file from the code_interpreter lists of all assistants and threads."""
    for index, resources, change in (
        (ASSISTANTS, _of_assistant, update_assistant),
        (THREADS, _of_thread, update_thread),
    ):
        for owner_id in index.owners(tx, file_id):
            row = resources.first(tx, {"id": owner_id})
            if row is not None:
                change(tx, owner_id, {"tool_resources": _without(row[0], file_id)})


def is_listed_by_assistant(tx: Tx, file_id: str) -> bool:
    """Whether an assistant names the file."""
    return bool(ASSISTANTS.owners(tx, file_id))


def _resources(table: Table) -> Select[Any]:
    # Locked: who attaches another file to the thread meanwhile must not have the deleted one written back.
    return select(table.c.tool_resources).where(table.c.id == bindparam("id")).with_for_update()


_of_assistant = Statement(_resources(table_of(AssistantTable)))
_of_thread = Statement(_resources(table_of(ThreadTable)))


def _without(resources: JsonObject, file_id: str) -> JsonObject:
    code = resources.get("code_interpreter")
    if not isinstance(code, dict):
        return resources
    kept: JsonObject = {**code, "file_ids": [other for other in code_file_ids(resources) if other != file_id]}
    return {**resources, "code_interpreter": kept}
