"""Sessions by key: who gets which sandbox, for how long, and what is left of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import msgspec
import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.errors import InvalidRequestError, SandboxError, SandboxGoneError
from agentrt.sandbox.driver import Box
from agentrt.sandbox.local import LocalDriver
from agentrt.sandbox.pool import Hook, Pool
from agentrt.sandbox.sandbox import Sandbox
from agentrt.testing.clocks import FakeClock

SPEC = SandboxSpec(name="python", driver="unsafe-local", idle_s=100.0)

OpenPool = Callable[..., "asyncio.Future[Pool]"]


class CountingDriver(LocalDriver):
    """The driver without isolation, which is fast; it counts, and fails when it is told to."""

    def __init__(self, spec: SandboxSpec) -> None:
        super().__init__(spec)
        self.opened: list[str | None] = []
        self.boxes: list[Box] = []
        self.fails = False
        self.may_open = asyncio.Event()
        self.may_open.set()

    async def open(self, session: str | None = None) -> Box:
        self.opened.append(session)
        if self.fails:
            raise SandboxError("out of order")
        await self.may_open.wait()
        self.boxes.append(await super().open(session))
        return self.boxes[-1]


class World:
    """A pool, and what moves it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.clock = FakeClock()
        self.saved: dict[str, bytes] = {}
        self.driver: CountingDriver

    async def open(self, *, fill: Hook | None = None, save: Hook | None = None, **spec: object) -> Pool:
        changed = msgspec.structs.replace(SPEC, **spec)
        self.driver = CountingDriver(changed)
        pool = Pool(self.driver, changed, fill=fill, save=save or self._save, clock=self.clock)
        return await self._stack.enter_async_context(pool)

    async def _save(self, key: str, sandbox: Sandbox) -> None:
        for file in await sandbox.list():
            self.saved[f"{key}/{file.path}"] = await sandbox.get(file.path)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(stack)


async def value(pool: Pool, key: str, code: str) -> str:
    async with pool.session(key) as sandbox:
        return (await sandbox.run(code)).text


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)


async def test_a_key_keeps_its_sandbox(world: World) -> None:
    pool = await world.open()
    await value(pool, "thread_1", "x = 1")
    await value(pool, "thread_2", "x = 2")
    assert [await value(pool, key, "x") for key in ("thread_1", "thread_2")] == ["1", "2"]
    assert world.driver.opened == ["thread_1", "thread_2"]


async def test_two_who_come_for_a_new_key_at_once_get_the_same_sandbox(world: World) -> None:
    pool = await world.open()
    await asyncio.gather(*(value(pool, "thread_1", f"x{n} = {n}") for n in range(4)))
    assert await value(pool, "thread_1", "[x0, x1, x2, x3]") == "[0, 1, 2, 3]"
    assert len(world.driver.opened) == 1


@pytest.mark.parametrize("key", ["", "a/b", "../x", ".x", "a b", "x" * 129, "ä"])
async def test_what_cannot_be_a_containers_name_is_no_key(world: World, key: str) -> None:
    pool = await world.open()
    with pytest.raises(InvalidRequestError):
        await value(pool, key, "1")


async def test_an_idle_session_is_saved_and_removed(world: World) -> None:
    pool = await world.open()
    await value(pool, "thread_1", "open('a.txt', 'w').write('kept')")
    await world.clock.advance(99)
    await pool.tend()
    assert pool.n_sessions == 1
    await world.clock.advance(1)
    await pool.tend()
    assert pool.n_sessions == 0
    assert world.saved == {"thread_1/a.txt": b"kept"}
    assert "NameError" in await value(pool, "thread_1", "x")


async def test_a_new_sandbox_is_filled_before_anybody_gets_it(world: World) -> None:
    async def fill(key: str, sandbox: Sandbox) -> None:
        await sandbox.put("in.txt", f"for {key}")

    pool = await world.open(fill=fill)
    assert await value(pool, "thread_1", "open('in.txt').read()") == "'for thread_1'"


async def test_use_keeps_a_session_and_its_life_ends_it_all_the_same(world: World) -> None:
    pool = await world.open(idle_s=100.0, life_s=250.0)
    for _ in range(3):
        await value(pool, "thread_1", "1")
        await world.clock.advance(80)
        await pool.tend()
    assert pool.n_sessions == 1
    await world.clock.advance(10)
    await pool.tend()
    assert pool.n_sessions == 0


async def test_without_a_time_a_session_lives_for_ever(world: World) -> None:
    pool = await world.open(idle_s=None)
    await value(pool, "thread_1", "x = 1")
    await world.clock.advance(10_000_000)
    await pool.tend()
    assert await value(pool, "thread_1", "x") == "1"


async def test_a_session_in_use_is_not_removed(world: World) -> None:
    pool = await world.open()
    async with pool.session("thread_1") as sandbox:
        await world.clock.advance(1000)
        await pool.tend()
        assert (await sandbox.run("1")).result == "1"
    await pool.tend()
    assert pool.n_sessions == 1  # its time begins when it is given back


async def test_what_cannot_be_saved_is_removed_all_the_same(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def save(key: str, sandbox: Sandbox) -> None:
        raise OSError("the disk is full")

    pool = await world.open(save=save)
    await value(pool, "thread_1", "1")
    await world.clock.advance(100)
    with caplog.at_level(logging.WARNING, logger="agentrt.sandbox.pool"):
        await pool.tend()
    assert pool.n_sessions == 0
    assert caplog.messages[-1] == "sandbox.save_failed"


async def test_above_the_maximum_the_one_that_was_idle_for_longest_goes(world: World) -> None:
    pool = await world.open(max_sessions=2)
    for key in ("a", "b"):
        await value(pool, key, "open('f', 'w').write('x')")
        await world.clock.advance(1)
    await value(pool, "a", "1")
    await value(pool, "c", "1")
    assert (pool.find("b"), list(world.saved)) == (None, ["b/f"])
    assert pool.find("a") is not None


async def test_when_all_are_in_use_nobody_is_thrown_out(world: World) -> None:
    pool = await world.open(max_sessions=1)
    async with pool.session("a") as sandbox:
        with pytest.raises(SandboxError, match="All 1 sandboxes are in use"):
            await value(pool, "b", "1")
        assert (await sandbox.run("1")).result == "1"
    assert await value(pool, "b", "2") == "2"


async def test_a_sandbox_that_died_is_replaced(world: World) -> None:
    pool = await world.open()
    await value(pool, "thread_1", "x = 1")
    sandbox = pool.find("thread_1")
    assert sandbox is not None
    await sandbox.close()
    assert pool.find("thread_1") is None
    assert "NameError" in await value(pool, "thread_1", "x")
    assert len(world.driver.opened) == 2


async def test_a_dropped_session_is_gone_unsaved(world: World) -> None:
    pool = await world.open()
    await value(pool, "thread_1", "open('f', 'w').write('x')")
    await pool.drop("thread_1")
    await pool.drop("thread_1")
    assert (pool.n_sessions, world.saved) == (0, {})


async def test_who_finds_a_session_can_interrupt_it(world: World) -> None:
    pool = await world.open()
    running = asyncio.ensure_future(value(pool, "thread_1", "print('go')\nwhile True: pass"))
    await until(lambda: (found := pool.find("thread_1")) is not None and found.is_busy)
    await asyncio.sleep(0.2)
    found = pool.find("thread_1")
    assert found is not None
    await found.interrupt()
    assert "interrupted" in await running


async def test_warm_sandboxes_are_claimed_and_made_anew(world: World) -> None:
    pool = await world.open(pool=2)
    await until(lambda: pool.n_warm == 2)
    assert world.driver.opened == [None, None]
    assert await value(pool, "thread_1", "1") == "1"
    assert (pool.n_sessions, pool.n_warm) == (1, 1)  # the session's first call need not wait for another start
    await world.clock.advance(1)
    await until(lambda: pool.n_warm == 2)
    assert world.driver.opened == [None, None, None]


async def test_a_warm_sandbox_that_died_is_not_given_to_anybody(world: World) -> None:
    pool = await world.open(pool=1)
    await until(lambda: pool.n_warm == 1)
    await pool._warm[0].close()
    assert await value(pool, "thread_1", "1") == "1"
    await world.clock.advance(1)
    await until(lambda: pool.n_warm == 1)


async def test_no_warm_sandboxes_is_no_reason_to_stop(world: World, caplog: pytest.LogCaptureFixture) -> None:
    pool = await world.open()
    world.driver.fails = True
    with pytest.raises(SandboxError, match="out of order"):
        await value(pool, "thread_1", "1")
    world.driver.fails = False
    assert await value(pool, "thread_1", "1") == "1"


async def test_a_warm_sandbox_that_cannot_be_started_is_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="agentrt.sandbox.pool"):
        pool = await world.open(pool=1)
        world.driver.fails = True
        await until(lambda: "sandbox.warm_failed" in caplog.messages)
    world.driver.fails = False
    await world.clock.advance(15)
    await until(lambda: pool.n_warm == 1)


async def test_at_the_end_what_cannot_be_left_is_saved_and_ended() -> None:
    async with AsyncExitStack() as stack:
        world = World(stack)
        pool = await world.open(pool=1)
        await value(pool, "thread_1", "open('f', 'w').write('x')")
        sandbox = pool.find("thread_1")
        assert sandbox is not None
    assert world.saved == {"thread_1/f": b"x"}
    assert not sandbox.is_alive
    assert (pool.n_sessions, pool.n_warm) == (0, 0)


async def test_every_start_without_isolation_is_warned_of(world: World, caplog: pytest.LogCaptureFixture) -> None:
    pool = await world.open()
    await value(pool, "a", "1")
    await value(pool, "b", "1")
    assert caplog.messages.count("sandbox.unsafe_local") == 2


async def test_many_who_come_at_once_do_not_get_more_than_the_maximum(world: World) -> None:
    pool = await world.open(max_sessions=2)
    world.driver.may_open.clear()
    got = [asyncio.ensure_future(value(pool, f"thread_{n}", "1")) for n in range(5)]
    await asyncio.sleep(0)
    world.driver.may_open.set()
    said = await asyncio.gather(*got, return_exceptions=True)
    assert sum(isinstance(one, SandboxError) for one in said) == 3
    assert len(world.driver.opened) == 2


async def test_a_session_that_is_dropped_while_it_opens_leaves_nothing_behind(world: World) -> None:
    pool = await world.open()
    world.driver.may_open.clear()
    first = asyncio.ensure_future(value(pool, "thread_1", "1"))
    await until(lambda: bool(world.driver.opened))
    assert pool.has("thread_1")
    await pool.drop("thread_1")
    second = asyncio.ensure_future(value(pool, "thread_1", "2"))  # another one, of the same name
    await until(lambda: len(world.driver.opened) == 2)
    world.driver.may_open.set()
    with pytest.raises(SandboxGoneError):
        await first
    assert await second == "2"
    assert [box.channel.is_open for box in world.driver.boxes].count(True) == pool.n_sessions == 1


async def test_a_sandbox_that_cannot_be_ended_does_not_end_the_others(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await world.open()
    await value(pool, "thread_1", "1")
    await world.clock.advance(99)
    await value(pool, "thread_2", "x = 2")
    stuck = world.driver.boxes[0]
    kill = stuck.kill

    async def kill_and_fail() -> None:
        await kill()
        raise RuntimeError("it does not go")

    monkeypatch.setattr(stuck, "kill", kill_and_fail)
    await world.clock.advance(1)
    await until(lambda: "sandbox.close_failed" in caplog.messages)
    assert await value(pool, "thread_2", "x") == "2"


async def test_a_folder_that_the_code_took_away_is_not_the_sessions_end(world: World) -> None:
    pool = await world.open()
    async with pool.session("thread_1") as sandbox:
        assert (await sandbox.run("import os\nx = 1\nos.rmdir(os.getcwd())")).status == "ok"
        with pytest.raises(SandboxError, match="took it away"):
            await sandbox.put("a.txt", "1")
        assert await sandbox.list() == []
        assert (await sandbox.run("x")).result == "1"
