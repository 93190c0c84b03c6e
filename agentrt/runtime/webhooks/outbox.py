"""Outbox: events become deliveries, and deliveries become jobs, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentrt.config.schema import WebhookEvent, WebhookSpec
from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.run import Run
from agentrt.errors import InvalidRequestError
from agentrt.ids import new_id
from agentrt.runtime.webhooks.endpoints import disabled_since
from agentrt.runtime.webhooks.events import EventBody, encode_body, event_type, run_facts
from agentrt.store.database import Tx
from agentrt.store.disabled_webhooks import list_disabled_webhooks
from agentrt.store.jobs import Job, Ready, finish_job, insert_job, is_held
from agentrt.store.run_events import NumberedEvent
from agentrt.store.webhook_deliveries import (
    KIND,
    WebhookDelivery,
    find_delivery,
    insert_deliveries,
    update_delivery,
)


class Outbox:
    """Takes what is to be told. Without webhooks in agents.toml nothing is written and nothing is read."""

    def __init__(self, specs: Iterable[WebhookSpec], *, dispatcher: Dispatcher) -> None:
        self._specs = tuple(spec for spec in specs if spec.enabled)
        self._dispatcher = dispatcher

    def tell(self, tx: Tx, run: Run, events: Sequence[NumberedEvent], *, project: str, now: float) -> None:
        """Write the deliveries of what events say to webhooks: one for each event and endpoint.

        tx is the transaction that stores the events, under their fence: an event that is stored is told, and one that
        is not never happened. An endpoint that lacks its secret is told later; one that is switched off is not.
        """
        if not self._specs:
            return
        for numbered in events:
            type_ = event_type(numbered.event)
            if type_ is not None:
                self._tell(tx, run, type_, project=project, now=now)

    def _tell(self, tx: Tx, run: Run, type_: WebhookEvent, *, project: str, now: float) -> None:
        wanted = [spec for spec in self._specs if type_ in spec.events and spec.project in (None, project)]
        if not wanted:
            return
        disabled = list_disabled_webhooks(tx)
        event_id = new_id("evt")
        facts = run_facts(run, type_, project=project)
        payload = encode_body(EventBody(id=event_id, created_at=int(now), type=type_, data=facts))
        for spec in wanted:
            if disabled_since(spec, disabled) is None:
                delivery = WebhookDelivery(
                    id=new_id("delivery"),
                    project=project,
                    created_at=int(now),
                    webhook=spec.name,
                    event_id=event_id,
                    type=type_,
                    subject_id=run.spec.id,
                    payload=payload,
                    job_id=new_id("job"),
                    next_at=now,
                )
                insert_deliveries(tx, [delivery])
                self._dispatcher.submit(tx, _insert_job(tx, delivery, now=now))

    def redeliver(
        self, tx: Tx, project: str, delivery_id: str, specs: Iterable[WebhookSpec], *, now: float
    ) -> WebhookDelivery:
        """As `redeliver`, and somebody is told to bring it there."""
        delivery, ready = redeliver(tx, project, delivery_id, specs, now=now)
        if ready is not None:
            self._dispatcher.submit(tx, ready)
        return delivery


def redeliver(
    tx: Tx, project: str, delivery_id: str, specs: Iterable[WebhookSpec], *, now: float
) -> tuple[WebhookDelivery, Ready | None]:
    """Send an event again, or at once if it still waits: the same body under the same id, with a new schedule.

    Returns it with its job; None: it is on its way at this moment. The job is a new one, so that whoever drove the old
    one can write nothing any more. Raises NotFoundError, InvalidRequestError when its endpoint wants no more webhooks.
    """
    delivery = find_delivery(tx, project, delivery_id)
    spec = next((spec for spec in specs if spec.name == delivery.webhook), None)
    if spec is None:
        raise InvalidRequestError(f"agents.toml has no webhook {delivery.webhook} any more.")
    if not spec.enabled:
        raise InvalidRequestError(f"The webhook {spec.name} is switched off in agents.toml.")
    if disabled_since(spec, list_disabled_webhooks(tx)) is not None:
        raise InvalidRequestError(
            f"The webhook {spec.name} is disabled: its endpoint answered 410 Gone. Enable it before you send it more."
        )
    if delivery.job_id is not None:
        if is_held(tx, delivery.job_id):
            return delivery, None
        finish_job(tx, delivery.job_id)
    changes = {"status": "pending", "job_id": new_id("job"), "n_tries": 0, "next_at": now, "ended_at": None}
    update_delivery(tx, delivery_id, changes)
    again = find_delivery(tx, project, delivery_id)
    return again, _insert_job(tx, again, now=now)


def _insert_job(tx: Tx, delivery: WebhookDelivery, *, now: float) -> Ready:
    assert delivery.job_id is not None
    job = Job(
        id=delivery.job_id,
        kind=KIND,
        subject_id=delivery.id,
        project=delivery.project,
        ready_at=now,
        touched_at=now,
    )
    return insert_job(tx, job)
