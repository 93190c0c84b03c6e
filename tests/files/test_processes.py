"""Processes that may go wrong in any way: each way is told from the others, and none is felt outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agentrt.files.processes import ProcessLimits, ProcessPool, ProcessTroubleError

ENTRY = "tests.files.entries:run"


@pytest.fixture
async def pools() -> AsyncIterator[list[ProcessPool]]:
    opened: list[ProcessPool] = []
    yield opened
    for pool in opened:
        await pool.close()


def a_pool(pools: list[ProcessPool], *, size: int = 1, idle_s: float = 60.0, **limits: Any) -> ProcessPool:
    pool = ProcessPool(ENTRY, size=size, idle_s=idle_s, limits=ProcessLimits(**limits))
    pools.append(pool)
    return pool


async def call(pool: ProcessPool, command: str) -> str:
    return (await pool.call(command.encode())).decode()


async def trouble(pool: ProcessPool, command: str) -> ProcessTroubleError:
    with pytest.raises(ProcessTroubleError) as caught:
        await pool.call(command.encode())
    return caught.value


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def gone(pid: int) -> None:
    while is_alive(pid):
        await asyncio.sleep(0.005)


# Good days -----------------------------------------------------------------------------------------------------------


async def test_a_process_serves_one_call_after_the_other(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools)
    pids = {await call(pool, "pid") for _ in range(5)}
    assert len(pids) == 1
    assert pids != {str(os.getpid())}


async def test_calls_beyond_the_size_wait(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools, size=2)
    pids = await asyncio.gather(*(call(pool, "pid") for _ in range(12)))
    assert len(set(pids)) == 2


async def test_large_requests_and_answers_go_through(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools)
    text = "x" * 3_000_000
    assert await call(pool, f"echo {text}") == text


async def test_a_process_that_has_served_enough_is_replaced(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools, n_calls=2)
    pids = [await call(pool, "pid") for _ in range(4)]
    assert (pids[0], pids[2]) == (pids[1], pids[3])
    assert pids[0] != pids[2]


async def test_a_process_that_has_grown_is_replaced(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools, growth_bytes=20 << 20)
    before = await call(pool, "pid")
    await call(pool, "keep 50")
    assert await call(pool, "pid") != before


async def test_processes_end_when_nobody_calls_for_a_while(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools, idle_s=0.01)
    await gone(int(await call(pool, "pid")))
    assert await call(pool, "echo again") == "again"


async def test_a_closed_pool_leaves_nothing_and_can_be_used_again(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools, size=3)
    pids = await asyncio.gather(*(call(pool, "pid") for _ in range(9)))
    await pool.close()
    assert not any(is_alive(int(pid)) for pid in pids)
    assert await call(pool, "echo again") == "again"


# What a child can see and do -----------------------------------------------------------------------------------------


async def test_a_process_does_not_get_the_environment(
    pools: list[ProcessPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    names = (await call(a_pool(pools), "environ")).split()
    assert "PATH" in names
    assert set(names) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "PYTHONHOME"}


async def test_a_process_finds_the_modules_that_its_parent_finds(pools: list[ProcessPool]) -> None:
    places = (await call(a_pool(pools), "path")).split("\n")
    assert [place or os.getcwd() for place in sys.path] == places  # noqa: PTH109


async def test_what_a_library_prints_is_not_taken_for_an_answer(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools)
    assert await call(pool, "print hello") == "printed 'hello', read ''"
    assert await call(pool, "echo fine") == "fine"


async def test_a_process_cannot_write_files(pools: list[ProcessPool], tmp_path: Path) -> None:
    assert (await trouble(a_pool(pools), f"write {tmp_path}/out")).kind in {"bug", "crash"}
    assert (tmp_path / "out").stat().st_size == 0


# Bad days ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "limits", "kind"),
    [
        ("hang", {"wall_s": 0.3}, "wall"),
        ("burn", {"cpu_s": 0}, "cpu"),
        ("eat 500", {"memory_bytes": 300 << 20}, "memory"),
        ("size 2000", {"answer_bytes": 1000}, "output"),
        ("raise me", {}, "bug"),
        (f"die {signal.SIGABRT}", {}, "memory"),
        (f"die {signal.SIGKILL}", {}, "memory"),
        (f"die {signal.SIGSEGV}", {}, "crash"),
    ],
)
async def test_every_way_to_go_wrong_is_told_from_the_others(
    pools: list[ProcessPool], command: str, limits: dict[str, Any], kind: str
) -> None:
    pool = a_pool(pools, **limits)
    assert (await trouble(pool, command)).kind == kind
    assert await call(pool, "echo fine") == "fine"


async def test_what_a_bug_says_is_not_told_because_it_may_be_in_the_file(pools: list[ProcessPool]) -> None:
    found = await trouble(a_pool(pools), "raise my-diary")
    assert "ValueError" in found.detail
    assert "in _raise" in found.detail
    assert "my-diary" not in found.detail


async def test_a_call_is_repeated_when_its_process_died_of_what_it_did_before(pools: list[ProcessPool]) -> None:
    pool = a_pool(pools)
    pid = int(await call(pool, "pid"))
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    assert await call(pool, "echo fine") == "fine"


async def test_cancelling_a_call_ends_its_process_at_once(pools: list[ProcessPool], tmp_path: Path) -> None:
    pool = a_pool(pools)
    pid = int(await call(pool, "pid"))
    sign = tmp_path / "has-begun"
    waiting = asyncio.ensure_future(call(pool, f"hang {sign}"))
    while not sign.exists():
        await asyncio.sleep(0.005)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await gone(pid)
    assert await call(pool, "echo fine") == "fine"


@pytest.mark.parametrize("entry", ["tests.files.no_such_module:run", "tests.files.entries:no_such_function"])
async def test_an_entry_that_is_not_there_is_said_to_be(entry: str) -> None:
    pool = ProcessPool(entry)
    assert (await trouble(pool, "echo")).kind == "start"
    await pool.close()


async def test_an_interpreter_that_cannot_be_started_is_said_to_be(
    pools: list[ProcessPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert (await trouble(a_pool(pools), "echo")).kind == "start"


# Where it runs -------------------------------------------------------------------------------------------------------


def test_a_loop_in_a_thread_beside_others_may_use_it() -> None:
    answers: list[str] = []

    async def use() -> None:
        pool = ProcessPool(ENTRY)
        answers.append(await call(pool, "echo from a thread"))
        await pool.close()

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["from a thread"] * 2


ORPHAN = """
import asyncio, os
from agentrt.files.processes import ProcessPool
async def main():
    pool = ProcessPool("tests.files.entries:run")
    print((await pool.call(b"pid")).decode(), flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


async def test_processes_end_with_their_parent_even_when_it_is_killed() -> None:
    parent = [sys.executable, "-c", ORPHAN]
    done = await asyncio.to_thread(subprocess.run, parent, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    async with asyncio.timeout(20):
        await gone(int(done.stdout))


def test_importing_the_extractor_imports_no_parser() -> None:
    code = "import sys, agentrt.files.extract; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pypdfium2", "html.parser", "zipfile", "email", "xml.parsers.expat", "pydantic", "sqlalchemy"}
    assert not heavy & set(done.stdout.split())
