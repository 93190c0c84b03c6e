"""VectorCache: the vectors of stores in memory, read when they are first searched and kept up to date from then on.

Of a store that has a graph in the database, only those that are not in it yet.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Final

import msgspec

from agentrt.retrieval.vectors import VectorIndex, best_chunks, unit
from agentrt.store.database import Tx
from agentrt.store.embedded_files import visible_files
from agentrt.store.search_index import IndexStats
from agentrt.store.search_vectors import read_file_vectors, read_segment_vectors, read_vectors
from agentrt.store.segment_ids import FILE_SHIFT
from agentrt.store.vector_graphs import (
    Graph,
    find_graph,
    graphed_files,
    is_postgres,
    search_graph,
    search_graphed_files,
)

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 256 * 1024 * 1024
_READ_ONE_BY_ONE: Final = 100
"""When more files are new, all is read anew."""

_COMPARED: Final = 10_000
"""When a filter lets in about so few vectors, all of them are compared: a walk through the graph ends after 20,000
(hnsw.max_scan_tuples), and would meet hardly any of them in a large store."""

_FROM_GRAPH: Final = 400


class _Kept(msgspec.Struct, frozen=True):
    """version: of the store, and of its graph. files: those whose vectors are in it, and by which model they were
    embedded last. graphed: those whose vectors are in the graph."""

    version: tuple[int, int]
    files: Mapping[int, str | None]
    index: VectorIndex
    graphed: frozenset[int] = frozenset()


class VectorCache:
    """The vectors of the stores that were searched last, as many as fit. Searches in threads may share it."""

    def __init__(self, *, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], _Kept] = OrderedDict()

    def nearest(
        self, tx: Tx, stats: IndexStats, vector: Sequence[float], *, n: int, files: Set[int] | None
    ) -> dict[int, float]:
        """As NearestChunks."""
        model = stats.vector_model
        if model is None:
            return {}
        graph = find_graph(tx, stats.index_key, model) if stats.n_chunks and is_postgres(tx) else None
        graph = graph if graph is not None and graph.is_ready else None
        kept = self._up_to_date(tx, stats, model, graph)
        fetch = partial(read_segment_vectors, tx, stats.index_key, model)
        try:
            found = kept.index.search(vector, n=n, fetch=fetch, hidden=stats.hidden, files=files)
        except ValueError:
            # The server has exchanged the model behind its name, and makes vectors of another dimension now.
            log.error("search.wrong_dimension", extra={"model": model, "dimension": len(vector)})
            return {}
        if graph is None or not kept.graphed or len(vector) != graph.dimensions:
            return found
        within = kept.graphed if files is None else kept.graphed & files
        within = within - stats.hidden
        if files is not None and len(within) * stats.n_chunks <= _COMPARED * len(kept.graphed):
            near = search_graphed_files(tx, graph, unit(vector), n=_FROM_GRAPH, files=within)
        else:
            without = stats.hidden & kept.graphed
            look_in = None if files is None else within
            near = search_graph(tx, graph, unit(vector), n=_FROM_GRAPH, within=look_in, without=without)
        found |= best_chunks(near, n)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:n])

    def _up_to_date(self, tx: Tx, stats: IndexStats, model: str, graph: Graph | None) -> _Kept:
        key = (stats.index_key, model)
        version = (stats.version, 0 if graph is None else graph.version)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is None or kept.version != version:
            kept = _read(tx, stats, model, graph, kept)
            with self._lock:
                self._keep(key, kept)
        return kept

    def _keep(self, key: tuple[int, str], made: _Kept) -> None:
        there = self._kept.get(key)
        # A graph that was made again counts from the beginning.
        if there is None or there.version[0] <= made.version[0]:
            self._kept[key] = made
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(kept.index.n_bytes for kept in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)


def _read(tx: Tx, stats: IndexStats, model: str, graph: Graph | None, old: _Kept | None) -> _Kept:
    """What there is now; of what is known already, only what has changed is read."""
    version = (stats.version, 0 if graph is None else graph.version)
    graphed = frozenset() if graph is None else graphed_files(tx, graph.id)
    visible = visible_files(tx, stats.index_key)
    files = {file: with_model for file, with_model in visible.items() if file not in graphed}
    known = {} if old is None else old.files
    new = [file for file, with_model in files.items() if file not in known or known[file] != with_model]
    if (old is None and len(files) == len(visible)) or len(new) > _READ_ONE_BY_ONE:
        vectors = (v for v in read_vectors(tx, stats.index_key, model) if v.segment_id >> FILE_SHIFT in files)
        return _Kept(version, files, VectorIndex(vectors), graphed)
    index = VectorIndex([]) if old is None else old.index
    without = {file for file in known if file not in files}.union(new)
    added = [vector for file in new for vector in read_file_vectors(tx, stats.index_key, model, file)]
    return _Kept(version, files, index.changed(without=without, added=added) if without else index, graphed)
