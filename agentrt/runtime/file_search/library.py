"""What file_search needs of the stores behind it: which files there are, passages that answer, who is cited.

The port. Its driver on the API's vector stores is stored_library.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from agentrt.engine.message import SearchCandidate
from agentrt.engine.spec import RunSpec
from agentrt.runtime.file_search.markers import Ref

MAX_NAMED_FILES: Final = 20
"""So many files a model is told by their names."""


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """What a run can search in.

    number: the run's own, the first of the two in its markers. awaited: those of the stores whose files a run waits
    for. file_names: the newest first, at most as many as a model is told; has_more: there are others.
    notes: what a model should know of what it cannot search in.
    """

    number: int
    store_ids: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    has_more: bool = False
    notes: tuple[str, ...] = ()


class FoundPassage(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that answers. page: 0 = the file has none; start, end: its place in the file's text."""

    file_id: str
    file_name: str
    text: str
    score: float
    page: int = 0
    start: int = 0
    end: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """What is the same for the same passage, whatever was asked."""
        return self.file_id, self.start, self.end


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """passages: the best first, each once. candidates: all that were considered (at most as many as were asked for),
    likewise, of n_candidates; those that are passages are `kept`. The rest is as in SearchShown."""

    passages: Sequence[FoundPassage] = ()
    candidates: Sequence[SearchCandidate] = ()
    n_candidates: int = 0
    vector_model: str | None = None
    why_no_vectors: str | None = None
    rerank_model: str | None = None
    why_not_reranked: str | None = None


class Library(Protocol):
    """The stores that the runs of one thread or conversation search in."""

    async def look(self, spec: RunSpec) -> Catalogue:
        """Raises AgentrtError when the run cannot be: the thread's store has expired."""
        ...

    async def settle(self, catalogue: Catalogue, *, timeout_s: float) -> tuple[str, ...]:
        """Wait until the files that the run brought along can be searched in, not longer. What is missing then, and
        why, in words for a model."""
        ...

    async def search(
        self,
        catalogue: Catalogue,
        queries: Sequence[str],
        *,
        limit: int,
        score_threshold: float,
        max_candidates: int,
    ) -> Findings:
        """Raises AgentrtError."""
        ...

    async def sources(self, catalogue: Catalogue, numbers: Collection[int]) -> Mapping[Ref, str]:
        """The ids of the files of all passages that runs with these numbers have read."""
        ...
