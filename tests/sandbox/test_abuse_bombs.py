"""Code that uses everything up or ends badly: it is over soon, the variables are still there, nobody else notices."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sandbox.bomb_items import BOMBS
from tests.sandbox.ending_items import ENDINGS
from tests.sandbox.items import Item
from tests.sandbox.ledger import Ledger
from tests.sandbox.sessions import KEPT, Session

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_OUTPUT_CHARS = 1_200_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ledger(neighbour: Session) -> AsyncIterator[Ledger]:
    yield await Ledger.begin(neighbour)


@pytest.mark.parametrize("item", [*BOMBS, *ENDINGS], ids=str)
async def test_it_is_over_soon(session: Session, ledger: Ledger, item: Item) -> None:
    ran = await session.run(item.code, timeout_s=item.timeout_s)
    assert ran.end.status in item.statuses, ran.said[-500:]
    assert item.expect in ran.stdout
    # One second for the kernel to be asked nicely, the rest for a machine with other things to do.
    assert ran.wall_s < item.timeout_s + 6
    assert len(ran.stdout) + len(ran.stderr) <= MAX_OUTPUT_CHARS
    await ledger.check(session, item)


async def test_what_is_left_running_does_not_cost_the_variables(session: Session) -> None:
    """As many processes as there can be are still there when the next call has to be killed."""
    await session.kernel.reset()
    code = "import os, time\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(1000)\nexcept OSError: print('full')"
    assert (await session.run(code)).stdout == "full\n"
    await session.run("of_this_moment = 1")
    ran = await session.run(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", timeout_s=0.4
    )
    assert (ran.end.status, ran.end.state) == ("timeout", "restored")
    assert await session.value("of_this_moment") == "1"


async def test_a_reset_ends_whatever_runs(session: Session) -> None:
    code = "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            while True: time.sleep(0.01)\n        os._exit(0)"
    await session.run(code)
    await session.kernel.reset()
    await session.run(f"{KEPT} = 42")
    n_left = "len([pid for pid in __import__('os').listdir('/proc') if pid.isdigit()])"
    assert int(await session.value(n_left)) <= 4  # PID 1, the worker, its copy and who has made that


async def test_nobody_else_noticed(session: Session, ledger: Ledger) -> None:
    await ledger.check_others()


async def test_nine_of_ten_left_the_variables_alone(session: Session, ledger: Ledger) -> None:
    ledger.check_kept()


async def test_after_a_reset_the_sandbox_is_as_good_as_new(session: Session) -> None:
    await session.kernel.reset()
    ran = await session.run("import subprocess; print(subprocess.run(['id'], capture_output=True, text=True).stdout)")
    assert "uid=" in ran.stdout, ran.said
    assert len(await session.value("bytearray(100 << 20)[:3]")) > 3
