"""Where everything stands: the stacks of all tasks and threads, into the log. For a process that does not answer, which
nobody can attach a debugger to."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

_DEEPEST = 60


def log_stacks_on_signal(loop: asyncio.AbstractEventLoop) -> None:
    """From now on SIGUSR1 has them logged, where there is such a signal. For the main thread, which runs the loop.

    Not by the loop's own means: it may be the loop that hangs.
    """
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda _number, _frame: log_stacks(loop))


def log_stacks(loop: asyncio.AbstractEventLoop) -> None:
    """Log one event for each thread and each task: places in the code, the innermost last, and nothing else."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for number, frame in sys._current_frames().items():
        stack = [_place(found, line) for found, line in traceback.walk_stack(frame)]
        log.warning("stacks.thread", extra={"of": names.get(number, str(number)), "at": stack[:_DEEPEST][::-1]})
    for task in asyncio.all_tasks(loop):
        log.warning("stacks.task", extra={"of": task.get_name(), "at": list(_awaited(task.get_coro()))[:_DEEPEST]})


def _awaited(waiting: Any) -> Iterator[str]:
    """The place where a coroutine waits, the place where what it waits for waits, and so on."""
    while waiting is not None:
        for kind in ("cr", "ag", "gi"):
            frame: FrameType | None = getattr(waiting, f"{kind}_frame", None)
            if frame is not None:
                yield _place(frame, frame.f_lineno)
                waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            yield type(waiting).__name__
            return


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
