"""The port behind which rerankers stand: models that read a question beside each passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    """What reads a question beside each passage.

    name: as agents.toml has it. candidates: how many of the best passages it looks at. window_tokens: longer passages
    are read in parts of about so many tokens; None: whole. within_s: how long a search waits for it.
    """

    @property
    def name(self) -> str: ...

    @property
    def candidates(self) -> int: ...

    @property
    def window_tokens(self) -> int | None: ...

    @property
    def within_s(self) -> float: ...

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers, from 0 to 1, in their order. Raises ModelError."""
        ...
