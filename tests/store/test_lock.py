"""The lock beside a SQLite file: one process, and everybody can see which."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agentrt.errors import StoreError
from agentrt.store.lock import LockInfo, acquire_lock, lock_path, read_lock

HOLD = """
import sys
from pathlib import Path
from agentrt.store.lock import acquire_lock
lock = acquire_lock(Path(sys.argv[1]), url="http://127.0.0.1:8700")
print("held", flush=True)
sys.stdin.read()
"""


def test_nobody_holds_a_lock_that_was_never_taken(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "agentrt.db") is None


def test_whoever_looks_sees_who_holds_it_and_where_to_reach_them(tmp_path: Path) -> None:
    database = tmp_path / "agentrt.db"
    lock = acquire_lock(database, url="http://127.0.0.1:8700")
    assert read_lock(database) == LockInfo(os.getpid(), "http://127.0.0.1:8700")
    lock.release()
    lock.release()
    assert read_lock(database) is None
    acquire_lock(database).release()


def test_a_second_one_is_told_who_has_it(tmp_path: Path) -> None:
    database = tmp_path / "agentrt.db"
    lock = acquire_lock(database, url="http://127.0.0.1:8700")
    with pytest.raises(StoreError) as caught:
        acquire_lock(database)
    assert f"process {os.getpid()}, which answers at http://127.0.0.1:8700" in str(caught.value)
    lock.release()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    database = tmp_path / "agentrt.db"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert read_lock(database) == LockInfo(other.pid, "http://127.0.0.1:8700")
        with pytest.raises(StoreError, match=f"process {other.pid}"):
            acquire_lock(database)
        other.kill()
        other.wait()
    assert lock_path(database).exists()
    assert read_lock(database) is None
    acquire_lock(database).release()


def test_those_who_only_look_never_keep_anybody_from_taking_it(tmp_path: Path) -> None:
    database = tmp_path / "agentrt.db"
    acquire_lock(database).release()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            read_lock(database)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            acquire_lock(database).release()
    finally:
        is_over.set()
        for looker in lookers:
            looker.join()


def test_a_folder_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot make its lock file"):
        acquire_lock(tmp_path / "none" / "agentrt.db")
