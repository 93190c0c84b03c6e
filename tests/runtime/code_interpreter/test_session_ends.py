"""How a code session ends, and what is left of it: variables, files, or neither. The code is not isolated here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt.engine import events as ev
from agentrt.engine.message import Logs
from agentrt.engine.spec import CodeInterpreterTool
from agentrt.errors import NotFoundError
from agentrt.store.code_sessions import (
    CodeFile,
    CodeSession,
    find_code_session,
    list_code_files,
    put_code_files,
    put_code_session,
)
from agentrt.store.database import Tx
from agentrt.store.jobs import seize_job
from tests.runtime.code_interpreter.coding import (
    LOCAL,
    Coder,
    calls,
    open_coder,
    sandbox_of,
    thread,
)
from tests.runtime.conftest import World

Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
async def coder(open_world: Open) -> AsyncIterator[Coder]:
    async with open_coder(open_world) as opened:
        yield opened


async def test_cancelling_interrupts_the_code_and_keeps_the_variables(coder: Coder) -> None:
    thread_id = await thread(coder)
    coder.model.add(calls("x = 1\nprint('on')\nopen('half.txt', 'w').write('h')\nwhile True: pass"))
    run = await coder.world.run(thread_id, tools=(CodeInterpreterTool(),))
    async with asyncio.timeout(20):
        async for burst in coder.world.runtime.runs.follow(run.spec.id):
            if any(isinstance(numbered.event, ev.CallOutput) for numbered in burst):
                await coder.world.runtime.runs.cancel(coder.world.project, thread_id, run.spec.id)
    assert (await coder.world.look(run)).status == "cancelled"

    told = await coder.run(thread_id, "x", answer="sandbox:/mnt/data/half.txt")
    assert told.result.output.startswith("1\n")
    assert list(told.links) == ["sandbox:/mnt/data/half.txt"]  # nobody heard of it when it was written


async def test_a_driver_that_lost_its_run_writes_nothing_of_the_session(coder: Coder, tmp_path: Path) -> None:
    thread_id = await thread(coder)
    await coder.run(thread_id, "open('a.txt', 'w').write('1')")
    go_on = tmp_path / "go on"
    waits = f"print('on')\nimport os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
    coder.model.add(calls(waits + "open('b.txt', 'w').write('2'); os.unlink('a.txt')"))
    run = await coder.world.run(thread_id, tools=(CodeInterpreterTool(),))
    runtime = coder.world.runtime
    async with asyncio.timeout(20):
        async for burst in runtime.runs.follow(run.spec.id):
            if any(isinstance(numbered.event, ev.CallOutput) for numbered in burst):
                break
        await runtime.store.write(lambda tx: seize_job(tx, run.spec.id, now=runtime.clock.now()))
        go_on.touch()
        while runtime.n_driving:
            await asyncio.sleep(0.01)
    files = await runtime.store.read(lambda tx: list_code_files(tx, thread_id, "python"))
    assert [(file.path, file.is_gone) for file in files] == [("a.txt", False)]


async def test_a_sandbox_that_dies_takes_the_variables_and_not_the_files(coder: Coder) -> None:
    thread_id = await thread(coder, file_ids=(await coder.upload("in.txt", "given"),))
    await coder.run(thread_id, "x = 1\nopen('out.txt', 'w').write('made')")
    dying = await coder.run(thread_id, "import os, signal\nprint('now')\nos.kill(os.getppid(), signal.SIGKILL)")

    assert dying.run.status == "completed"
    assert dying.result.error == "sandbox_gone"
    assert "variables are lost; files that earlier calls wrote are kept" in dying.result.output
    told = await coder.run(thread_id, "print(open('in.txt').read(), open('out.txt').read())", "x")
    assert told.results[0].output.startswith("given made\n[This is a new session: variables and imports")
    assert "NameError" in told.results[1].output
    assert "new session" not in told.results[1].output


async def test_a_session_that_was_idle_comes_back_with_its_files(open_world: Open) -> None:
    async with open_coder(open_world, extra=LOCAL + 'pool = { ttl = "1500ms" }\n') as coder:
        thread_id = await thread(coder)
        await coder.run(thread_id, "open('a.txt', 'w').write('1')")
        box = sandbox_of(coder, thread_id)
        assert box is not None
        await box.run("open('late.txt', 'w').write('late')")  # as a program in the background would
        async with asyncio.timeout(20):
            while sandbox_of(coder, thread_id) is not None:
                await asyncio.sleep(0.05)

        told = await coder.run(thread_id, "open('a.txt').read() + open('late.txt').read()")
        assert told.result.output.startswith("'1late'\n[This is a new session")


async def test_a_session_that_another_process_had_is_opened_anew_with_its_files(coder: Coder) -> None:
    thread_id = await thread(coder)
    await coder.run(thread_id, "x = 'stale'\nopen('a.txt', 'w').write('1')")
    ours = sandbox_of(coder, thread_id)
    assert ours is not None

    def take(tx: Tx) -> None:
        session = find_code_session(tx, thread_id, "python")
        assert session is not None
        put_code_session(tx, CodeSession(**{**session.model_dump(), "holder": "another", "box_id": "elsewhere"}))

    await coder.world.runtime.store.write(take)
    told = await coder.run(thread_id, "import os\n'x' in globals(), os.listdir()")

    assert told.result.output.startswith("(False, ['a.txt'])\n[This is a new session")
    assert not ours.is_alive


async def test_a_link_does_not_look_into_the_folder_that_another_process_has_outgrown(coder: Coder) -> None:
    thread_id = await thread(coder)
    told = await coder.run(thread_id, "open('a.txt', 'w').write('1')")
    made = told.shown.files[0].file_id

    def go_on_elsewhere(tx: Tx) -> None:
        session = find_code_session(tx, thread_id, "python")
        assert session is not None
        put_code_session(tx, CodeSession(**{**session.model_dump(), "holder": "another", "box_id": "elsewhere"}))
        (file,) = list_code_files(tx, thread_id, "python")
        put_code_files(tx, [CodeFile(**{**file.model_dump(), "path": "b.txt"})])

    store = coder.world.runtime.store
    await store.write(go_on_elsewhere)
    told = await coder.run(thread_id, answer="sandbox:/mnt/data/b.txt sandbox:/mnt/data/nowhere.txt")

    assert told.links == {"sandbox:/mnt/data/b.txt": made}
    session = await store.read(lambda tx: find_code_session(tx, thread_id, "python"))
    assert session is not None
    assert session.holder == "another"
    files = await store.read(lambda tx: list_code_files(tx, thread_id, "python"))
    assert {file.path: file.is_gone for file in files} == {"a.txt": False, "b.txt": False}


async def test_a_restart_finds_the_files_of_a_session_that_could_not_be_left(open_world: Open, tmp_path: Path) -> None:
    async with open_coder(open_world) as coder:
        thread_id = await thread(coder)
        await coder.run(thread_id, "open('a.txt', 'w').write('1')")
    async with open_coder(open_world) as coder:
        told = await coder.run(thread_id, "open('a.txt').read()", answer="sandbox:/mnt/data/a.txt")

        assert told.result.output.startswith("'1'\n[This is a new session")
        assert len(told.links) == 1


async def test_deleting_the_thread_ends_its_sandbox_and_forgets_its_files(coder: Coder) -> None:
    thread_id = await thread(coder)
    told = await coder.run(thread_id, "open('a.txt', 'w').write('1')")
    box = sandbox_of(coder, thread_id)
    assert box is not None
    await coder.world.runtime.threads.delete(coder.world.project, thread_id)

    async with asyncio.timeout(20):
        while box.is_alive:
            await asyncio.sleep(0.02)
    assert await coder.content(told.shown.files[0].file_id) == b"1"  # a File of its own, as in the API
    with pytest.raises(NotFoundError):
        await coder.run(thread_id, "1")


async def test_nothing_to_isolate_with_is_said_to_the_model_and_the_service_goes_on(
    open_world: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    async with open_coder(open_world, extra='[sandboxes.python]\ndriver = "docker"\n') as coder:
        thread_id = await thread(coder)
        told = await coder.run(thread_id, "1")

        assert told.run.status == "completed"
        assert told.result.error == "unavailable"
        assert told.result.output.startswith("No code sandbox available. Tried: docker (cannot connect to unix:///nowh")
        assert "run Docker or set DOCKER_HOST" in told.result.output
        assert told.shown.outputs == (Logs(told.result.output),)
        assert told.run.code is None
        assert (await coder.run(thread_id, answer="On we go.")).run.status == "completed"


async def test_another_process_of_the_fleet_takes_the_files_and_not_the_variables(
    open_world: Open, postgres_url: str
) -> None:
    extra = LOCAL + f'[runtime]\ndatabase = "{postgres_url}"\n'
    async with open_coder(open_world, extra=extra) as first:
        thread_id = await thread(first)
        await first.run(thread_id, "x = 1\nopen('a.txt', 'w').write('A')")
        async with open_coder(open_world, extra=extra) as second:
            await first.world.runtime.drain()
            told = await second.run(thread_id, "y = 2\nopen('a.txt').read(), 'x' in globals()")
            assert told.result.output.startswith("('A', False)\n[This is a new session")
            assert (await second.run(thread_id, "y", answer="sandbox:/mnt/data/a.txt")).result.output == "2"
