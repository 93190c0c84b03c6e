"""What a search reads of the chunks that it considers, each once."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import lru_cache

from agentrt.retrieval.analyser import Analyser
from agentrt.store.database import Tx
from agentrt.store.search_files import GONE, FoundFile, Passage, find_indexed_files, read_passages
from agentrt.store.segment_ids import CHUNK_FILE_SHIFT


class Passages:
    """Chunks (by their ids) and the files that they are of, in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._files: dict[int, FoundFile | None] = {}
        self._passages: dict[int, Passage | None] = {}

    def expect(self, chunks: Sequence[int]) -> None:
        """These will be asked for: they are read together, those that are not known yet."""
        keys = list(dict.fromkeys(key for chunk in chunks if (key := chunk >> CHUNK_FILE_SHIFT) not in self._files))
        if keys:
            files = find_indexed_files(self._tx, keys)
            self._files.update((key, files.get(key)) for key in keys)
        new = [chunk for chunk in dict.fromkeys(chunks) if chunk not in self._passages]
        if new:
            passages = read_passages(self._tx, new)
            self._passages.update((chunk, passages.get(chunk)) for chunk in new)

    def knows(self, chunk: int) -> bool:
        """Whether it has been read."""
        return chunk in self._passages

    def file_of(self, chunk: int) -> FoundFile | None:
        """None when the file is not to be found any more."""
        if chunk not in self._passages:
            self.expect([chunk])
        return self._files[chunk >> CHUNK_FILE_SHIFT]

    def passage(self, chunk: int) -> Passage | None:
        """None when it has been swept up."""
        if chunk not in self._passages:
            self.expect([chunk])
        return self._passages[chunk]

    def place(self, chunk: int) -> tuple[int, int]:
        """Where it begins and ends in the file's text; (0, 0) when it has been swept up."""
        passage = self.passage(chunk) or GONE
        return passage.start, passage.end

    def places_of(self, chunk: int, wanted: Set[str]) -> Sequence[tuple[int, str]]:
        """Where its text has terms that are wanted (Analyser.places)."""
        file, passage = self.file_of(chunk), self.passage(chunk)
        return [] if file is None or passage is None else _analyser(file.language).places(passage.text, wanted)


@lru_cache(maxsize=4)
def _analyser(language: str) -> Analyser:
    return Analyser(language)
