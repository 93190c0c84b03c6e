"""The watch over a box's memory, with processes of which each takes a while to be asked."""

from __future__ import annotations

import importlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrt.sandbox.boot import kernel_folder

MB = 1024**2


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, as it is in the box."""
    monkeypatch.syspath_prepend(str(kernel_folder()))
    return importlib.import_module("agentrt_watch")


def looks(watching: Any, monkeypatch: pytest.MonkeyPatch, shares: list[int]) -> list[bool]:
    """What look after look says, until a count is finished."""
    n_counts = 0

    def slowly() -> Iterator[int]:
        nonlocal n_counts
        n_counts += 1
        for share in shares:
            time.sleep(0.02)
            yield share

    monkeypatch.setattr(watching, "resident_bytes", lambda: 1 << 40)
    monkeypatch.setattr(watching, "shares", slowly)
    watch = watching.MemoryWatch(100 * MB, "/nowhere")
    found: list[bool] = []
    while n_counts < 2 and not any(found):
        found.append(watch.is_too_much(is_busy=True))
    return found


def test_a_crowd_is_counted_in_looks_that_leave_time_for_other_things(
    watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = looks(watching, monkeypatch, [MB] * 20)
    assert not any(found)
    assert len(found) >= 5  # 20 processes of 20 ms each, 50 ms and one process a look, then the next count


def test_what_is_too_much_is_found_however_many_looks_it_takes(watching: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = looks(watching, monkeypatch, [1, 1, 1, 1, 1, 60 * MB, 1, 1, 1, 60 * MB, 1, 1])
    assert len(found) > 2
    assert found[-1]
    assert looks(watching, monkeypatch, [200 * MB, 1]) == [True]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_who_dies_while_a_count_goes_on_does_not_count_as_one_that_hides(
    watching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = importlib.import_module("agentrt_processes")
    child = subprocess.Popen(["sleep", "60"])
    stat = os.stat

    def refused(path: str) -> os.stat_result:  # as for a zombie and for who hides, where one is not root
        if path == f"/proc/{child.pid}/fd":
            raise PermissionError
        return stat(path)

    monkeypatch.setattr(processes, "_others", lambda: {child.pid})
    monkeypatch.setattr(processes.os, "stat", refused)
    assert sum(processes.shares()) > 100 * MB
    shares = processes.shares()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert sum(shares) == 0
    child.wait()
