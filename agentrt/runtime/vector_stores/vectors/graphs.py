"""Keeps a graph (store/vector_graphs.py) of every large store, where PostgreSQL has pgvector."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from sqlalchemy.exc import DBAPIError, IntegrityError

from agentrt.errors import StoreError
from agentrt.store.database import Store, Tx
from agentrt.store.search_vectors import first_vector, read_file_vectors
from agentrt.store.vector_graphs import (
    MOST_DIMENSIONS,
    Graph,
    add_to_graph,
    can_graph,
    drop_from_graph,
    drop_graph,
    find_graph,
    gone_files,
    large_stores,
    lock_graph,
    lost_graphs,
    make_extension,
    make_graph,
    new_files,
    open_graph,
    useless_graphs,
)

log = logging.getLogger(__name__)

GRAPH_FROM_CHUNKS: Final = 50_000
"""Up to here it is faster to look at every vector."""

GROW_EVERY_S: Final = 30.0

_FILES_AT_ONCE: Final = 20
_VECTORS_AT_ONCE: Final = 2000
"""When a file has taken a transaction so far, no other one begins in it: a vector costs some milliseconds."""


class Graphs:
    """Lets graphs grow with their stores. from_chunks: how large a store is that has one."""

    def __init__(self, store: Store, *, from_chunks: int = GRAPH_FROM_CHUNKS) -> None:
        self._store = store
        self._from_chunks = from_chunks
        self._can: bool | None = None
        self._useless: set[int] = set()

    async def grow(self) -> None:
        """Bring every graph up to date, make those that are due, drop those that nobody needs."""
        if not await self._is_possible():
            return
        useless = await self._store.read(useless_graphs)
        for graph in useless:
            if graph.id in self._useless:  # a search that has begun before it was may still want to walk it
                await self._store.write(partial(drop_graph, graph=graph))
        self._useless = {graph.id for graph in useless}
        for index_key, model in await self._store.read_long(partial(large_stores, n_chunks=self._from_chunks)):
            found = await self._graph(index_key, model)
            if found is not None:
                await self._grow_one(found)

    async def _is_possible(self) -> bool:
        """Asked once: an extension that is installed later is found at the next start."""
        if self._can is None and self._store.is_shared:
            for graph in await self._store.read(lost_graphs):
                await self._store.write(partial(drop_graph, graph=graph))
            self._can = await self._has_extension()
            log.info("vectors.pgvector", extra={"used": self._can})
        return bool(self._can)

    async def _has_extension(self) -> bool:
        if not await self._store.read(can_graph):
            try:
                await self._store.write(make_extension)
            except (StoreError, DBAPIError) as error:  # this user may not: whoever may has to
                log.warning("vectors.no_pgvector", extra={"error": type(error.__cause__ or error).__name__})
        return await self._store.read(can_graph)

    async def _graph(self, index_key: int, model: str) -> Graph | None:
        """The store's graph, made when it has none. None: its vectors have too many dimensions, or it has none."""

        def make(tx: Tx) -> Graph | None:
            found = find_graph(tx, index_key, model)
            if found is not None:
                return found
            dimensions = _dimensions(tx, index_key, model)
            return make_graph(tx, index_key, model, dimensions=dimensions) if dimensions else None

        try:
            return await self._store.write(make)
        except IntegrityError:
            return None  # another process was faster, and is at it

    async def _grow_one(self, graph: Graph) -> None:
        """Until nothing is left to do, or somebody else does it, or has dropped the graph."""
        while await self._store.read(partial(new_files, graph=graph, limit=1)):
            if not await self._store.write(partial(_add_some, graph=graph)):
                return
        while await self._store.read(partial(gone_files, graph=graph, limit=1)):
            if not await self._store.write(partial(_drop_some, graph=graph)):
                return
        if not graph.is_ready:
            await self._store.write(partial(open_graph, graph=graph))
            log.info("vectors.graph_ready", extra={"index": graph.index_key, "model": graph.model})


def _add_some(tx: Tx, graph: Graph) -> bool:
    if not lock_graph(tx, graph):
        return False
    n_added = 0
    for file_key in new_files(tx, graph, limit=_FILES_AT_ONCE):
        vectors = read_file_vectors(tx, graph.index_key, graph.model, file_key)
        add_to_graph(tx, graph, file_key, vectors)
        n_added += len(vectors)
        if n_added >= _VECTORS_AT_ONCE:
            break
    return True


def _drop_some(tx: Tx, graph: Graph) -> bool:
    if not lock_graph(tx, graph):
        return False
    for file_key in gone_files(tx, graph, limit=_FILES_AT_ONCE):
        drop_from_graph(tx, graph, file_key)
    return True


def _dimensions(tx: Tx, index_key: int, model: str) -> int | None:
    first = first_vector(tx, index_key, model)
    return None if first is None or len(first) // 2 > MOST_DIMENSIONS else len(first) // 2
