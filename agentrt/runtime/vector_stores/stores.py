"""Vector stores: create, change, delete; put files in, take them out. Reading is plain store functions.

Indexing the files is in ingest/, searching in search.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import InvalidRequestError, PermissionDeniedError
from agentrt.ids import new_id
from agentrt.runtime.requests import NewStoreFile, NewVectorStore
from agentrt.runtime.vector_stores.ingest.queue import make_store, put_files, set_attributes
from agentrt.store.database import Store, Tx
from agentrt.store.search_index import AttributeValue
from agentrt.store.vector_store_batches import (
    VectorStoreBatch,
    cancel_batch,
    count_batch,
    find_batch,
    insert_batch,
)
from agentrt.store.vector_store_files import VectorStoreFile, detach_file, find_store_file
from agentrt.store.vector_stores import (
    DECLARED,
    VectorStore,
    delete_vector_store,
    expiry_of,
    find_vector_store,
    hold_vector_store,
    update_vector_store,
)


class VectorStores:
    """What callers do to vector stores."""

    def __init__(self, *, store: Store, dispatcher: Dispatcher, clock: Clock) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock

    async def create(self, project: str, new: NewVectorStore) -> VectorStore:
        """A store whose first files are being indexed. Raises NotFoundError for a file that does not exist."""

        def write(tx: Tx) -> VectorStore:
            return make_store(tx, self._dispatcher, project, new, now=self._clock.now())

        return await self._store.write(write)

    async def update(self, project: str, store_id: str, changes: Mapping[str, Any]) -> VectorStore:
        """Replace the given fields of NewVectorStore (name, metadata, expires_after_days); absent ones stay.

        Raises NotFoundError, InvalidRequestError for the expiry of a store that has expired.
        """

        def write(tx: Tx) -> VectorStore:
            found = find_vector_store(tx, project, store_id)
            columns = {_COLUMNS.get(name, name): value for name, value in changes.items()}
            if "expires_after_days" in columns:
                refuse_expired(found, now=self._clock.now())
                columns["expires_at"] = expiry_of(found.last_active_at, columns["expires_after_days"])
            update_vector_store(tx, store_id, columns)
            return find_vector_store(tx, project, store_id)

        return await self._store.write(write)

    async def delete(self, project: str, store_id: str) -> None:
        """Delete a store; its files stay. Raises NotFoundError, PermissionDeniedError for a declared one."""

        def write(tx: Tx) -> None:
            if find_vector_store(tx, project, store_id).origin == DECLARED:
                raise PermissionDeniedError(
                    f"The vector store {store_id} is declared in agents.toml: take it out there."
                )
            delete_vector_store(tx, store_id)

        await self._store.write(write)

    async def put_file(self, project: str, store_id: str, new: NewStoreFile) -> VectorStoreFile:
        """Put a file into a store. Raises NotFoundError, InvalidRequestError when the store has expired."""

        def write(tx: Tx) -> VectorStoreFile:
            self._put(tx, project, store_id, [new])
            return find_store_file(tx, store_id, new.file_id)

        return await self._store.write(write)

    async def set_attributes(
        self, project: str, store_id: str, file_id: str, attributes: Mapping[str, AttributeValue] | None
    ) -> VectorStoreFile:
        """Replace the attributes of a file in a store; None clears them. Raises NotFoundError."""

        def write(tx: Tx) -> VectorStoreFile:
            find_vector_store(tx, project, store_id)
            find_store_file(tx, store_id, file_id)
            set_attributes(tx, store_id, file_id, attributes or {})
            return find_store_file(tx, store_id, file_id)

        return await self._store.write(write)

    async def detach_file(self, project: str, store_id: str, file_id: str) -> None:
        """Take a file out of a store; it is not found there from now on. Raises NotFoundError."""

        def write(tx: Tx) -> None:
            find_vector_store(tx, project, store_id)
            detach_file(tx, store_id, file_id, now=self._clock.now())

        await self._store.write(write)

    async def put_batch(self, project: str, store_id: str, new: Sequence[NewStoreFile]) -> VectorStoreBatch:
        """Put files into a store together. Raises as put_file does."""

        def write(tx: Tx) -> VectorStoreBatch:
            self._put(tx, project, store_id, new)
            batch = VectorStoreBatch(
                id=new_id("vsfb"), project=project, store_id=store_id, created_at=int(self._clock.now())
            )
            insert_batch(tx, batch, list(dict.fromkeys(file.file_id for file in new)))
            return batch

        return await self._store.write(write)

    async def cancel_batch(self, project: str, store_id: str, batch_id: str) -> VectorStoreBatch:
        """Let those of its files be that are not indexed yet. Once is enough: again changes nothing.

        Raises NotFoundError, InvalidRequestError when all of them are done.
        """

        def write(tx: Tx) -> VectorStoreBatch:
            find_vector_store(tx, project, store_id)
            batch = find_batch(tx, project, store_id, batch_id)
            if batch.cancelled_at is None:
                if not count_batch(tx, batch_id).in_progress:
                    raise InvalidRequestError("Cannot cancel a batch whose files are all done.")
                cancel_batch(tx, batch, now=int(self._clock.now()))
            return find_batch(tx, project, store_id, batch_id)

        return await self._store.write(write)

    def _put(self, tx: Tx, project: str, store_id: str, new: Sequence[NewStoreFile]) -> None:
        now = self._clock.now()
        found = hold_vector_store(tx, project, store_id)
        refuse_expired(found, now=now)
        put_files(tx, self._dispatcher, found, new, now=now)


def refuse_expired(store: VectorStore, *, now: float) -> None:
    """Raises InvalidRequestError when nobody may use the store any more."""
    if store.is_expired(now):
        raise InvalidRequestError(
            f"The vector store {store.id} has expired: it was not used for {store.expires_after_days} days. "
            "Make a new one with the same files.",
            code="vector_store_expired",
        )


_COLUMNS = {"metadata": "meta"}
