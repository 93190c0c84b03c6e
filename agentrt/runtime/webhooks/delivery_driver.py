"""DeliveryDriver: brings deliveries to their endpoints. Each try is stored with what follows from it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agentrt.clock import Clock
from agentrt.config.schema import WebhookSpec
from agentrt.dispatch.ports import Dispatcher
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.webhooks.endpoints import disabled_since, url_hash
from agentrt.runtime.webhooks.lanes import Lanes
from agentrt.runtime.webhooks.retries import SCHEDULE_S, delay_s
from agentrt.runtime.webhooks.sender import Outcome, Sender
from agentrt.store.database import Store, Tx
from agentrt.store.disabled_webhooks import DisabledWebhook, disable_webhook, list_disabled_webhooks
from agentrt.store.jobs import Hold, fence, finish_job, mark_ready, rest_job
from agentrt.store.webhook_deliveries import (
    Attempt,
    DeliveryStatus,
    WebhookDelivery,
    load_delivery,
    update_delivery,
    with_attempt,
)

log = logging.getLogger(__name__)

_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class BegunDelivery:
    """A delivery under this process's epoch. spec: None when agents.toml does not name its endpoint (any more)."""

    hold: Hold
    delivery: WebhookDelivery
    spec: WebhookSpec | None


class DeliveryDriver:
    """Drives deliveries; see JobDriver.

    At least once: a process that dies between the answer and the commit leaves an event that is sent again.
    """

    def __init__(
        self,
        specs: Iterable[WebhookSpec],
        *,
        store: Store,
        dispatcher: Dispatcher,
        clock: Clock,
        sender: Sender,
        lanes: Lanes,
        schedule_s: Sequence[float] = SCHEDULE_S,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._sender = sender
        self._lanes = lanes
        self._schedule_s = schedule_s
        self._jitter = jitter

    def begin(self, tx: Tx, hold: Hold) -> BegunDelivery | None:
        """See JobDriver.begin."""
        delivery = load_delivery(tx, hold.subject_id)
        if delivery is None or delivery.job_id != hold.job_id:
            finish_job(tx, hold.job_id)
            return None
        spec = self._specs.get(delivery.webhook)
        if spec is not None and disabled_since(spec, list_disabled_webhooks(tx)) is not None:
            attempt = Attempt(at=self._clock.now(), error="not sent: the endpoint had answered 410 Gone")
            self._end(tx, hold, delivery, attempt, "failed")
            return None
        return BegunDelivery(hold, delivery, spec)

    async def drive(self, begun: BegunDelivery, interrupt: Interrupt) -> None:
        """See JobDriver.drive."""
        spec = begun.spec
        if interrupt.is_resting:
            return
        if spec is None or (why := spec.why_off) is not None:
            # A try like any other: another process, or this one after a restart, may know the endpoint.
            why = f"agents.toml has no webhook {begun.delivery.webhook}" if spec is None else why
            await self._conclude(begun, Outcome(Attempt(at=self._clock.now(), error=f"not sent: {why}")))
            return
        wait_s = self._lanes.enter(spec.name, now=self._clock.monotonic())
        if wait_s is not None:
            await self._store.write(lambda tx: self._put_off(tx, begun.hold, begun.delivery, wait_s))
            return
        began = self._clock.monotonic()
        try:
            outcome = await self._sender.send(spec, event_id=begun.delivery.event_id, payload=begun.delivery.payload)
        finally:
            self._lanes.leave(spec.name, took_s=self._clock.monotonic() - began)
        await self._conclude(begun, outcome)

    async def fail(self, hold: Hold, message: str) -> None:
        """See JobDriver.fail."""

        def write(tx: Tx) -> None:
            now = self._clock.now()
            fence(tx, hold.job_id, hold.epoch, now=now)
            delivery = load_delivery(tx, hold.subject_id)
            if delivery is None:
                finish_job(tx, hold.job_id)
            else:
                self._end(tx, hold, delivery, Attempt(at=now, error=message), "failed")

        await self._store.write(write)

    async def _conclude(self, begun: BegunDelivery, outcome: Outcome) -> None:
        """Store a try and what follows from it: it is delivered, tried again later, or given up."""
        hold, delivery, attempt = begun.hold, begun.delivery, outcome.attempt
        n_tries = delivery.n_tries + 1
        wait_s = delay_s(n_tries, jitter=self._jitter(), wish_s=outcome.wish_s, schedule_s=self._schedule_s)
        is_gone = attempt.http_status == _GONE

        def write(tx: Tx) -> None:
            fence(tx, hold.job_id, hold.epoch, now=self._clock.now())
            if begun.spec is not None and is_gone:
                now = int(self._clock.now())
                gone = DisabledWebhook(name=begun.spec.name, url_hash=url_hash(begun.spec), disabled_at=now)
                disable_webhook(tx, gone)
            if attempt.is_success:
                self._end(tx, hold, delivery, attempt, "delivered")
            elif is_gone or wait_s is None:
                self._end(tx, hold, delivery, attempt, "failed")
            else:
                changes = {"n_tries": n_tries, "attempts": with_attempt(delivery, attempt)}
                update_delivery(tx, delivery.id, changes)
                self._put_off(tx, hold, delivery, wait_s)

        await self._store.write(write)
        facts = {"delivery": delivery.id, "webhook": delivery.webhook, "type": delivery.type, "try": n_tries}
        facts |= {"status": attempt.http_status, "ms": attempt.duration_ms}
        if attempt.is_success:
            log.info("webhook.delivered", extra=facts)
        elif is_gone or wait_s is None:
            log.error("webhook.disabled" if is_gone else "webhook.given_up", extra=facts)
        else:
            log.warning("webhook.failed", extra={**facts, "retry_in_s": round(wait_s)})

    def _put_off(self, tx: Tx, hold: Hold, delivery: WebhookDelivery, wait_s: float) -> None:
        """Let go of the delivery until then. Raises FencedError."""
        at = self._clock.now() + wait_s
        mark_ready(tx, hold.job_id, at=at)
        ready = rest_job(tx, hold)
        update_delivery(tx, delivery.id, {"next_at": at})
        if ready is not None:
            self._dispatcher.submit(tx, ready, delay_s=wait_s)

    def _end(self, tx: Tx, hold: Hold, delivery: WebhookDelivery, attempt: Attempt, status: DeliveryStatus) -> None:
        changes = {
            "status": status,
            "job_id": None,
            "n_tries": delivery.n_tries + 1,
            "next_at": None,
            "ended_at": int(self._clock.now()),
            "attempts": with_attempt(delivery, attempt),
        }
        update_delivery(tx, delivery.id, changes)
        finish_job(tx, hold.job_id)
