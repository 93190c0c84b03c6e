"""tool_resources and attachments: what hosted tools may see, checked against the project's files and stores.

The `vector_stores` helper and file_search attachments make stores here; reading and indexing their files is not here.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.errors import InvalidRequestError
from agentrt.ids import new_id
from agentrt.runtime.requests import Attachment
from agentrt.store.database import Tx
from agentrt.store.files import find_file
from agentrt.store.threads import Thread, update_thread
from agentrt.store.vector_stores import (
    VectorStore,
    VectorStoreFile,
    attach_files,
    find_vector_store,
    insert_vector_store,
    touch_vector_stores,
)

THREAD_STORE_DAYS = 7
"""Stores that a thread's helper or attachment makes expire after so many days of rest."""

MAX_CODE_FILES = 20


def resolve_resources(
    tx: Tx, project: str, requested: JsonObject, *, now: float, expires_after_days: int | None
) -> JsonObject:
    """The request's tool_resources as they are kept: every file and store exists, the helper is replaced by its store.

    Raises NotFoundError.
    """
    kept: JsonObject = {}
    code = requested.get("code_interpreter")
    if isinstance(code, dict):
        file_ids = _strings(code.get("file_ids"))
        for file_id in file_ids:
            find_file(tx, project, file_id)
        kept["code_interpreter"] = {"file_ids": [*file_ids]}
    search = requested.get("file_search")
    if isinstance(search, dict):
        store_ids = _strings(search.get("vector_store_ids"))
        for store_id in store_ids:
            find_vector_store(tx, project, store_id)
        helpers = search.get("vector_stores")
        for helper in helpers if isinstance(helpers, list) else []:
            if isinstance(helper, dict):
                store_ids.append(_make_store(tx, project, helper, now=now, expires_after_days=expires_after_days))
        kept["file_search"] = {"vector_store_ids": [*store_ids]}
    return kept


def attach(tx: Tx, thread: Thread, attachments: Sequence[Attachment], *, now: float) -> None:
    """Give a message's attachments to its thread: code_interpreter files to its list, the others to its store.

    Raises NotFoundError for an unknown file, InvalidRequestError when the code interpreter's list is full.
    """
    if not attachments:
        return
    resources: JsonObject = dict(thread.tool_resources)
    for i, attachment in enumerate(attachments):
        if attachment.file_id is None:
            continue
        find_file(tx, thread.project, attachment.file_id)
        if "code_interpreter" in attachment.tools:
            _add_code_file(resources, attachment.file_id, param=f"attachments[{i}]")
        if "file_search" in attachment.tools:
            _add_search_file(tx, thread, resources, attachment.file_id, now=now)
    if resources != thread.tool_resources:
        thread.tool_resources = resources
        update_thread(tx, thread.id, {"tool_resources": resources})


def touch_stores(tx: Tx, *resources: JsonObject, now: float) -> None:
    """Count the vector stores that these tool_resources name as used by a run."""
    store_ids: set[str] = set()
    for found in resources:
        search = found.get("file_search")
        store_ids.update(_strings(search.get("vector_store_ids") if isinstance(search, dict) else None))
    touch_vector_stores(tx, store_ids, now=now)


def _add_code_file(resources: JsonObject, file_id: str, *, param: str) -> None:
    code = resources.get("code_interpreter")
    file_ids = _strings(code.get("file_ids") if isinstance(code, dict) else None)
    if file_id in file_ids:
        return
    if len(file_ids) >= MAX_CODE_FILES:
        raise InvalidRequestError(
            f"A thread can give at most {MAX_CODE_FILES} files to code_interpreter.",
            param=param,
            code="array_above_max_length",
        )
    resources["code_interpreter"] = {"file_ids": [*file_ids, file_id]}


def _add_search_file(tx: Tx, thread: Thread, resources: JsonObject, file_id: str, *, now: float) -> None:
    search = resources.get("file_search")
    store_ids = _strings(search.get("vector_store_ids") if isinstance(search, dict) else None)
    if store_ids:
        attach_files(tx, [_store_file(thread.project, store_ids[0], file_id, now, None)])
        return
    helper: JsonObject = {"file_ids": [file_id]}
    made = _make_store(tx, thread.project, helper, now=now, expires_after_days=THREAD_STORE_DAYS)
    resources["file_search"] = {"vector_store_ids": [made]}


def _make_store(tx: Tx, project: str, helper: JsonObject, *, now: float, expires_after_days: int | None) -> str:
    file_ids = list(dict.fromkeys(_strings(helper.get("file_ids"))))
    for file_id in file_ids:
        find_file(tx, project, file_id)
    metadata, chunking = helper.get("metadata"), helper.get("chunking_strategy")
    store = VectorStore(
        id=new_id("vs"),
        project=project,
        created_at=int(now),
        last_active_at=int(now),
        meta={k: str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {},
        expires_after_days=expires_after_days,
    )
    strategy = chunking if isinstance(chunking, dict) else None
    insert_vector_store(tx, store, [_store_file(project, store.id, file_id, now, strategy) for file_id in file_ids])
    return store.id


def _store_file(project: str, store_id: str, file_id: str, now: float, chunking: JsonObject | None) -> VectorStoreFile:
    return VectorStoreFile(store_id=store_id, file_id=file_id, project=project, created_at=int(now), chunking=chunking)


def _strings(value: JsonValue) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
