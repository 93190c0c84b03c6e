"""Webhooks over the database itself. Heavy: import it when it is needed."""

from __future__ import annotations

from typing import cast

from agentrt.cli.webhook_port import DeliveriesWanted
from agentrt.clock import SystemClock
from agentrt.config.schema import DEFAULT_PROJECT, Config
from agentrt.runtime.webhooks.desk import send_test
from agentrt.runtime.webhooks.endpoints import Endpoint, endpoints_of, own_endpoint
from agentrt.runtime.webhooks.outbox import redeliver
from agentrt.runtime.webhooks.sender import Sender
from agentrt.server.render.webhooks import render_delivery, render_delivery_details, render_test, render_webhook
from agentrt.store.database import Store
from agentrt.store.disabled_webhooks import enable_webhook, list_disabled_webhooks
from agentrt.store.pages import PageQuery
from agentrt.store.webhook_deliveries import DeliveryStatus, find_delivery, list_deliveries
from agentrt.wire.webhooks import DeliveryDetailsObject, DeliveryObject, WebhookObject, WebhookTestObject


class LocalWebhooks:
    """Reads and changes the rows. Only a test event is sent from here: everything else waits for a server."""

    has_senders = False

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._specs = config.webhooks
        self._clock = SystemClock()

    async def webhooks(self) -> list[WebhookObject]:
        return [render_webhook(endpoint) for endpoint in await self._endpoints()]

    async def deliveries(self, only: DeliveriesWanted, *, limit: int, after: str | None = None) -> list[DeliveryObject]:
        page = await self._store.read(
            lambda tx: list_deliveries(
                tx,
                DEFAULT_PROJECT,
                PageQuery(limit=limit, after=after),
                status=cast("DeliveryStatus | None", only.status),
                type=only.event_type,
                subject_id=only.run_id,
                webhook=only.webhook,
            )
        )
        return [render_delivery(delivery) for delivery in page.items]

    async def delivery(self, delivery_id: str) -> DeliveryDetailsObject:
        found = await self._store.read(lambda tx: find_delivery(tx, DEFAULT_PROJECT, delivery_id))
        return render_delivery_details(found)

    async def redeliver(self, delivery_id: str) -> DeliveryDetailsObject:
        now = self._clock.now()
        again, _ = await self._store.write(lambda tx: redeliver(tx, DEFAULT_PROJECT, delivery_id, self._specs, now=now))
        return render_delivery_details(again)

    async def test(self, name: str) -> WebhookTestObject:
        spec = own_endpoint(await self._endpoints(), name, DEFAULT_PROJECT).spec
        sender = Sender(clock=self._clock)
        try:
            return render_test(name, await send_test(spec, sender=sender, clock=self._clock))
        finally:
            await sender.close()

    async def enable(self, name: str) -> WebhookObject:
        own_endpoint(await self._endpoints(), name, DEFAULT_PROJECT)
        await self._store.write(lambda tx: enable_webhook(tx, name))
        return render_webhook(own_endpoint(await self._endpoints(), name, DEFAULT_PROJECT))

    async def _endpoints(self) -> list[Endpoint]:
        return endpoints_of(self._specs, await self._store.read(list_disabled_webhooks), DEFAULT_PROJECT)
