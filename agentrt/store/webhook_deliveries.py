"""Webhook deliveries: one event for one endpoint, with every attempt to bring it there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import BigInteger, Index, bindparam, delete, select, text
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_one, fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

DeliveryStatus: TypeAlias = Literal["pending", "delivered", "failed"]

KIND: Final = "webhook_delivery"
"""The kind of a delivery's job; the job's subject is the delivery."""

_MAX_ATTEMPTS_KEPT: Final = 20
_EXPIRED_AT_ONCE: Final = 500
# In the words of the index: SQLite uses a partial one only for the same words.
_HAS_ENDED = text("ended_at IS NOT NULL")


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try. at: Unix seconds of its start. http_status, body: what came back, the body's beginning only.

    error: why nothing came back, or why nothing was sent.
    """

    at: float
    duration_ms: int = 0
    http_status: int | None = None
    body: str = ""
    error: str | None = None

    @property
    def is_success(self) -> bool:
        return self.http_status is not None and 200 <= self.http_status < 300


class WebhookDelivery(Record):
    """payload is the body as it is signed and sent, the same at every attempt. Times are Unix seconds.

    webhook: the endpoint's name in agents.toml. subject_id: the run that the event is about. job_id: the job that
    brings it there, None when it has ended. n_tries: since the schedule of retries began, anew with each redelivery.
    next_at: when it is tried (again), None when it has ended.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    webhook: str = Field(sa_type=ID_COLUMN)
    event_id: str = Field(sa_type=ID_COLUMN)
    type: str
    subject_id: str = Field(sa_type=ID_COLUMN)
    payload: str
    status: str = "pending"
    job_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    n_tries: int = 0
    next_at: float | None = None
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    attempts: list[JsonObject] = Field(default_factory=list, sa_type=JSON_COLUMN)

    @property
    def history(self) -> tuple[Attempt, ...]:
        """The attempts, oldest first; of very many the newest."""
        found: tuple[Attempt, ...] = msgspec.convert(self.attempts, tuple[Attempt, ...])
        return found


class WebhookDeliveryTable(WebhookDelivery, table=True):
    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("ix_webhook_delivery_project_created", "project", "created_at", "id"),
        Index("ix_webhook_delivery_project_status", "project", "status", "created_at", "id"),
        Index("ix_webhook_delivery_project_subject", "project", "subject_id", "created_at", "id"),
        Index("ix_webhook_delivery_ended", "ended_at", sqlite_where=_HAS_ENDED, postgresql_where=_HAS_ENDED),
    )


_table = table_of(WebhookDeliveryTable)
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_long_ended = Statement(
    select(_table.c.id).where(_table.c.ended_at < bindparam("before"), _HAS_ENDED).limit(bindparam("n"))
)
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_deliveries = listing(WebhookDelivery, _table, kind="webhook delivery", prefix="delivery_")


def insert_deliveries(tx: Tx, deliveries: Sequence[WebhookDelivery]) -> None:
    insert_records(tx, _insert, deliveries)


def find_delivery(tx: Tx, project: str, delivery_id: str) -> WebhookDelivery:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, WebhookDelivery, delivery_id, kind="webhook delivery", project=project)


def load_delivery(tx: Tx, delivery_id: str) -> WebhookDelivery | None:
    """A delivery by id alone, for whoever drives it: every project's."""
    return fetch_one(tx, _by_id, WebhookDelivery, {"id": delivery_id})


def list_deliveries(
    tx: Tx,
    project: str,
    query: PageQuery,
    *,
    status: DeliveryStatus | None = None,
    type: str | None = None,  # noqa: A002 - the event's own word
    subject_id: str | None = None,
    webhook: str | None = None,
) -> Page[WebhookDelivery]:
    """Deliveries of the project that fit every filter that is given."""
    filters = {"status": status, "type": type, "subject_id": subject_id, "webhook": webhook}
    given = {name: value for name, value in filters.items() if value is not None}
    # Whoever reads those that wait, page by page, must not lose the place because one of them has arrived.
    return fetch_page(
        tx, _deliveries, (_where(tuple(given)),), {"project": project, **given}, query, cursors=(_where(()),)
    )


def update_delivery(tx: Tx, delivery_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, delivery_id, changes)


def with_attempt(delivery: WebhookDelivery, attempt: Attempt) -> list[JsonObject]:
    """What its column `attempts` is after one more of them."""
    added: list[JsonObject] = [*delivery.attempts, msgspec.to_builtins(attempt)]
    return added[-_MAX_ATTEMPTS_KEPT:]


def expire_deliveries(tx: Tx, before: float) -> int:
    """Delete deliveries that ended before then, some hundred at a time. How many; 0 when there are no more."""
    ids = [row[0] for row in _long_ended.rows(tx, {"before": int(before), "n": _EXPIRED_AT_ONCE})]
    if ids:
        _delete.run_many(tx, [{"id": delivery_id} for delivery_id in ids])
    return len(ids)


def has_expired_deliveries(tx: Tx, before: float) -> bool:
    """Whether there is one that ended before then."""
    return _long_ended.first(tx, {"before": int(before), "n": 1}) is not None


@cache
def _where(names: tuple[str, ...]) -> Where:
    return (_table.c.project == bindparam("project"), *(_table.c[name] == bindparam(name) for name in names))
