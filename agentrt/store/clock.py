"""The time as the database's server sees it."""

from __future__ import annotations

from sqlalchemy import Float, cast, extract, func, select

from agentrt.store.database import Tx
from agentrt.store.statements import Statement

_time = Statement(select(cast(extract("epoch", func.clock_timestamp()), Float)))


def database_time(tx: Tx) -> float:
    """Unix seconds by PostgreSQL's clock, at this moment and not at the transaction's beginning."""
    row = _time.first(tx, {})
    assert row is not None
    return float(row[0])
