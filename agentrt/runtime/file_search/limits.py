"""How much one search gives a model: of the tool's options, the model's context window, the run's own limit. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from agentrt.engine.message import JsonObject

MAX_RESULTS: Final = 20
MAX_RESULTS_SMALL: Final = 5
BUDGET_TOKENS: Final = 16_000
BUDGET_TOKENS_SMALL: Final = 4_000

SMALL_WINDOW_TOKENS: Final = 32_768
"""A model whose context window is no larger is a small one."""


class SearchLimits(NamedTuple):
    """max_results: how many passages at most; budget_tokens: how much all of them together, their headings included.

    ranker: as the caller named it.
    """

    max_results: int = MAX_RESULTS
    budget_tokens: int = BUDGET_TOKENS
    score_threshold: float = 0.0
    ranker: str = "auto"


def search_limits(
    options: JsonObject | None, *, context_window: int | None, max_prompt_tokens: int | None
) -> SearchLimits:
    """options: the tool's `file_search` object. context_window: None = unknown, and taken for a large one.

    Source: API reference, tools, `file_search` (20 results, 5 for gpt-3.5-turbo); the vendor's guide (16,000 tokens,
    4,000 for gpt-3.5). One search takes a quarter of what the run may read at most, so that the next one fits, too.
    """
    given = options or {}
    ranking = given.get("ranking_options")
    rank = ranking if isinstance(ranking, dict) else {}
    threshold, wanted = rank.get("score_threshold"), given.get("max_num_results")
    is_small = context_window is not None and context_window <= SMALL_WINDOW_TOKENS
    rooms = [tokens // 4 for tokens in (context_window, max_prompt_tokens) if tokens is not None]
    return SearchLimits(
        max_results=wanted if isinstance(wanted, int) else MAX_RESULTS_SMALL if is_small else MAX_RESULTS,
        budget_tokens=min(BUDGET_TOKENS_SMALL if is_small else BUDGET_TOKENS, *rooms) if rooms else BUDGET_TOKENS,
        score_threshold=float(threshold) if isinstance(threshold, int | float) else 0.0,
        ranker=str(rank.get("ranker") or "auto"),
    )
