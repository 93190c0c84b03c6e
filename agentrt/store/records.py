"""Rows ↔ records: a record is a plain SQLModel; its table is a subclass of it with `table=True`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Table, bindparam, update

from agentrt.errors import NotFoundError
from agentrt.store.database import Record, Tx
from agentrt.store.statements import Statement

R = TypeVar("R", bound=Record)


def table_of(model: type[Record]) -> Table:
    """The table that a `table=True` class declares."""
    return Record.metadata.tables[str(model.__tablename__)]


def insert_records(tx: Tx, insert: Statement, records: Sequence[Record]) -> None:
    """Insert records, all of the table's shape. Raises sqlalchemy.exc.IntegrityError when a constraint forbids one."""
    if len(records) == 1:
        insert.run(tx, records[0].__dict__)
    elif records:
        insert.run_many(tx, [record.__dict__ for record in records])


def update_row(tx: Tx, table: Table, row_id: str, changes: Mapping[str, Any]) -> None:
    """Set the given columns of one row. Raises KeyError for a column that the table does not have."""
    if changes:
        values = {f"new_{name}": value for name, value in changes.items()}
        _update(table, tuple(sorted(changes))).run(tx, {**values, "row_id": row_id})


@lru_cache(maxsize=256)
def _update(table: Table, names: tuple[str, ...]) -> Statement:
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    return Statement(update(table).where(table.c.id == bindparam("row_id")).values(values))


def fetch_one(tx: Tx, statement: Statement, model: type[R], values: Mapping[str, Any]) -> R | None:
    """The first row as a record, or None."""
    row = statement.first(tx, values)
    return None if row is None else _records(model, statement.columns, [row])[0]


def fetch_owned(tx: Tx, by_id: Statement, model: type[R], row_id: str, *, kind: str, **owner: str) -> R:
    """The record with this id, if its columns named in `owner` have these values. Raises NotFoundError(kind).

    The database looks it up by id alone: given more, a planner may take the index of a thread with 10,000 rows.
    """
    found = fetch_one(tx, by_id, model, {"id": row_id})
    if found is None or any(found.__dict__[name] != value for name, value in owner.items()):
        raise NotFoundError(kind, row_id)
    return found


def fetch_all(tx: Tx, statement: Statement, model: type[R], values: Mapping[str, Any]) -> list[R]:
    """Every row as a record, in the statement's order."""
    return _records(model, statement.columns, statement.rows(tx, values))


def _records(model: type[R], columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> list[R]:
    # What model_construct does, at a fifth of its cost (a test compares the two): a row holds every field, and the
    # database holds what was validated when it went in.
    new, put = object.__new__, object.__setattr__
    fields = set(columns)
    records = []
    for row in rows:
        record = new(model)
        put(record, "__dict__", dict(zip(columns, row, strict=True)))
        put(record, "__pydantic_fields_set__", fields)
        put(record, "__pydantic_extra__", None)
        put(record, "__pydantic_private__", None)
        records.append(record)
    return records
