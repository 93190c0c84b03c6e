"""The line that says how far `agentrt stores add` is. Only terminals get one."""

from __future__ import annotations

from typing import Final

from agentrt.cli.cells import cut
from agentrt.cli.live import Region
from agentrt.cli.options import Invocation
from agentrt.cli.screen import duration
from agentrt.cli.store_views import size
from agentrt.clock import SystemClock

_BARS: Final = (20, 10, 5)
_AGAIN_S: Final = 0.1
_RATE_AFTER_S: Final = 1.0


class Progress:
    """n_files, size_bytes: of all that was found."""

    def __init__(self, invocation: Invocation, *, n_files: int, size_bytes: int) -> None:
        screen = invocation.err
        self._screen = screen
        self._region = Region(screen) if screen.is_live and not invocation.is_quiet else None
        self._clock = SystemClock()
        self._began = self._shown_at = self._clock.monotonic()
        self._n_files = n_files
        self._left_bytes = size_bytes
        self._n_skipped = self._n_done = self._n_failed = self._n_coming = self._n_sent = 0
        self._sent_bytes = 0

    def skip(self, size_bytes: int) -> None:
        """A file needs nothing."""
        self._n_skipped += 1
        self._left_bytes -= size_bytes
        self._show()

    def sent(self, size_bytes: int) -> None:
        """A file's bytes are with the server, or were not taken."""
        self._n_sent += 1
        self._sent_bytes += size_bytes
        self._left_bytes -= size_bytes
        self._show()

    def done(self, *, failed: int = 0, indexed: int = 0, coming: int | None = None) -> None:
        """So many more files are through. coming: and so many of batches that are not; None = as many as before."""
        self._n_failed += failed
        self._n_done += failed + indexed
        self._n_coming = self._n_coming if coming is None else coming
        self._show()

    def clear(self) -> None:
        """Take the line away."""
        if self._region is not None:
            self._region.commit([])

    def _show(self) -> None:
        now = self._clock.monotonic()
        if self._region is None or now - self._shown_at < _AGAIN_S:
            return
        self._shown_at = now
        width = self._screen.columns - 1
        self._region.show([cut(self.line(now - self._began, width), width)])

    def line(self, seconds: float, width: int) -> str:
        """The bar, as long as there is room for it, and what there is to say after so many seconds."""
        text = self._text(seconds)
        bar = next((length for length in _BARS if length + 1 + len(text) <= width), 0)
        n_all = max(1, self._n_files)
        filled = bar * min(n_all, self._n_done + self._n_coming + self._n_skipped) // n_all
        return f"{'█' * filled}{'░' * (bar - filled)} {text}".lstrip()

    def _text(self, seconds: float) -> str:
        n_through = self._n_done + self._n_coming
        parts = [f"{n_through + self._n_skipped:,}/{self._n_files:,} files"]
        if self._n_sent > n_through:
            parts.append(f"{self._n_sent - n_through:,} indexing")
        if self._n_failed:
            parts.append(f"{self._n_failed:,} failed")
        if seconds >= _RATE_AFTER_S:
            if not n_through and self._left_bytes > 0 and self._sent_bytes:
                parts.append(f"{size(self._sent_bytes / seconds)}/s")
            if n_through:
                parts.append(f"{n_through / seconds:.1f} files/s")
                left = self._n_files - self._n_skipped - n_through
                parts.append(f"{duration(left * seconds / n_through)} left")
        return " · ".join(parts)
