"""TextVectors: the vectors of a file's segments, from the cache or by the embedding model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from agentrt.clock import Clock
from agentrt.models.embeddings import Embedder
from agentrt.retrieval.index import FileVectors
from agentrt.retrieval.vectors import pack
from agentrt.retrieval.windows import windows
from agentrt.store.database import Store
from agentrt.store.embedding_cache import find_cached, keep_cached, text_digest

_AT_ONCE: Final = 256
"""Texts that are looked up, embedded and kept together: what a crash in between costs at most."""


class SegmentWords(NamedTuple):
    """What is embedded of a segment, by its number in the file (see FileVectors)."""

    number: int
    text: str


class TextVectors:
    """What one embedding model makes of texts, once for each of them."""

    def __init__(self, embedder: Embedder, *, store: Store, clock: Clock) -> None:
        self._embedder = embedder
        self._store = store
        self._clock = clock

    @property
    def model(self) -> str:
        """As Embedder.model."""
        return self._embedder.model

    async def of(self, segments: Iterable[SegmentWords]) -> FileVectors:
        """The vectors of a file. Raises ModelError; what was made until then is kept for the next time."""
        # Cut as they are needed: the 5,000,000 tokens that a file may have take seconds, and the event loop has others.
        parts = (
            (segment.number, window)
            for segment in segments
            if segment.text.strip()
            for window in windows(segment.text, self._embedder.window_tokens)
        )
        found: dict[int, list[bytes]] = {}
        while some := list(islice(parts, _AT_ONCE)):
            vectors = await self._vectors([text for _, text in some])
            for (number, _), vector in zip(some, vectors, strict=True):
                found.setdefault(number, []).append(vector)
        return FileVectors(self.model, found)

    async def _vectors(self, texts: Sequence[str]) -> list[bytes]:
        digests = [text_digest(text) for text in texts]
        known = await self._store.read_long(partial(find_cached, model=self.model, digests=digests))
        missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
        if missing:
            made = await self._embedder.embed(list(missing.values()), as_="document")
            new = {digest: pack(vector) for digest, vector in zip(missing, made, strict=True)}
            now = int(self._clock.now())
            await self._store.write(partial(keep_cached, model=self.model, vectors=new, now=now))
            known |= new
        return [known[digest] for digest in digests]
