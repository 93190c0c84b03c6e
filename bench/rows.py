"""Finished runs by the hundred thousand: the rows of one real run, copied by SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from agentrt.engine.run import Run
from agentrt.store.database import Record
from agentrt.store.messages import MessageTable
from agentrt.store.records import table_of
from agentrt.store.run_events import RunEventTable
from agentrt.store.run_steps import RunStepTable
from agentrt.store.runs import RunTable
from agentrt.store.threads import ThreadTable

RUNS_A_THREAD = 10
_SECONDS_BETWEEN = 3  # 200,000 runs in a week, which is less than what retention leaves

_TIMES = {"created_at", "completed_at", "ended_at", "active_at"}
_PLACES = {"pos", "turn_pos", "position", "next_pos"}


def copy_run(run_sql: Callable[[str], None], run: Run, *, n: int) -> None:
    """Copy a finished run n times, with its thread for every tenth. run_sql: runs one statement, on either database."""
    thread_id, run_id = run.spec.thread_id, run.spec.id
    _copy(run_sql, ThreadTable, f"id = '{thread_id}'", n=n // RUNS_A_THREAD)
    _copy(run_sql, RunTable, f"id = '{run_id}'", n=n)
    _copy(run_sql, MessageTable, f"thread_id = '{thread_id}'", n=n)
    _copy(run_sql, RunStepTable, f"run_id = '{run_id}'", n=n)
    _copy(run_sql, RunEventTable, f"run_id = '{run_id}'", n=n)


def run_sqlite(path: Path) -> Callable[[str], None]:
    """For copy_run, on a file that nobody has open."""

    def run_sql(sql: str) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute(sql)
        connection.close()

    return run_sql


def _copy(run_sql: Callable[[str], None], model: type[Record], which: str, *, n: int) -> None:
    table = table_of(model)
    names = [column.name for column in table.columns]
    columns, copies = (", ".join(f'"{name}"' for name in names), ", ".join(_copied(name) for name in names))
    numbers = f"WITH RECURSIVE number(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i < {n - 1})"
    run_sql(
        f'INSERT INTO "{table.name}" ({columns}) {numbers} SELECT {copies} FROM "{table.name}", number WHERE {which}'
    )


def _copied(name: str) -> str:
    """What stands in a column of the i-th copy."""
    if name in ("id", "run_id", "message_id"):
        return f"{name} || CAST(i AS TEXT)"
    if name == "thread_id":
        return f"{name} || CAST(i / {RUNS_A_THREAD} AS TEXT)"
    if name in _TIMES:
        return f"{name} - i * {_SECONDS_BETWEEN}"
    if name in _PLACES:
        return f"{name} + i % {RUNS_A_THREAD} * 100"
    return f'"{name}"'
