"""What `agentrt webhooks` needs, in this process or behind a server: one port, two ways through it.

What it gives are the API's own objects: both ways tell the same, and `--json` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agentrt.wire.webhooks import DeliveryDetailsObject, DeliveryObject, WebhookObject, WebhookTestObject


@dataclass(frozen=True, slots=True)
class DeliveriesWanted:
    """Which deliveries to list; None does not narrow."""

    status: str | None = None
    event_type: str | None = None
    run_id: str | None = None
    webhook: str | None = None


class WebhookDesk(Protocol):
    """Webhooks of the project `default`. has_senders: some process is there to send what is to be sent."""

    @property
    def has_senders(self) -> bool: ...

    async def webhooks(self) -> list[WebhookObject]: ...

    async def deliveries(self, only: DeliveriesWanted, *, limit: int, after: str | None = None) -> list[DeliveryObject]:
        """Newest first. after: the last id of the page before. Raises NotFoundError."""
        ...

    async def delivery(self, delivery_id: str) -> DeliveryDetailsObject:
        """Raises NotFoundError."""
        ...

    async def redeliver(self, delivery_id: str) -> DeliveryDetailsObject:
        """Raises NotFoundError, AgentrtError, CliError."""
        ...

    async def test(self, name: str) -> WebhookTestObject:
        """Send a test event now. Raises as redeliver does."""
        ...

    async def enable(self, name: str) -> WebhookObject:
        """Send to an endpoint again that had answered 410 Gone. Raises as redeliver does."""
        ...
