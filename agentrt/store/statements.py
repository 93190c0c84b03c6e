"""Statement: SQL built and compiled once, then handed to the driver as text.

SQLAlchemy writes the SQL and knows the types of both engines; its execution layer is left out, because it costs five
times what SQLite itself needs for an insert (docs/decisions/0001-store-functions-on-core.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import JSON, Boolean, CompoundSelect, Delete, Dialect, Insert, Select, String, TypeDecorator, Update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from agentrt.errors import InvalidRequestError
from agentrt.store.database import Tx

Clause: TypeAlias = Select[Any] | CompoundSelect[Any] | Insert | Update | Delete
Convert: TypeAlias = Callable[[Any], Any]
Converts: TypeAlias = tuple[tuple[int, Convert], ...]
"""Which places of a row or of a list of parameters are converted, and how."""


class _Compiled:
    """A statement as one engine's driver takes it."""

    __slots__ = ("_constants", "_into", "_pick", "out_of", "sql")

    def __init__(self, clause: Clause, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        names = compiled.positiontup or []
        params = [compiled.binds[name] for name in names]
        self.sql = str(compiled)
        self.out_of = _converts(_out_of(column.type, dialect) for column in clause.exported_columns)
        self._into = _converts(_into(param.type, dialect) for param in params)
        self._constants = {name: param.value for name, param in zip(names, params, strict=True) if not param.required}
        self._pick = _picker(names)

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the driver's order and shape. Raises KeyError for one that is missing."""
        if self._constants:
            values = {**self._constants, **values}
        try:
            return _convert(self._pick(values), self._into)
        except UnicodeEncodeError:
            raise InvalidRequestError("A text is not valid Unicode: it has half of a surrogate pair.") from None


class Statement:
    """One statement with its parameters as `bindparam`s. columns: the names of what it returns, in order."""

    def __init__(self, clause: Clause) -> None:
        self._clause = clause
        self._compiled: dict[str, _Compiled] = {}
        self.columns = tuple(str(column.key) for column in clause.exported_columns)

    def rows(self, tx: Tx, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Every row, as plain values in the order of `columns`."""
        compiled = self._for(tx)
        rows: Sequence[Sequence[Any]] = _execute(tx, compiled.sql, compiled.parameters(values)).fetchall()
        if not compiled.out_of or not rows:
            return rows
        return [_convert(row, compiled.out_of) for row in rows]

    def first(self, tx: Tx, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row, or None."""
        rows = self.rows(tx, values)
        return rows[0] if rows else None

    def run(self, tx: Tx, values: Mapping[str, Any]) -> int:
        """Execute; how many rows it touched. Raises sqlalchemy.exc.IntegrityError when a constraint forbids it."""
        compiled = self._for(tx)
        return int(_execute(tx, compiled.sql, compiled.parameters(values)).rowcount)

    def run_many(self, tx: Tx, many: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each set of values, in one go."""
        compiled = self._for(tx)
        _execute(tx, compiled.sql, [compiled.parameters(values) for values in many], is_many=True)

    def _for(self, tx: Tx) -> _Compiled:
        dialect = tx.conn.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _Compiled(self._clause, dialect)
        return found


def run_text(tx: Tx, sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """Execute SQL that another library wrote for this very driver; its rows. Raises what a Statement raises."""
    cursor = _execute(tx, sql, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []


def _picker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: [values[name] for name in names]


def _into(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    """From our value to the driver's."""
    convert: Convert | None = type_.dialect_impl(dialect).bind_processor(dialect)
    kind = type_.impl_instance if isinstance(type_, TypeDecorator) else type_
    return _checked if convert is None and isinstance(kind, String) else convert


def _out_of(type_: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    """From the driver's value to ours: for JSON and truth values where the driver does not know them."""
    return type_.dialect_impl(dialect).result_processor(dialect, None) if isinstance(type_, JSON | Boolean) else None


def _checked(value: str | None) -> str | None:
    # PostgreSQL has no place for NUL in a text, SQLite has: refuse it on both, so that what works on one works on both.
    if value is not None:
        if "\0" in value:
            raise InvalidRequestError("A text has a NUL character, which cannot be stored here.")
        if not value.isascii():
            value.encode()
    return value


def _converts(found: Iterable[Convert | None]) -> Converts:
    return tuple((i, convert) for i, convert in enumerate(found) if convert is not None)


def _convert(row: Sequence[Any], converts: Converts) -> list[Any]:
    converted = list(row)
    for i, convert in converts:
        converted[i] = convert(converted[i])
    return converted


def _execute(tx: Tx, sql: str, values: Any, *, is_many: bool = False) -> DBAPICursor:
    cursor = tx.dbapi.cursor()
    errors = tx.conn.dialect.loaded_dbapi.Error
    try:
        if is_many:
            cursor.executemany(sql, values)
        else:
            cursor.execute(sql, values)
    except errors as error:
        # hide_parameters: what users wrote does not belong into logs.
        raise DBAPIError.instance(sql, None, error, errors, hide_parameters=True, dialect=tx.conn.dialect) from error
    return cursor
