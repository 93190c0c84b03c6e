"""Figures as the benchmarks print them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def ms_spread(seconds: Sequence[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    return f"{statistics.median(seconds) * 1000:.1f} / {statistics.quantiles(seconds, n=100)[98] * 1000:.1f}"
