"""Webhooks on the wire: the endpoints of agents.toml, deliveries and their attempts. Answers only.

The endpoint object has the platform's name and fields; deliveries are agentrt's own.
"""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class WebhookObject(TypedDict):
    """An endpoint. id and name are the same; url is without password and query.

    project: whose events it gets, null = every one's. status: `off` in agents.toml, `unavailable` when a variable is
    not set, `disabled` since it answered 410 Gone; why says it in words.
    """

    id: str
    object: Literal["webhook_endpoint"]
    name: str
    url: str
    event_types: list[str]
    project: str | None
    status: Literal["on", "off", "unavailable", "disabled"]
    why: str | None
    disabled_at: int | None


class AttemptObject(TypedDict):
    """One try. status_code is null when no answer came, error says why; body is the answer's beginning."""

    created_at: int
    duration_ms: int
    status_code: int | None
    body: str
    error: str | None


class WebhookTestObject(TypedDict):
    """What came of a test event."""

    object: Literal["webhook_endpoint.test"]
    webhook_endpoint_id: str
    event_type: str
    success: bool
    attempt: AttemptObject


class DeliveryObject(TypedDict):
    """One event for one endpoint. Times are Unix seconds; next_attempt_at is null when it has ended.

    n_attempts counts those since it was made or last sent again by hand.
    """

    id: str
    object: Literal["webhook.delivery"]
    created_at: int
    webhook: str
    event_id: str
    event_type: str
    run_id: str
    status: Literal["pending", "delivered", "failed"]
    n_attempts: int
    next_attempt_at: int | None
    delivered_at: int | None
    failed_at: int | None
    last_attempt: AttemptObject | None


class EventObject(TypedDict):
    """The body that is sent."""

    id: str
    object: Literal["event"]
    created_at: int
    type: str
    data: dict[str, str]


class DeliveryDetailsObject(DeliveryObject):
    """A delivery with the event itself and every attempt, the oldest first."""

    event: EventObject
    attempts: list[AttemptObject]
