"""Endpoints that said that they want no more webhooks (410 Gone). Everything else about them stands in agents.toml."""

from __future__ import annotations

from functools import cache

from sqlalchemy import BigInteger, bindparam, delete, select
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import fetch_all, insert_records, table_of
from agentrt.store.statements import Statement


class DisabledWebhook(Record):
    """An endpoint as it was when it said so: one of the same name with another address is another one.

    url_hash: of its address, which may hold a secret.
    """

    name: str = Field(primary_key=True, sa_type=ID_COLUMN)
    url_hash: str
    disabled_at: int = Field(sa_type=BigInteger)


class DisabledWebhookTable(DisabledWebhook, table=True):
    __tablename__ = "disabled_webhook"


_table = table_of(DisabledWebhookTable)
_all = Statement(select(_table).order_by(_table.c.name))
_delete = Statement(delete(_table).where(_table.c.name == bindparam("name")))
_delete_older = Statement(
    delete(_table).where(_table.c.name == bindparam("name"), _table.c.url_hash != bindparam("url_hash"))
)


def list_disabled_webhooks(tx: Tx) -> list[DisabledWebhook]:
    """All of them; there are few."""
    return fetch_all(tx, _all, DisabledWebhook, {})


def disable_webhook(tx: Tx, disabled: DisabledWebhook) -> None:
    """Remember it; a second time changes nothing."""
    _delete_older.run(tx, {"name": disabled.name, "url_hash": disabled.url_hash})
    insert_records(tx, _put(tx.conn.dialect.name), [disabled])


def enable_webhook(tx: Tx, name: str) -> bool:
    """Forget it. False: it was not disabled."""
    return _delete.run(tx, {"name": name}) == 1


@cache
def _put(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_table).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_table).on_conflict_do_nothing())
