"""look: read a database beside whoever has it open, for a diagnosis that must not depend on that process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from agentrt.clock import Clock
from agentrt.store.database import Tx
from agentrt.store.location import locate
from agentrt.store.sqlite import sqlite_engine, store_error

T = TypeVar("T")


async def look(url: str, fn: Callable[[Tx], T], *, clock: Clock) -> T:
    """The value of fn on a consistent view. Takes no lock and writes nothing; the tables must be there.

    Raises StoreError.
    """
    place = locate(url)
    if isinstance(place, Path):
        return _look_into_file(place, fn)
    from agentrt.store.postgres import PostgresStore

    store = PostgresStore(place, clock=clock, pool_size=1)
    try:
        return await store.read(fn)
    finally:
        await store.close()


def _look_into_file(path: Path, fn: Callable[[Tx], T]) -> T:
    engine = sqlite_engine(path)
    try:
        with engine.connect() as conn:
            conn.exec_driver_sql("PRAGMA query_only=ON")
            conn.exec_driver_sql("BEGIN")
            try:
                return fn(Tx(conn))
            finally:
                conn.exec_driver_sql("COMMIT")
    except DBAPIError as error:
        raise store_error(error, path) from error
    finally:
        engine.dispose()
