"""Vector stores with indexed texts in them, for tests of search."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from agentrt.clock import SystemClock
from agentrt.engine.message import JsonObject
from agentrt.files.extracted import Extracted
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.index import index_file
from agentrt.retrieval.prepare import prepare
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, insert_file
from agentrt.store.vector_store_files import VectorStoreFile, attach_files
from agentrt.store.vector_stores import VectorStore, insert_vector_store
from tests.contracts.rows import HOME, a_file

_numbers = itertools.count(1)


async def put_store(store: Store, texts: Mapping[str, str] | None = None) -> str:
    """The id of a new vector store, with a file for each name → text, indexed."""
    store_id = f"vs_{next(_numbers)}"
    row = VectorStore(id=store_id, project=HOME, created_at=1, last_active_at=1)
    await store.write(lambda tx: insert_vector_store(tx, row))
    for name, text in (texts or {}).items():
        await put_file(store, store_id, text, name=name)
    return store_id


async def attach(store: Store, store_id: str, *, name: str = "notes.txt", attributes: JsonObject | None = None) -> File:
    """A new file in a vector store, not indexed."""
    file = a_file(filename=name)

    def write(tx: Tx) -> None:
        insert_file(tx, file)
        row = VectorStoreFile(store_id=store_id, file_id=file.id, project=HOME, created_at=1, attributes=attributes)
        attach_files(tx, [row])

    await store.write(write)
    return file


async def put_file(
    store: Store,
    store_id: str,
    text: str,
    *,
    name: str = "notes.txt",
    attributes: JsonObject | None = None,
    chunking: Chunking | None = None,
) -> File:
    """A new file in a vector store, indexed."""
    file = await attach(store, store_id, name=name, attributes=attributes)
    await index(store, store_id, file.id, text, chunking=chunking)
    return file


async def index(store: Store, store_id: str, file_id: str, text: str, *, chunking: Chunking | None = None) -> bool:
    """Index a text as that of a file."""
    prepared = prepare(Extracted(text, "text"), chunking or Chunking())
    return await index_file(store, prepared, store_id=store_id, file_id=file_id, clock=SystemClock())
