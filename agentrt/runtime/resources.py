"""tool_resources and attachments: what hosted tools may see, checked against the project's files and stores.

The `vector_stores` helper and file_search attachments make stores here, whose files are indexed as any others are.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.message import JsonObject, JsonValue
from agentrt.errors import InvalidRequestError, NotFoundError
from agentrt.runtime.requests import Attachment, NewStoreFile, NewVectorStore
from agentrt.runtime.vector_stores.ingest.queue import make_store, put_files
from agentrt.runtime.vector_stores.stores import refuse_expired
from agentrt.store.database import Tx
from agentrt.store.files import hold_files
from agentrt.store.threads import Thread, find_thread, update_thread
from agentrt.store.vector_stores import VectorStore, find_vector_store, hold_vector_store, touch_vector_stores

THREAD_STORE_DAYS = 7
"""Stores that a thread's helper or attachment makes expire after so many days of rest."""

MAX_CODE_FILES = 20


def resolve_resources(
    tx: Tx,
    project: str,
    requested: JsonObject,
    *,
    dispatcher: Dispatcher,
    now: float,
    expires_after_days: int | None,
) -> JsonObject:
    """The request's tool_resources as they are kept: every file and store exists, the helper is replaced by its store.

    Raises NotFoundError.
    """
    kept: JsonObject = {}
    code = requested.get("code_interpreter")
    if isinstance(code, dict):
        file_ids = _strings(code.get("file_ids"))
        hold_files(tx, project, file_ids)
        kept["code_interpreter"] = {"file_ids": [*file_ids]}
    search = requested.get("file_search")
    if isinstance(search, dict):
        store_ids = _strings(search.get("vector_store_ids"))
        for store_id in store_ids:
            find_vector_store(tx, project, store_id)
        helpers = search.get("vector_stores")
        for helper in helpers if isinstance(helpers, list) else []:
            if isinstance(helper, dict):
                new = _new_store(helper, expires_after_days=expires_after_days)
                store_ids.append(make_store(tx, dispatcher, project, new, now=now).id)
        kept["file_search"] = {"vector_store_ids": [*store_ids]}
    return kept


def attach(tx: Tx, thread: Thread, attachments: Sequence[Attachment], *, dispatcher: Dispatcher, now: float) -> None:
    """Give a message's attachments to its thread: code_interpreter files to its list, the others to its store.

    Raises NotFoundError for an unknown file, InvalidRequestError when the code interpreter's list is full or the store
    has expired.
    """
    if not attachments:
        return
    hold_files(tx, thread.project, [a.file_id for a in attachments if a.file_id is not None])
    # What it was before we had the thread's lock may lack what another message has brought meanwhile.
    before = find_thread(tx, thread.project, thread.id).tool_resources
    resources: JsonObject = dict(before)
    for i, attachment in enumerate(attachments):
        if attachment.file_id is None:
            continue
        if "code_interpreter" in attachment.tools:
            _add_code_file(resources, attachment.file_id, param=f"attachments[{i}]")
        if "file_search" in attachment.tools:
            _add_search_file(tx, thread, resources, attachment.file_id, dispatcher=dispatcher, now=now)
    thread.tool_resources = resources
    if resources != before:
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


def _add_search_file(
    tx: Tx, thread: Thread, resources: JsonObject, file_id: str, *, dispatcher: Dispatcher, now: float
) -> None:
    search = resources.get("file_search")
    store_ids = _strings(search.get("vector_store_ids") if isinstance(search, dict) else None)
    store = _held_store(tx, thread.project, store_ids[0]) if store_ids else None
    if store is not None:
        refuse_expired(store, now=now)  # the run would fail, and nobody would ever find the file
        put_files(tx, dispatcher, store, [NewStoreFile(file_id)], now=now)
        return
    new = NewVectorStore(file_ids=(file_id,), expires_after_days=THREAD_STORE_DAYS)
    made = make_store(tx, dispatcher, thread.project, new, now=now)
    resources["file_search"] = {"vector_store_ids": [made.id]}


def _held_store(tx: Tx, project: str, store_id: str) -> VectorStore | None:
    """None when somebody has deleted it since it was named."""
    try:
        return hold_vector_store(tx, project, store_id)
    except NotFoundError:
        return None


def _new_store(helper: JsonObject, *, expires_after_days: int | None) -> NewVectorStore:
    metadata, chunking = helper.get("metadata"), helper.get("chunking_strategy")
    return NewVectorStore(
        file_ids=tuple(_strings(helper.get("file_ids"))),
        chunking=chunking if isinstance(chunking, dict) else None,
        expires_after_days=expires_after_days,
        metadata={k: str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {},
    )


def _strings(value: JsonValue) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
