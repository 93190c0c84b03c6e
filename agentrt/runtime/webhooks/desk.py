"""Webhooks as callers see them: which endpoints there are, testing one, sending an event again."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.clock import Clock
from agentrt.config.schema import WebhookSpec
from agentrt.errors import InvalidRequestError
from agentrt.ids import new_id
from agentrt.runtime.webhooks.endpoints import Endpoint, endpoints_of, own_endpoint
from agentrt.runtime.webhooks.events import TEST_EVENT, EndpointFacts, EventBody, encode_body
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.runtime.webhooks.sender import Sender
from agentrt.store.database import Store, Tx
from agentrt.store.disabled_webhooks import enable_webhook, list_disabled_webhooks
from agentrt.store.webhook_deliveries import Attempt, WebhookDelivery, expire_deliveries, has_expired_deliveries


class Webhooks:
    """What callers do to webhooks."""

    def __init__(
        self, specs: Sequence[WebhookSpec], *, store: Store, clock: Clock, sender: Sender, outbox: Outbox
    ) -> None:
        self._specs = specs
        self._store = store
        self._clock = clock
        self._sender = sender
        self._outbox = outbox

    async def endpoints(self, project: str) -> list[Endpoint]:
        """The endpoints that the project may see, in the order of agents.toml."""
        return endpoints_of(self._specs, await self._store.read(list_disabled_webhooks), project)

    async def test(self, project: str, name: str) -> Attempt:
        """Send a test event at once, once, whatever the endpoint's state; it is stored nowhere.

        Raises NotFoundError, PermissionDeniedError, InvalidRequestError when it has no address or secret.
        """
        spec = own_endpoint(await self.endpoints(project), name, project).spec
        return await send_test(spec, sender=self._sender, clock=self._clock)

    async def enable(self, project: str, name: str) -> Endpoint:
        """Send to an endpoint again that had answered 410 Gone. Raises NotFoundError, PermissionDeniedError."""
        own_endpoint(await self.endpoints(project), name, project)
        await self._store.write(lambda tx: enable_webhook(tx, name))
        return own_endpoint(await self.endpoints(project), name, project)

    async def redeliver(self, project: str, delivery_id: str) -> WebhookDelivery:
        """Send an event again, or at once if it still waits. Raises as outbox.redeliver does."""

        def write(tx: Tx) -> WebhookDelivery:
            return self._outbox.redeliver(tx, project, delivery_id, self._specs, now=self._clock.now())

        return await self._store.write(write)

    async def delete_old(self, *, before: float) -> int:
        """Delete deliveries that ended before a time; how many there were."""
        n = 0
        while await self._store.read(lambda tx: has_expired_deliveries(tx, before)):
            n += await self._store.write(lambda tx: expire_deliveries(tx, before))
        return n


async def send_test(spec: WebhookSpec, *, sender: Sender, clock: Clock) -> Attempt:
    """Send a test event. Raises InvalidRequestError when the endpoint has no address or secret."""
    if spec.unavailable is not None:
        raise InvalidRequestError(f"The webhook {spec.name} cannot be tested: {spec.unavailable}.")
    event_id = new_id("evt")
    facts = EndpointFacts(id=spec.name)
    body = EventBody(id=event_id, created_at=int(clock.now()), type=TEST_EVENT, data=facts)
    return (await sender.send(spec, event_id=event_id, payload=encode_body(body))).attempt
