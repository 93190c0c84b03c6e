"""What a search reads of the chunks that it considers, each once."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import lru_cache

from agentrt.retrieval.analyser import Analyser
from agentrt.store.database import Tx
from agentrt.store.search_files import FoundFile, Passage, find_indexed_file, read_passage, read_place
from agentrt.store.segment_ids import CHUNK_FILE_SHIFT


class Passages:
    """Chunks (by their ids) and the files that they are of, in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._files: dict[int, FoundFile | None] = {}
        self._passages: dict[int, Passage | None] = {}
        self._places: dict[int, tuple[int, int]] = {}

    def file_of(self, chunk: int) -> FoundFile | None:
        """None when the file is not to be found any more."""
        key = chunk >> CHUNK_FILE_SHIFT
        if key not in self._files:
            self._files[key] = find_indexed_file(self._tx, key)
        return self._files[key]

    def passage(self, chunk: int) -> Passage | None:
        """None when it has been swept up."""
        if chunk not in self._passages:
            self._passages[chunk] = read_passage(self._tx, chunk)
        return self._passages[chunk]

    def place(self, chunk: int) -> tuple[int, int]:
        """Where it begins and ends in the file's text."""
        if chunk not in self._places:
            passage = self._passages.get(chunk)
            self._places[chunk] = read_place(self._tx, chunk) if passage is None else (passage.start, passage.end)
        return self._places[chunk]

    def places_of(self, chunk: int, wanted: Set[str]) -> Sequence[tuple[int, str]]:
        """Where its text has terms that are wanted (Analyser.places)."""
        file, passage = self.file_of(chunk), self.passage(chunk)
        return [] if file is None or passage is None else _analyser(file.language).places(passage.text, wanted)


@lru_cache(maxsize=4)
def _analyser(language: str) -> Analyser:
    return Analyser(language)
