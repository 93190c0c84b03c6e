"""Bubblewrap: why it does not work where it does not, as whom it runs, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from agentrt.sandbox.bubblewrap import BubblewrapDriver
from agentrt.sandbox.bubblewrap_failure import why_not
from agentrt.sandbox.bubblewrap_view import Python, host_python
from agentrt.sandbox.driver import Available, Driver, Unavailable
from agentrt.secret import Secret
from tests.compat.performance import leave_out
from tests.sandbox.sessions import SPEC, open_session

NOBODY = 65534


@pytest.fixture
async def works() -> Driver:
    driver = BubblewrapDriver(SPEC)
    probe = await driver.probe()
    if isinstance(probe, Unavailable):
        leave_out(f"bubblewrap: {probe.why}: {probe.remedy}")
    return driver


class TestWhyNot:
    async def test_a_program_that_is_missing_is_named_with_its_package(self) -> None:
        probe = await BubblewrapDriver(SPEC, program="no-such-bwrap").probe()
        assert probe == Unavailable(why="no-such-bwrap not found", remedy="apt install bubblewrap")

    async def test_what_a_program_says_that_fails_is_the_reason(self, tmp_path: Path) -> None:
        program = tmp_path / "bwrap"
        program.write_text(
            "#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2\nexit 1\n"
        )
        program.chmod(0o755)
        probe = await BubblewrapDriver(SPEC, program=str(program)).probe()
        assert isinstance(probe, Unavailable)
        assert "Creating new namespace failed" in probe.why or "user namespaces" in probe.why

    @pytest.mark.parametrize(
        ("setting", "value", "why", "remedy"),
        [
            ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor", "kernel.apparmor_restrict"),
            ("kernel/unprivileged_userns_clone", "0", "disabled for ordinary", "kernel.unprivileged_userns_clone=1"),
            ("user/max_user_namespaces", "0", "disabled", "user.max_user_namespaces"),
        ],
    )
    def test_a_setting_of_the_kernel_is_named(
        self, tmp_path: Path, setting: str, value: str, why: str, remedy: str
    ) -> None:
        (tmp_path / setting).parent.mkdir()
        (tmp_path / setting).write_text(f"{value}\n")
        found = why_not("bwrap: setting up uid map: Permission denied", sysctls=tmp_path)
        assert why in found.why
        assert remedy in found.remedy

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ("bwrap: Unknown option --size", "too old"),
            ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "/proc"),
            ("bwrap: No permissions to create new namespace", "not allowed here"),
            ("bwrap: pivot_root: Operation not permitted", "not allowed here"),
            ("", "without a word"),
        ],
    )
    def test_other_reasons_are_told_by_what_it_says(self, tmp_path: Path, said: str, why: str) -> None:
        assert why in why_not(said, sysctls=tmp_path).why


async def test_secrets_of_the_environment_are_on_no_command_line(works: Driver) -> None:
    spec = msgspec.structs.replace(SPEC, environment={"TOKEN": Secret("shown-to-nobody-else")})
    async with open_session(BubblewrapDriver(spec)) as session:
        assert await session.value("__import__('os').environ['TOKEN']") == "'shown-to-nobody-else'"
        assert not [line for line in await asyncio.to_thread(_command_lines) if b"shown-to-nobody-else" in line]


def _command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            lines.append(path.read_bytes())
    return lines


async def test_each_sandbox_has_a_user_of_its_own(works: Driver) -> None:
    async with open_session(works) as one, open_session(works) as other:
        users = {await session.value("__import__('os').getuid()") for session in (one, other)}
    assert len(users) == 2
    assert not users & {"0", str(os.getuid())}


async def test_it_ends_with_the_process_that_started_it(works: Driver) -> None:
    code = (
        "import asyncio\n"
        "from agentrt.sandbox.bubblewrap import BubblewrapDriver\n"
        "from tests.sandbox.sessions import SPEC, open_session\n"
        "async def main():\n"
        "    async with open_session(BubblewrapDriver(SPEC)) as session:\n"
        "        print(session.box.box_id, flush=True)\n"
        "        await session.run('while True: pass', timeout_s=100)\n"
        "asyncio.run(main())\n"
    )
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert service.stdout is not None
    family = _family(int(await service.stdout.readline()))
    assert len(family) > 1
    service.kill()
    await service.wait()
    async with asyncio.timeout(10):
        while _any_alive(family):
            await asyncio.sleep(0.02)


def _any_alive(pids: list[int]) -> bool:
    return any(Path(f"/proc/{pid}").exists() for pid in pids)


def _family(pid: int) -> list[int]:
    """A process and its descendants, once the code in it runs."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


async def test_an_ordinary_user_can_use_it(works: Driver) -> None:
    python = _python_for_everybody()
    if os.geteuid() != 0:
        python = host_python()
    elif python is None:
        leave_out("there is no Python here that an ordinary user can read: apt install python3")
    assert python is not None
    said = await asyncio.to_thread(_as_nobody, python)
    assert str(said["probe"]).endswith("with user namespaces"), said
    assert said["result"] == ["2", "True", "Permission denied", "True"]


def _python_for_everybody() -> Python | None:
    executable = Path("/usr/bin/python3")
    for place in (executable.resolve(), *executable.resolve().parents):
        if not place.exists() or not place.stat().st_mode & stat.S_IXOTH:
            return None
    return Python(executable=executable, folders=())


def _as_nobody(python: Python) -> dict[str, object]:
    """What a forked process without root's rights finds: a fork, since it may not be able to read our modules."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork beside threads: only this one goes on, and it needs none of theirs
        pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, json.dumps(_probed_as_nobody(python)).encode())
        except BaseException as error:
            os.write(write_end, json.dumps({"probe": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        found: dict[str, object] = json.loads(answer.read())
    os.waitpid(pid, 0)
    return found


def _probed_as_nobody(python: Python) -> dict[str, object]:
    signal.alarm(30)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    async def ask() -> dict[str, object]:
        driver = BubblewrapDriver(SPEC, python=python)
        probe = await driver.probe()
        if not isinstance(probe, Available):
            return {"probe": f"{probe.why}: {probe.remedy}"}
        async with open_session(driver) as session:
            answers = [
                await session.value("1 + 1"),
                await session.value("__import__('os').getuid() >= 61184"),
                (await session.run("open('/proc/1/mem')")).said.rpartition("] ")[2].partition(":")[0],
                await session.value("open('/mnt/data/a', 'w').write('x') == 1"),
            ]
        return {"probe": probe.detail, "result": answers}

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(ask())
