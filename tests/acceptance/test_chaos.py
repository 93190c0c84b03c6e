"""The chaos test, short: processes killed and frozen, the database stopped, clocks set; nothing may be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest

from tests.acceptance.chaos.nursery import REPOSITORY
from tests.acceptance.chaos.play import DatabaseName, Settings, play

_environ = os.environ  # noqa: TID251 - the settings of this test, not of agentrt
N_RUNS = int(_environ.get("AGENTRT_CHAOS_RUNS", "40"))
SECONDS = float(_environ.get("AGENTRT_CHAOS_SECONDS", "15"))

_A_TEST = """
import time
from pathlib import Path
from tests.acceptance.chaos.fleet import free_port
from tests.acceptance.chaos.nursery import Nursery, StartModel
with Nursery() as nursery:
    print(nursery.start(StartModel(Path({folder!r}), free_port())), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("database", get_args(DatabaseName))
def test_runs_survive(database: DatabaseName, tmp_path: Path) -> None:
    settings = Settings(n_runs=N_RUNS, seconds=SECONDS, seed=4, n_customers=16, pause_s=(0.3, 1.5))
    report = play(database, tmp_path, settings)
    print(report)
    assert report.is_clean, str(report)


def test_nothing_outlives_a_test_that_is_killed(tmp_path: Path) -> None:
    test = subprocess.Popen(
        [sys.executable, "-c", _A_TEST.format(folder=str(tmp_path))], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    with test:
        assert test.stdout is not None
        pid = int(test.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # frozen ones too
        test.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the model's process is still there"
        time.sleep(0.02)
