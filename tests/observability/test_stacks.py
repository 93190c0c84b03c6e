"""Where everything stands, in the log."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading

import pytest

from agentrt.observability.stacks import log_stacks, log_stacks_on_signal


async def innermost(event: asyncio.Event) -> None:
    await event.wait()


async def outer(event: asyncio.Event) -> None:
    async def pieces() -> object:
        await innermost(event)
        return None

    await pieces()


def stacks(caplog: pytest.LogCaptureFixture, kind: str) -> dict[str, str]:
    """What was said of each task or thread."""
    found = [record.__dict__ for record in caplog.records if record.message == f"stacks.{kind}"]
    return {record["of"]: " > ".join(record["at"]) for record in found}


async def test_every_task_and_thread_says_where_it_stands(caplog: pytest.LogCaptureFixture) -> None:
    may_end, event = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=may_end.wait, name="the waiting one")
    thread.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(outer(event), name="the stuck one")
        await asyncio.sleep(0)
        with caplog.at_level(logging.WARNING):
            log_stacks(asyncio.get_running_loop())
        event.set()
    may_end.set()
    thread.join()
    tasks = stacks(caplog, "task")
    assert "outer > tests.observability.test_stacks:" in tasks["the stuck one"]
    assert "innermost > asyncio.locks:" in tasks["the stuck one"]
    assert " wait" in stacks(caplog, "thread")["the waiting one"]


async def test_a_signal_has_it_said_and_nothing_ends(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        log_stacks_on_signal(asyncio.get_running_loop())
        with caplog.at_level(logging.WARNING):
            signal.raise_signal(signal.SIGUSR1)
            await asyncio.sleep(0)
        assert stacks(caplog, "task")
    finally:
        signal.signal(signal.SIGUSR1, before)
