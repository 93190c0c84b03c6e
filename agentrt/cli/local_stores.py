"""Vector stores over a database in this process. Heavy: import it when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentrt.cli.store_port import Asked, Placed, search_filter
from agentrt.clock import SystemClock
from agentrt.config.schema import DEFAULT_PROJECT, Config, VectorStoreSpec
from agentrt.dispatch.local import LocalDispatcher
from agentrt.errors import NotFoundError
from agentrt.files.open import open_blobs
from agentrt.retrieval.filters import parse_filter
from agentrt.runtime.files import Files
from agentrt.runtime.models import Models
from agentrt.runtime.requests import NewStoreFile, NewVectorStore
from agentrt.runtime.storage import Storage
from agentrt.runtime.vector_stores.rewriting import FirstModel
from agentrt.runtime.vector_stores.search import StoreQuery, StoreSearch
from agentrt.runtime.vector_stores.stores import VectorStores
from agentrt.runtime.vector_stores.vectors.parts import vector_parts
from agentrt.runtime.vector_stores.watching.state import read_folder_state
from agentrt.server.render.vector_stores import (
    render_batch,
    render_folders,
    render_search,
    render_store_file,
    render_vector_store,
)
from agentrt.store.database import Store, Tx
from agentrt.store.files import load_file
from agentrt.store.pages import PageQuery
from agentrt.store.vector_store_batches import count_batch, find_batch, list_batch_files
from agentrt.store.vector_store_files import FileCounts, count_files, list_store_files
from agentrt.store.vector_stores import VectorStore, find_vector_store, list_vector_stores
from agentrt.wire.vector_stores import (
    SearchResultsPage,
    StoreFileStatus,
    StoreFoldersObject,
    VectorStoreFileBatchObject,
    VectorStoreFileObject,
    VectorStoreObject,
)

if TYPE_CHECKING:
    from agentrt.runtime.assembly import Runtime

_ALL: Final = 1_000_000_000
_READ_BYTES: Final = 1 << 18


class LocalStores:
    """Works on the database itself. What is put in is indexed when its parts are a runtime's, else by the next one."""

    def __init__(
        self, store: Store, config: Config, *, stores: VectorStores, files: Files, store_search: StoreSearch
    ) -> None:
        self._store = store
        self._config = config
        self._clock = SystemClock()
        self._stores = stores
        self._files = files
        self._search = store_search

    async def all(self) -> list[VectorStoreObject]:
        def read(tx: Tx) -> list[VectorStoreObject]:
            page = list_vector_stores(tx, DEFAULT_PROJECT, PageQuery(limit=_ALL))
            return [self._object(store, count_files(tx, store.id)) for store in page.items]

        found = await self._store.read_long(read)
        known = {item["id"] for item in found}
        coming = [spec for spec in self._config.vector_stores.values() if spec.id not in known]
        return [*found, *(self._object(_coming(spec), FileCounts()) for spec in coming)]

    async def store(self, store_id: str) -> VectorStoreObject:
        def read(tx: Tx) -> VectorStoreObject:
            return self._object(find_vector_store(tx, DEFAULT_PROJECT, store_id), count_files(tx, store_id))

        return await self._store.read(read)

    async def folders(self, store_id: str) -> StoreFoldersObject:
        return render_folders(
            await self._store.read(lambda tx: read_folder_state(tx, self._config, DEFAULT_PROJECT, store_id))
        )

    async def files(self, store_id: str, *, status: StoreFileStatus | None = None) -> list[VectorStoreFileObject]:
        query = PageQuery(limit=_ALL)
        page = await self._store.read_long(lambda tx: list_store_files(tx, store_id, query, status=status))
        return [render_store_file(file) for file in page.items]

    async def names(self, file_ids: Sequence[str]) -> Mapping[str, str]:
        def read(tx: Tx) -> dict[str, str]:
            found = [load_file(tx, file_id) for file_id in file_ids]
            return {file.id: file.filename for file in found if file is not None}

        return await self._store.read_long(read)

    async def create(self, name: str) -> VectorStoreObject:
        return await self.store((await self._stores.create(DEFAULT_PROJECT, NewVectorStore(name=name))).id)

    async def delete(self, store_id: str) -> None:
        await self._stores.delete(DEFAULT_PROJECT, store_id)

    async def delete_file(self, file_id: str) -> None:
        try:
            await self._files.delete(DEFAULT_PROJECT, file_id)
        except NotFoundError:
            return

    async def search(self, store_id: str, asked: Asked) -> SearchResultsPage:
        wanted = search_filter(asked.filters)
        query = StoreQuery(
            queries=(asked.query,),
            limit=asked.limit,
            filter=None if wanted is None else parse_filter(wanted),
            explains=True,
        )
        return render_search(await self._search.search(DEFAULT_PROJECT, [store_id], query), explains=True)

    async def upload(self, path: Path, *, filename: str) -> str:
        made = await self._files.put(DEFAULT_PROJECT, _chunks(path), filename=filename, purpose="assistants")
        return made.id

    async def put(self, store_id: str, placed: Sequence[Placed]) -> str:
        files = [NewStoreFile(one.file_id, attributes={**one.attributes}) for one in placed]
        return (await self._stores.put_batch(DEFAULT_PROJECT, store_id, files)).id

    async def batch(self, store_id: str, batch_id: str) -> VectorStoreFileBatchObject:
        def read(tx: Tx) -> VectorStoreFileBatchObject:
            return render_batch(find_batch(tx, DEFAULT_PROJECT, store_id, batch_id), count_batch(tx, batch_id))

        return await self._store.read(read)

    async def batch_failures(self, store_id: str, batch_id: str) -> list[VectorStoreFileObject]:
        query = PageQuery(limit=_ALL)
        page = await self._store.read(lambda tx: list_batch_files(tx, batch_id, query, status="failed"))
        return [render_store_file(file) for file in page.items]

    def _object(self, store: VectorStore, counts: FileCounts) -> VectorStoreObject:
        return render_vector_store(store, counts, now=self._clock.now())


@asynccontextmanager
async def stores_of(store: Store, config: Config) -> AsyncIterator[LocalStores]:
    """The port over an open database; nothing is started."""
    clock, dispatcher = SystemClock(), LocalDispatcher()
    storage = Storage(store=store, blobs=open_blobs(config.files, data_dir=config.runtime.data_dir), clock=clock)
    models = Models(config, clock=clock)
    try:
        vectors = vector_parts(models, store=store, dispatcher=dispatcher, clock=clock, lease_s=config.runtime.lease_s)
        yield LocalStores(
            store,
            config,
            stores=VectorStores(store=store, dispatcher=dispatcher, clock=clock),
            files=Files(store=store, storage=storage, clock=clock, max_bytes=config.files.max_bytes),
            store_search=StoreSearch(
                store=store,
                clock=clock,
                rewrite=FirstModel(models),
                vectors=vectors.questions,
                reranker=models.search_reranker(),
                embedding=vectors.model,
            ),
        )
    finally:
        await models.close()


def stores_of_runtime(runtime: Runtime) -> LocalStores:
    """The port over an open runtime, which indexes what is put in."""
    return LocalStores(
        runtime.store,
        runtime.config,
        stores=runtime.vector_stores,
        files=runtime.files,
        store_search=runtime.store_search,
    )


def _coming(spec: VectorStoreSpec) -> VectorStore:
    """What the next start will make."""
    return VectorStore(
        id=spec.id,
        project=DEFAULT_PROJECT,
        created_at=0,
        last_active_at=0,
        name=spec.display_name,
        meta=dict(spec.metadata),
        expires_after_days=spec.expires_after_days,
    )


async def _chunks(path: Path) -> AsyncGenerator[bytes, None]:
    source = await asyncio.to_thread(path.open, "rb")
    with source:
        while piece := await asyncio.to_thread(source.read, _READ_BYTES):
            yield piece
