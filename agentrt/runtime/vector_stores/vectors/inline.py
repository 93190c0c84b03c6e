"""FileEmbedding: embeds files on their way into the index; one whose model does not answer goes in by its words."""

from __future__ import annotations

import logging
from typing import Final

from agentrt.clock import Clock
from agentrt.errors import ModelError
from agentrt.retrieval.index import FileVectors
from agentrt.retrieval.prepare import Prepared
from agentrt.runtime.vector_stores.vectors.texts import SegmentWords, TextVectors

log = logging.getLogger(__name__)

_PAUSE_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 960.0


class FileEmbedding:
    """Files shall not wait for a model that is away: after each failure none is asked for a while, a longer one each
    time. What they lack, a VectorDriver makes up for."""

    def __init__(self, vectors: TextVectors, *, clock: Clock) -> None:
        self._vectors = vectors
        self._clock = clock
        self._paused_until = 0.0
        self._n_failures = 0

    async def of(self, prepared: Prepared) -> FileVectors | None:
        """The vectors of a file; none at all in them when the model refuses it. None: not now."""
        if self._clock.monotonic() < self._paused_until:
            return None
        words = (SegmentWords(i, segment.lead + segment.text) for i, segment in enumerate(prepared.segments))
        try:
            made = await self._vectors.of(words)
        except ModelError as error:
            log.warning("ingest.not_embedded", extra={"model": self._vectors.model, "reason": error.reason})
            if error.reason == "invalid_prompt":
                return FileVectors(self._vectors.model, {})  # and would be the next time
            self._pause()
            return None
        self._n_failures = 0
        return made

    def _pause(self) -> None:
        if self._clock.monotonic() < self._paused_until:
            return  # a file that was asked for beside this one has failed before it: that is one failure
        pause_s = min(_LONGEST_PAUSE_S, _PAUSE_S * 2**self._n_failures)
        self._paused_until = self._clock.monotonic() + pause_s
        self._n_failures += 1
