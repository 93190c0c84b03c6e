"""Webhooks over HTTP: a server that holds the database answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast
from urllib.parse import quote

from agentrt.cli.remote_api import PAGE, Api
from agentrt.cli.webhook_port import DeliveriesWanted
from agentrt.wire.webhooks import DeliveryDetailsObject, DeliveryObject, WebhookObject, WebhookTestObject


class RemoteWebhooks:
    """Reads and acts through the API."""

    has_senders = True

    def __init__(self, api: Api) -> None:
        self._api = api

    async def webhooks(self) -> list[WebhookObject]:
        return cast("list[WebhookObject]", (await self._api.call("GET", "/webhooks"))["data"])

    async def deliveries(self, only: DeliveriesWanted, *, limit: int, after: str | None = None) -> list[DeliveryObject]:
        asked = {**asdict(only), "after": after, "limit": min(limit, PAGE)}
        query = {name: value for name, value in asked.items() if value is not None}
        found: list[DeliveryObject] = []
        async for item in self._api.pages("/webhooks/deliveries", query):
            found.append(cast("DeliveryObject", item))
            if len(found) == limit:
                break
        return found

    async def delivery(self, delivery_id: str) -> DeliveryDetailsObject:
        answer = await self._api.call("GET", f"/webhooks/deliveries/{_quoted(delivery_id)}")
        return cast("DeliveryDetailsObject", answer)

    async def redeliver(self, delivery_id: str) -> DeliveryDetailsObject:
        answer = await self._api.call("POST", f"/webhooks/deliveries/{_quoted(delivery_id)}/redeliver")
        return cast("DeliveryDetailsObject", answer)

    async def test(self, name: str) -> WebhookTestObject:
        return cast("WebhookTestObject", await self._api.call("POST", f"/webhooks/{_quoted(name)}/test"))

    async def enable(self, name: str) -> WebhookObject:
        return cast("WebhookObject", await self._api.call("POST", f"/webhooks/{_quoted(name)}/enable"))


def _quoted(word: str) -> str:
    return quote(word, safe="")  # a person's word may be anything
