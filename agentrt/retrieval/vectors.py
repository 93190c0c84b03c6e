"""Vectors of one store in memory, and the nearest to a question's. The home of numpy, imported when there are some.

Few are kept as they are; of many, one bit for each dimension. Of the nearest by those, the bits are compared with the
question's own numbers, and the nearest by that are looked at closely: 400, and more in stores of more than 100,000.
How many of the same ten are found is in docs/performance.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from agentrt.store.search_vectors import StoredVector
from agentrt.store.segment_ids import FILE_SHIFT, chunks_of_segments

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT_FLOATS: Final = 20_000 * 384
"""Vectors of so many numbers together (30 MB) are kept as they are."""

_LOOKED_AT: Final = 400
# In a larger store more are about as near by their bits: it grows with the root of the number.
_LOOKED_AT_OF: Final = 100_000
_TWICE_COMPARED: Final = 4
"""So many times those that are looked at are compared with the question's numbers."""

_LOT: Final = 2000
_COMPARED_AT_ONCE: Final = 16_384
"""What is counted of so many codes stays in the processor's cache: three times as fast as all at once."""

Fetch: TypeAlias = Callable[[Sequence[int]], Iterable[StoredVector]]
"""The stored vectors of some segments."""


def pack(vector: Sequence[float]) -> bytes:
    """A vector as it is stored: of length 1, as little-endian half-precision floats."""
    import numpy as np

    unit = _unit(np.asarray(vector, dtype=np.float32).reshape(1, -1))[0]
    data: bytes = unit.astype("<f2").tobytes()
    return data


def unit(vector: Sequence[float]) -> list[float]:
    """The vector, of length 1."""
    import numpy as np

    numbers: list[float] = _unit(np.asarray(vector, dtype=np.float32).reshape(1, -1))[0].tolist()
    return numbers


def best_chunks(found: Sequence[tuple[int, float]], n: int) -> dict[int, float]:
    """The n best chunks (by their ids) of segments with their cosines: of each its best one."""
    import numpy as np

    segments = np.array([segment for segment, _ in found], dtype=np.int64)
    return _best_chunks(segments, np.array([cosine for _, cosine in found], dtype=np.float32), n)


class VectorIndex:
    """The vectors that one model has made for one store. Not changed once made.

    exact_up_to: so many are kept as they are; None for EXACT_FLOATS in all.
    """

    def __init__(self, vectors: Iterable[StoredVector], *, exact_up_to: int | None = None) -> None:
        import numpy as np

        self._exact_up_to = exact_up_to
        self._width = 0
        segments, matrices, codes = [np.empty(0, np.int64)], [], []
        n = 0
        unread = iter(vectors)
        # In lots: of many vectors there are never more in memory than one lot, and the codes of the others.
        while lot := list(islice(unread, _LOT)):
            self._width = self._width or _commonest_width(lot)
            lot = self._fitting(lot)
            segments.append(np.array([vector.segment_id for vector in lot], dtype=np.int64))
            matrices.append(_matrix(lot))
            n += len(lot)
            if n > self._most(matrices[-1]):
                codes += [_codes(matrix) for matrix in matrices]
                matrices.clear()
        self._segments = np.concatenate(segments)
        self._matrix = None if codes else np.concatenate(matrices or [_matrix([])])
        self._codes = np.concatenate(codes, axis=1) if codes else None

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        kept = self._matrix if self._matrix is not None else self._codes
        return self._segments.nbytes + (0 if kept is None else kept.nbytes)

    def changed(self, *, without: Set[int], added: Sequence[StoredVector]) -> VectorIndex:
        """The same without the vectors of some files (by their keys), and with others."""
        import numpy as np

        if not len(self):
            return VectorIndex(added, exact_up_to=self._exact_up_to)
        added = self._fitting(added)
        kept = np.flatnonzero(~np.isin(self._segments >> FILE_SHIFT, np.fromiter(without, np.int64)))
        segments = np.concatenate(
            [self._segments[kept], np.array([vector.segment_id for vector in added], dtype=np.int64)]
        )
        new = _matrix(added)
        index = VectorIndex.__new__(VectorIndex)
        index._width = self._width
        if self._codes is not None:
            codes = [self._codes[:, kept], *([_codes(new)] if added else [])]
            index._set(segments, None, np.concatenate(codes, axis=1), self._exact_up_to)
        elif self._matrix is not None:
            matrix = [self._matrix[kept], *([new] if added else [])]
            index._set(segments, np.concatenate(matrix), None, self._exact_up_to)
        return index

    def _fitting(self, vectors: Iterable[StoredVector]) -> list[StoredVector]:
        """Those of the dimension that others have. Another one comes of a model that has changed behind its name."""
        return [vector for vector in vectors if len(vector.vector) == self._width]

    def _set(
        self,
        segments: NDArray[np.int64],
        matrix: NDArray[np.float32] | None,
        codes: NDArray[np.uint64] | None,
        exact_up_to: int | None,
    ) -> None:
        self._segments = segments
        self._exact_up_to = exact_up_to
        self._matrix = matrix
        self._codes = codes
        if matrix is not None and len(segments) > self._most(matrix):
            self._matrix, self._codes = None, _codes(matrix)

    def _most(self, matrix: NDArray[np.float32]) -> int:
        """How many vectors like these are kept as they are."""
        return EXACT_FLOATS // max(1, matrix.shape[1]) if self._exact_up_to is None else self._exact_up_to

    def search(
        self,
        query: Sequence[float],
        *,
        n: int,
        fetch: Fetch,
        hidden: Set[int] = frozenset(),
        files: Set[int] | None = None,
    ) -> dict[int, float]:
        """The n chunks (by their ids) with the nearest vectors, and their cosines: of each its nearest window.

        hidden, files: the keys of files not to look in, and to look in (None: all). Raises ValueError when the
        question's vector has another dimension.
        """
        import numpy as np

        if not len(self):
            return {}
        if 2 * len(query) != self._width:
            raise ValueError(f"The question has {len(query)} numbers, the vectors have {self._width // 2}.")
        question = _unit(np.asarray(query, dtype=np.float32).reshape(1, -1))[0]
        places = self._places(hidden, files)
        if self._matrix is not None:
            matrix = self._matrix if places is None else self._matrix[places]
            segments = self._segments if places is None else self._segments[places]
            cosines = matrix @ question
            # A segment may be in two chunks, a chunk may have many windows: the best n chunks are among these.
            nearest = _largest(cosines, _LOOKED_AT)
            return _best_chunks(segments[nearest], cosines[nearest], n)
        near = self._nearest_codes(question, places)
        vectors = self._fitting(fetch(np.unique(near).tolist()))
        if not vectors:
            return {}
        cosines = _matrix(vectors) @ question
        found = np.array([vector.segment_id for vector in vectors], dtype=np.int64)
        return _best_chunks(found, cosines, n)

    def _places(self, hidden: Set[int], files: Set[int] | None) -> NDArray[np.intp] | None:
        """Which rows may be found; None for all."""
        import numpy as np

        if files is None and not hidden:
            return None
        keys = self._segments >> FILE_SHIFT
        if files is None:
            return np.flatnonzero(~np.isin(keys, np.fromiter(hidden, np.int64)))
        return np.flatnonzero(np.isin(keys, np.fromiter(files - hidden, np.int64)))

    def _nearest_codes(self, question: NDArray[np.float32], places: NDArray[np.intp] | None) -> NDArray[np.int64]:
        import numpy as np

        assert self._codes is not None
        codes = self._codes if places is None else self._codes[:, places]
        segments = self._segments if places is None else self._segments[places]
        n = _n_looked_at(codes.shape[1])
        near = _largest(-_differing_bits(codes, _codes(question.reshape(1, -1))[:, 0]), _TWICE_COMPARED * n)
        if len(near) > n:
            bits = np.unpackbits(np.ascontiguousarray(codes[:, near].T).view(np.uint8), axis=1, count=len(question))
            near = near[_largest(bits.astype(np.float32) @ question, n)]
        return segments[near]


def _n_looked_at(n_codes: int) -> int:
    """Of how many of the nearest by their codes the vectors are read."""
    return int(_LOOKED_AT * max(1.0, n_codes / _LOOKED_AT_OF) ** 0.5)


def _matrix(vectors: Sequence[StoredVector]) -> NDArray[np.float32]:
    import numpy as np

    data = np.frombuffer(b"".join(vector.vector for vector in vectors), dtype="<f2")
    return data.reshape(len(vectors), -1).astype(np.float32) if vectors else np.empty((0, 0), np.float32)


def _commonest_width(vectors: Sequence[StoredVector]) -> int:
    return Counter(len(vector.vector) for vector in vectors).most_common(1)[0][0]


def _codes(matrix: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A bit for each number, in words of 64: a column for each vector, for a row is read faster than a column."""
    import numpy as np

    n_bytes = -(-matrix.shape[1] // 64) * 8
    codes = np.zeros((len(matrix), n_bytes), np.uint8)
    bits = np.packbits(matrix > 0, axis=1)
    codes[:, : bits.shape[1]] = bits
    return np.ascontiguousarray(codes.view(np.uint64).T)


def _differing_bits(codes: NDArray[np.uint64], code: NDArray[np.uint64]) -> NDArray[np.int32]:
    """In how many bits each column differs from the code."""
    import numpy as np

    different = np.zeros(codes.shape[1], np.int32)
    for at in range(0, len(different), _COMPARED_AT_ONCE):
        lot = different[at : at + _COMPARED_AT_ONCE]
        for row, word in zip(codes[:, at : at + _COMPARED_AT_ONCE], code, strict=True):
            lot += np.bitwise_count(row ^ word)
    return different


def _unit(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _largest(values: NDArray[Any], n: int) -> NDArray[np.intp]:
    """The places of the n largest, in no order."""
    import numpy as np

    return np.arange(len(values)) if n >= len(values) else np.argpartition(values, -n)[-n:]


def _best_chunks(segments: NDArray[np.int64], cosines: NDArray[np.float32], n: int) -> dict[int, float]:
    """The n best chunks, the best first, each with its best cosine; ties in the order of their segments."""
    import numpy as np

    order = np.lexsort((segments, -cosines))
    first, second = chunks_of_segments(segments[order])
    chunks = np.stack([first, second], axis=1).ravel()
    _, places = np.unique(chunks, return_index=True)
    best = np.sort(places)[:n]
    return dict(zip(chunks[best].tolist(), cosines[order][best // 2].tolist(), strict=True))
