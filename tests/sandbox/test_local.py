"""The folders of unisolated sandboxes: who leaves one behind, and who clears it away."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.local import LocalDriver
from agentrt.sandbox.process_box import ProcessBox
from agentrt.sandbox.sandbox import Sandbox

SPEC = SandboxSpec(name="python")
OWNER = """
import asyncio, sys, tempfile
from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.local import LocalDriver
from agentrt.sandbox.sandbox import Sandbox
async def main():
    tempfile.tempdir = sys.argv[1]
    spec = SandboxSpec(name="python")
    box = await Sandbox.start(LocalDriver(spec), spec)
    await box.put("left.txt", b"a file")
    print("ready", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def files_in(folder: Path) -> list[str]:
    """Those of all sandboxes."""
    return sorted(path.name for path in folder.glob("*/*"))


async def test_what_a_killed_process_has_left_goes_with_the_next_start_and_what_is_in_use_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = await Sandbox.start(LocalDriver(SPEC), SPEC)
    await other.put("kept.txt", b"in use")
    process = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed with a signal
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert files_in(tmp_path) == ["kept.txt", "left.txt"]
    new = await Sandbox.start(LocalDriver(SPEC), SPEC)
    assert files_in(tmp_path) == ["kept.txt"]
    await new.put("new.txt", b"mine")
    assert files_in(tmp_path) == ["kept.txt", "new.txt"]
    for sandbox in (other, new):
        await sandbox.close()
    assert files_in(tmp_path) == []


async def test_what_is_closed_by_two_at_once_gives_back_once_what_it_had() -> None:
    """What it gives back, a lock by its number or a user, may be another one's a moment later."""
    given_back: list[str] = []
    box = await ProcessBox.start(["sleep", "60"], environment={}, on_end=lambda: given_back.append("once"))
    await asyncio.gather(box.kill(), box.kill())
    await box.kill()
    assert given_back == ["once"]
    await box.channel.wait_ended()
