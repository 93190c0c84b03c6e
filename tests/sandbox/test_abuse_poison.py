"""Code that breaks the process that it shares with the kernel's other half: the next call runs all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sandbox.items import Item
from tests.sandbox.ledger import Ledger
from tests.sandbox.poison_items import ALL
from tests.sandbox.sessions import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ledger(neighbour: Session) -> AsyncIterator[Ledger]:
    yield await Ledger.begin(neighbour)


@pytest.mark.parametrize("item", ALL, ids=str)
async def test_the_next_call_runs(session: Session, ledger: Ledger, item: Item) -> None:
    ran = await session.run(item.code, timeout_s=item.timeout_s)
    assert ran.end.status in item.statuses, ran.said[-500:]
    assert ran.wall_s < item.timeout_s + 8
    # It may say that it ended well when it did not. Nothing else of what it says is taken from it.
    assert session.kernel.hello.py != "forged"
    await ledger.check(session, item)
    # What it broke, it broke for itself: each item begins with an interpreter that is whole.
    await session.kernel.reset()
    await session.run("kept_from_the_start = 42")


async def test_nobody_else_noticed(session: Session, ledger: Ledger) -> None:
    await ledger.check_others()


async def test_nine_of_ten_left_the_variables_alone(session: Session, ledger: Ledger) -> None:
    ledger.check_kept()
