"""An event loop in a thread of its own, so that the main thread may wait for a person to type.

Waiting on the loop itself would stop everything else in it; typing in another thread would lose Ctrl-C, which Python
delivers to the main thread only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Background(Generic[T]):
    """Opens something on a loop of its own, and keeps it open. `value` is what was opened."""

    value: T

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._opening = opening
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agentrt-loop")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        """Raises what the opening raised."""
        self._thread.start()
        try:
            self._is_ready.wait()
        except BaseException:
            self._close()
            raise
        if self._error is not None:
            self._close()
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if error is None and self._error is not None:
            raise self._error

    def start(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """Begin work on the loop."""
        assert self._loop is not None, "entered"
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, R]) -> R:
        """Do work on the loop and wait for it."""
        return self.start(work).result()

    def _close(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._is_ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._opening() as self.value:
            self._is_ready.set()
            await self._stop.wait()
