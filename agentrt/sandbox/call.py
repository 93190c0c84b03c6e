"""One call as the host sees it: the kernel's frames become events, in order, and wait until somebody reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from agentrt.sandbox import frames
from agentrt.sandbox.channel import Channel
from agentrt.sandbox.events import CallEvent, Display, FileWritten, Finished, Output
from agentrt.sandbox.paths import is_safe_path

MAX_DISPLAYS: Final = 20
MAX_FILES: Final = 200
MIMES: Final = frozenset({"image/png", "image/jpeg", "image/svg+xml", "text/html"})
_MAX_TEXT_CHARS: Final = 160 * 1024
# Above this the kernel waits until the reader has caught up.
_MAX_WAITING_BYTES: Final = 4 * 1024 * 1024


class Call:
    """The events of one `exec`."""

    def __init__(self, call_id: str, channel: Channel) -> None:
        self.id = call_id
        self.is_over = False  # Finished has been read
        self._channel = channel
        self._events: deque[CallEvent] = deque()
        self._news = asyncio.Event()
        self._is_given_up = False
        self._is_done = False
        self._n_waiting_bytes = 0
        self._n_displays = 0
        self._n_files = 0

    async def next(self) -> CallEvent | None:
        """The next event; None when no more can come although the call is not over."""
        while not self._events:
            if self._is_given_up:
                return None
            self._news.clear()
            await self._news.wait()
        event = self._events.popleft()
        self.is_over = isinstance(event, Finished)
        is_crowded = self._n_waiting_bytes > _MAX_WAITING_BYTES
        self._n_waiting_bytes -= _size(event)
        if is_crowded and self._n_waiting_bytes <= _MAX_WAITING_BYTES:
            self._channel.resume()
        return event

    def take(self, frame: frames.Frame, raw: bytes) -> None:
        """A frame with this call's id. Nothing comes after `done`, and what is not fit to be passed on is dropped."""
        event = None if self._is_done else self._event(frame, raw)
        if event is None:
            return
        self._is_done = isinstance(event, Finished)
        self._events.append(event)
        self._n_waiting_bytes += _size(event)
        if self._n_waiting_bytes > _MAX_WAITING_BYTES:
            self._channel.pause()
        self._news.set()

    def give_up(self) -> None:
        """Nothing more will come."""
        self._is_given_up = True
        self._news.set()

    def leave(self) -> None:
        """Nobody reads any more."""
        if self._n_waiting_bytes > _MAX_WAITING_BYTES:
            self._channel.resume()

    def _event(self, frame: frames.Frame, raw: bytes) -> CallEvent | None:
        match frame:
            case frames.Out():
                return Output(stream=frame.s, text=frame.d, n_skipped_bytes=frame.skipped)
            case frames.Picture():
                self._n_displays += 1
                is_fit = self._n_displays <= MAX_DISPLAYS and frame.mime in MIMES
                return Display(mime=frame.mime, data=raw) if is_fit else None
            case frames.File():
                self._n_files += 1
                is_fit = self._n_files <= MAX_FILES and is_safe_path(frame.path)
                return FileWritten(path=frame.path, size_bytes=frame.size, sha256=frame.sha256) if is_fit else None
            case frames.Done():
                return _finished(frame)
            case frames.Fail():
                return Finished(
                    status="crashed", ms=0.0, cpu_ms=0.0, max_rss_bytes=0, n_output_bytes=0, is_truncated=False
                )
            case _:
                return None


def _finished(frame: frames.Done) -> Finished:
    return Finished(
        status=frame.status,
        result=None if frame.result is None else frame.result[:_MAX_TEXT_CHARS],
        error=frame.error,
        state=frame.state,
        ms=frame.ms,
        cpu_ms=frame.cpu_ms,
        max_rss_bytes=frame.max_rss,
        n_output_bytes=frame.out_bytes,
        is_truncated=frame.truncated,
    )


def _size(event: CallEvent) -> int:
    match event:
        case Output():
            return len(event.text) + 100
        case Display():
            return len(event.data) + 100
        case _:
            return 300
