"""VectorCache: the vectors of stores in memory, read when they are first searched and kept up to date from then on."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Final

import msgspec

from agentrt.retrieval.vectors import VectorIndex
from agentrt.store.database import Tx
from agentrt.store.embedded_files import visible_files
from agentrt.store.search_index import IndexStats
from agentrt.store.search_vectors import read_file_vectors, read_segment_vectors, read_vectors
from agentrt.store.segment_ids import FILE_SHIFT

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 256 * 1024 * 1024
_READ_ONE_BY_ONE: Final = 100
"""When more files are new, all is read anew."""


class _Kept(msgspec.Struct, frozen=True):
    """files: those whose vectors are in it, and by which model they were embedded last."""

    version: int
    files: Mapping[int, str | None]
    index: VectorIndex


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
        fetch = partial(read_segment_vectors, tx, stats.index_key, model)
        try:
            return self._index(tx, stats, model).search(vector, n=n, fetch=fetch, hidden=stats.hidden, files=files)
        except ValueError:
            # The server has exchanged the model behind its name, and makes vectors of another dimension now.
            log.error("search.wrong_dimension", extra={"model": model, "dimension": len(vector)})
            return {}

    def _index(self, tx: Tx, stats: IndexStats, model: str) -> VectorIndex:
        key = (stats.index_key, model)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is None or kept.version != stats.version:
            kept = _read(tx, stats, model, kept)
            with self._lock:
                self._keep(key, kept)
        return kept.index

    def _keep(self, key: tuple[int, str], made: _Kept) -> None:
        there = self._kept.get(key)
        if there is None or there.version < made.version:
            self._kept[key] = made
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(kept.index.n_bytes for kept in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)


def _read(tx: Tx, stats: IndexStats, model: str, old: _Kept | None) -> _Kept:
    """What there is now; of what is known already, only what has changed is read."""
    files = visible_files(tx, stats.index_key)
    known = {} if old is None else old.files
    new = [file for file, with_model in files.items() if file not in known or known[file] != with_model]
    if old is None or len(new) > _READ_ONE_BY_ONE:
        vectors = (v for v in read_vectors(tx, stats.index_key, model) if v.segment_id >> FILE_SHIFT in files)
        return _Kept(stats.version, files, VectorIndex(vectors))
    without = {file for file in known if file not in files}.union(new)
    added = [vector for file in new for vector in read_file_vectors(tx, stats.index_key, model, file)]
    index = old.index.changed(without=without, added=added) if without else old.index
    return _Kept(stats.version, files, index)
