"""The one thread that writes to a SQLite file, and its group commit.

Writes that wait together are committed together. One that fails takes nobody along: if it had changed nothing yet, it
is left out; if it had, the group is rolled back and the others run again without it, in their order. (No savepoints:
they would cost every write what few need.)
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from sqlalchemy import Connection, Engine

from agentrt.errors import StoreError
from agentrt.store.database import Tx, log

_GROUP_MAX = 256


class Job:
    """One write: its function, and the future that its caller waits for."""

    __slots__ = ("fn", "future")

    def __init__(self, fn: Callable[[Tx], Any], future: asyncio.Future[Any]) -> None:
        self.fn = fn
        self.future = future


class Outcome:
    """What became of a job. tx is None when nothing of it was kept."""

    __slots__ = ("error", "job", "tx", "value")

    def __init__(
        self, job: Job, *, tx: Tx | None = None, value: Any = None, error: BaseException | None = None
    ) -> None:
        self.job = job
        self.tx = tx
        self.value = value
        self.error = error


class SqliteWriter:
    """Takes jobs from an event loop and settles them there. translate: what a driver's error means to a caller."""

    def __init__(self, engine: Engine, translate: Callable[[BaseException], BaseException]) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = engine
        self._translate = translate
        self._waiting: deque[Job] = deque()
        self._news = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="agentrt-sqlite-writer", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Let the job wait for its turn. Raises StoreError after close."""
        with self._news:
            if self._is_closing:
                raise StoreError("The database is closed.")
            self._waiting.append(job)
            self._news.notify()

    def withdraw(self, job: Job) -> bool:
        """Take back a job that has not begun. False: it has, and will be settled."""
        with self._news:
            try:
                self._waiting.remove(job)
            except ValueError:
                return False
            return True

    async def close(self) -> None:
        """Do what waits, then end the thread."""
        with self._news:
            self._is_closing = True
            self._news.notify()
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        conn: Connection | None = None
        while group := self._next_group():
            outcomes: list[Outcome] = []
            try:
                conn = conn or self._engine.connect()
                _commit(conn, group, outcomes)
            except BaseException as error:
                # Not a job's error but the connection's. The thread must not die of it: the next group gets a new one.
                log.exception("store.writer_failed")
                _discard(conn)
                conn = None
                settled = {outcome.job for outcome in outcomes}
                outcomes += [Outcome(job, error=error) for job in group if job not in settled]
            for outcome in outcomes:
                if outcome.error is not None:
                    outcome.error = self._translate(outcome.error)
            try:
                self._loop.call_soon_threadsafe(_settle, outcomes)
            except RuntimeError:  # the loop was closed without us: nobody waits any more
                break
        _discard(conn)
        self._engine.dispose()

    def _next_group(self) -> list[Job]:
        """The jobs that wait now, or the first that comes; none when there will be no more."""
        with self._news:
            while not self._waiting and not self._is_closing:
                self._news.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP_MAX))]


def _commit(conn: Connection, group: list[Job], outcomes: list[Outcome]) -> None:
    """Run the jobs in order, in as few transactions as their failures allow; adds the outcomes that are final."""
    if not group:
        return
    raw = cast(sqlite3.Connection, conn.connection.driver_connection)
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        outcomes += [Outcome(job, error=error) for job in group]
        return
    attempt: list[Outcome] = []
    for place, job in enumerate(group):
        outcome, is_clean = _run(conn, raw, job)
        if not is_clean:
            _roll_back(raw)
            if len(group) == 1:
                outcomes.append(outcome)
            else:
                for part in (group[:place], [job], group[place + 1 :]):
                    _commit(conn, part, outcomes)
            return
        attempt.append(outcome)
    try:
        raw.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(raw)
        if len(group) == 1:
            outcomes.append(Outcome(group[0], error=error))
        else:
            for job in group:
                _commit(conn, [job], outcomes)
        return
    outcomes += attempt


def _run(conn: Connection, raw: sqlite3.Connection, job: Job) -> tuple[Outcome, bool]:
    """The job's outcome, and whether the transaction is still good: a job that failed has changed nothing in it."""
    n_changes = raw.total_changes
    tx = Tx(conn)
    try:
        outcome = Outcome(job, tx=tx, value=job.fn(tx))
    except BaseException as error:
        return Outcome(job, error=error), raw.in_transaction and raw.total_changes == n_changes
    if not raw.in_transaction:  # SQLite rolled it back (the disk is full, say), and the job did not mind
        return Outcome(job, error=sqlite3.OperationalError("the transaction was rolled back")), False
    return outcome, True


def _roll_back(raw: sqlite3.Connection) -> None:
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def _discard(conn: Connection | None) -> None:
    if conn is not None:
        with suppress(Exception):
            conn.invalidate()
            conn.close()


def _settle(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.tx is not None:
            outcome.tx.committed()
        future = outcome.job.future
        if future.cancelled():
            continue
        if outcome.error is None:
            future.set_result(outcome.value)
        elif isinstance(outcome.error, StopIteration):  # a future does not take one
            future.set_exception(RuntimeError(f"a write raised {outcome.error!r}"))
        else:
            future.set_exception(outcome.error)
