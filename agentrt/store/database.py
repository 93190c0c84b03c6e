"""Store: the one door to the database. `write(fn)` and `read(fn)` run plain synchronous functions on a transaction.

fn must be re-runnable: it may be called again when the commit of its group, or the connection, fails.
Side effects outside the database go through `tx.after_commit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import JSON, Connection, MetaData, String
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

T = TypeVar("T")

log = logging.getLogger(__name__)

# JSON and not JSONB on PostgreSQL: what a caller sent comes back as it was, with its key order (models read schemas)
# and with `\u0000` in its texts. No query looks inside a document: a fact to search by gets a column.
JSON_COLUMN = JSON(none_as_null=True)
"""For documents that are replaced whole, never changed in place."""

# Ids break ties by their bytes, on every database: a locale's collation would put `b` before `C`.
ID_COLUMN = String().with_variant(String(collation="C"), "postgresql")
"""For ids, and whatever refers to them."""

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints need names that Alembic can find again when SQLite rebuilds a table."""


# A registry of our own: the application that agentrt is mounted in may have SQLModel tables called `message` too.
class Record(SQLModel, registry=registry(metadata=MetaData(naming_convention=NAMING))):
    """Base of every row's shape. A subclass with `table=True` declares the table."""


class Tx:
    """One transaction, as the functions of this package see it."""

    __slots__ = ("_after_commit", "conn", "dbapi")

    def __init__(self, conn: Connection) -> None:
        dbapi = conn.connection.dbapi_connection
        assert dbapi is not None
        self.conn = conn
        self.dbapi: DBAPIConnection = dbapi
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back on the event loop once this transaction is durable; not at all if it is not."""
        self._after_commit.append(callback)

    def committed(self) -> None:
        """The transaction is durable: for the drivers. What a callback raises is logged: nobody can undo the commit."""
        for callback in self._after_commit:
            try:
                callback()
            except Exception:
                log.exception("store.after_commit_failed")


async def wait_out(future: asyncio.Future[T]) -> None:
    """Wait until it is done, however often we are cancelled meanwhile. Only for what is known to end soon."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([future])


class Store(Protocol):
    """An open database. is_shared: other processes may work on it at the same time."""

    @property
    def is_shared(self) -> bool: ...

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run fn in a transaction and return its value once that is durable. What fn raises is raised, nothing kept.

        When the caller is cancelled, the write is durable or will never be by the time CancelledError comes out.
        Raises StoreError when the database does not take it.
        """
        ...

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run fn on a consistent view that includes every write that has returned. fn cannot write."""
        ...

    async def read_long(self, fn: Callable[[Tx], T]) -> T:
        """As read, for what may take tens of milliseconds: elsewhere than on the event loop, if the driver can."""
        ...

    async def close(self) -> None:
        """Finish the waiting writes and let go of the database. A second call does nothing."""
        ...


_encoder = msgspec.json.Encoder()


def dump_json(value: object) -> str:
    """JSON text for a JSON column."""
    return _encoder.encode(value).decode()


def load_json(text: str | bytes) -> object:
    """The inverse of dump_json."""
    return msgspec.json.decode(text)
