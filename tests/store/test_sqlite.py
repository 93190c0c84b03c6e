"""SqliteStore when things go wrong: a full disk, a locked or foreign file, a dead connection, cancelled callers."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agentrt.errors import StoreError
from agentrt.store.database import Tx
from agentrt.store.pages import PageQuery
from agentrt.store.sqlite import SqliteStore, create_file
from agentrt.store.threads import Thread, find_thread, insert_thread, list_threads
from tests.contracts.rows import HOME, a_thread, put_thread


@pytest.fixture
async def store(sqlite_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(sqlite_path)
    yield opened
    await opened.close()


async def n_threads(store: SqliteStore) -> int:
    page = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(limit=100)))
    return len(page.items)


def inserting(thread: Thread) -> Callable[[Tx], None]:
    return lambda tx: insert_thread(tx, thread)


class Gate:
    """A write that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self._is_open = threading.Event()

    def __call__(self, tx: Tx) -> None:
        put_thread(tx)
        self.has_begun.set()
        assert self._is_open.wait(10)

    def open(self) -> None:
        self._is_open.set()


@pytest.fixture
async def gate(store: SqliteStore) -> AsyncIterator[Gate]:
    """The writer is in the middle of this write; what is written now waits behind it."""
    gate = Gate()
    writing = asyncio.ensure_future(store.write(gate))
    await asyncio.to_thread(gate.has_begun.wait, 10)
    yield gate
    gate.open()
    await asyncio.gather(writing, return_exceptions=True)


# The writer ----------------------------------------------------------------------------------------------------------


async def test_reads_go_on_while_the_writer_is_in_a_transaction(store: SqliteStore, gate: Gate) -> None:
    assert await n_threads(store) == 0
    gate.open()
    await store.write(put_thread)
    assert await n_threads(store) == 2


async def test_a_read_sees_one_moment_although_a_write_commits_in_the_middle_of_it(store: SqliteStore) -> None:
    def read(tx: Tx) -> tuple[int, int]:
        before = len(list_threads(tx, HOME, PageQuery()).items)
        gate.open()
        for _ in range(1000):
            if done.wait(0.01):
                break
        return before, len(list_threads(tx, HOME, PageQuery()).items)

    gate, done = Gate(), threading.Event()

    def write(tx: Tx) -> None:
        gate(tx)
        # Commits right after this; the read goes on then.
        threading.Timer(0.05, done.set).start()

    writing = asyncio.ensure_future(store.write(write))
    await asyncio.to_thread(gate.has_begun.wait, 10)
    assert await store.read(read) == (0, 0)
    await writing
    assert await n_threads(store) == 1


async def test_a_write_that_was_cancelled_before_its_turn_never_runs(store: SqliteStore, gate: Gate) -> None:
    runs: list[str] = []
    waiting = asyncio.ensure_future(store.write(lambda tx: runs.append("ran")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open()
    await store.write(put_thread)
    assert runs == []


async def test_a_write_that_is_cancelled_in_the_middle_ends_before_its_caller_does(store: SqliteStore) -> None:
    gate = Gate()
    writing = asyncio.ensure_future(store.write(gate))
    await asyncio.to_thread(gate.has_begun.wait, 10)
    for _ in range(3):
        writing.cancel()
        await asyncio.sleep(0.01)
        assert not writing.done()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await n_threads(store) == 1


async def test_writes_that_wait_together_are_one_transaction(store: SqliteStore, gate: Gate, sqlite_path: Path) -> None:
    writes = [asyncio.ensure_future(store.write(inserting(a_thread()))) for _ in range(50)]
    await asyncio.sleep(0)
    changes = sqlite3.connect(sqlite_path)
    before = changes.execute("PRAGMA data_version").fetchone()
    gate.open()
    await asyncio.gather(*writes)
    assert changes.execute("PRAGMA data_version").fetchone() != before
    changes.close()
    assert await n_threads(store) == 51


async def test_the_writer_lives_on_when_its_connection_breaks(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    def break_it(tx: Tx) -> None:
        put_thread(tx)
        tx.conn.connection.driver_connection.close()  # type: ignore[union-attr]

    results = await asyncio.gather(
        store.write(put_thread), store.write(break_it), store.write(put_thread), return_exceptions=True
    )
    assert isinstance(results[1], Exception)
    await store.write(put_thread)
    # Whatever the broken group told its callers is true.
    kept = [result for result in results if isinstance(result, Thread)]
    assert await n_threads(store) == len(kept) + 1
    assert "store.writer_failed" in caplog.text


async def test_a_write_that_swallows_the_loss_of_its_transaction_is_not_taken_for_done(store: SqliteStore) -> None:
    def swallow(tx: Tx) -> str:
        put_thread(tx)
        tx.dbapi.cursor().execute("ROLLBACK")
        return "all fine"

    writes = (store.write(put_thread), store.write(swallow), store.write(put_thread), store.write(put_thread))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [Thread, sqlite3.OperationalError, Thread, Thread]
    assert await n_threads(store) == 3


async def test_a_keyboard_interrupt_in_a_write_reaches_its_caller_only(store: SqliteStore) -> None:
    class Stop(BaseException):
        pass

    def stop(tx: Tx) -> None:
        put_thread(tx)
        raise Stop

    results = await asyncio.gather(
        store.write(put_thread), store.write(stop), store.write(put_thread), return_exceptions=True
    )
    assert [type(result) for result in results] == [Thread, Stop, Thread]


def test_a_loop_that_was_closed_without_the_store_ends_the_writer(sqlite_path: Path) -> None:
    async def open_and_go() -> None:
        store = SqliteStore(sqlite_path)
        gate = Gate()
        asyncio.get_running_loop().call_soon(gate.open)
        writing = asyncio.ensure_future(store.write(put_thread))
        await asyncio.sleep(0)
        writing.cancel()

    before = set(threading.enumerate())
    asyncio.run(open_and_go())
    for thread in set(threading.enumerate()) - before:
        assert thread.daemon


# The disk ------------------------------------------------------------------------------------------------------------


async def limit_pages(store: SqliteStore, n: int | None) -> None:
    """Let the file have n pages more than now, and no limit with None."""

    def limit(tx: Tx) -> None:
        cursor = tx.dbapi.cursor()
        cursor.execute("PRAGMA page_count")
        ((pages,),) = cursor.fetchall()
        cursor.execute(f"PRAGMA max_page_count = {pages + n if n is not None else 1_000_000}")

    await store.write(limit)


async def test_a_full_disk_is_an_error_that_says_so_and_the_store_goes_on(store: SqliteStore) -> None:
    def big(tx: Tx) -> Thread:
        return put_thread(tx, tool_resources={"x": "y" * 500_000})

    kept = await store.write(put_thread)
    await limit_pages(store, 5)
    writes = (store.write(put_thread), store.write(big), store.write(put_thread))
    first, too_big, last = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(too_big, StoreError)
    assert "disk is full" in str(too_big)
    assert isinstance(first, Thread)
    assert isinstance(last, Thread)

    await limit_pages(store, None)
    await store.write(big)
    assert await store.read(lambda tx: find_thread(tx, HOME, kept.id)) == kept
    assert await n_threads(store) == 4


# Opening -------------------------------------------------------------------------------------------------------------


async def test_a_file_that_is_not_sqlite_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StoreError, match="not a SQLite database"):
        SqliteStore(path)
    assert path.read_text() == "Dear diary, " * 100


@pytest.fixture
def damaged_path(sqlite_path: Path) -> Path:
    data = bytearray(sqlite_path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    sqlite_path.write_bytes(data)
    return sqlite_path


async def test_a_damaged_file_is_an_error_that_says_so(damaged_path: Path) -> None:
    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(damaged_path)


@pytest.fixture
def read_only_path(sqlite_template: Path) -> Iterator[Path]:
    """A database that others may read and nobody may write."""
    with tempfile.TemporaryDirectory(prefix="agentrt-ro-") as name:
        path = Path(shutil.copy(sqlite_template, Path(name) / "agentrt.db"))
        path.chmod(0o444)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


@pytest.fixture
def as_nobody(read_only_path: Path) -> Iterator[None]:
    """Root may write anywhere; these tests are about who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.usefixtures("as_nobody")
async def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(read_only_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        create_file(read_only_path.parent / "new" / "agentrt.db")
    assert "Permission denied" in str(caught.value)
    assert "fix:" in str(caught.value)


@pytest.mark.usefixtures("as_nobody")
async def test_a_file_that_cannot_be_written_is_an_error_that_says_so(read_only_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be (written|opened)"):
        create_file(read_only_path)
    with pytest.raises(StoreError, match=r"cannot be (written|opened)"):
        SqliteStore(read_only_path)


async def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    create_file(tmp_path / "deep" / "er" / "agentrt.db")
    assert stat.S_IMODE((tmp_path / "deep" / "er" / "agentrt.db").stat().st_mode) == 0o600


async def test_a_file_that_another_program_has_locked_is_an_error_that_says_so(
    store: SqliteStore, sqlite_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await store.write(lambda tx: tx.conn.exec_driver_sql("PRAGMA busy_timeout = 20").close())
    other = sqlite3.connect(sqlite_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writes = [store.write(put_thread) for _ in range(20)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(result, StoreError) and "locked" in str(result) for result in results)
    other.execute("ROLLBACK")
    other.close()
    await store.write(put_thread)
    assert await n_threads(store) == 1
    assert caplog.text == ""
