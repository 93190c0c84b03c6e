"""Endpoints and deliveries → the objects of the API."""

from __future__ import annotations

from typing import cast

import msgspec

from agentrt.runtime.webhooks.endpoints import Endpoint
from agentrt.runtime.webhooks.events import TEST_EVENT
from agentrt.store.webhook_deliveries import Attempt, DeliveryStatus, WebhookDelivery
from agentrt.wire.webhooks import (
    AttemptObject,
    DeliveryDetailsObject,
    DeliveryObject,
    EventObject,
    WebhookObject,
    WebhookTestObject,
)


def render_webhook(endpoint: Endpoint) -> WebhookObject:
    spec = endpoint.spec
    return {
        "id": spec.name,
        "object": "webhook_endpoint",
        "name": spec.name,
        "url": str(spec.url),
        "event_types": list(spec.events),
        "project": spec.project,
        "status": endpoint.state,
        "why": endpoint.why,
        "disabled_at": endpoint.disabled_at,
    }


def render_test(name: str, attempt: Attempt) -> WebhookTestObject:
    return {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": name,
        "event_type": TEST_EVENT,
        "success": attempt.is_success,
        "attempt": render_attempt(attempt),
    }


def render_attempt(attempt: Attempt) -> AttemptObject:
    return {
        "created_at": int(attempt.at),
        "duration_ms": attempt.duration_ms,
        "status_code": attempt.http_status,
        "body": attempt.body,
        "error": attempt.error,
    }


def render_delivery(delivery: WebhookDelivery) -> DeliveryObject:
    history = delivery.history
    return {
        "id": delivery.id,
        "object": "webhook.delivery",
        "created_at": delivery.created_at,
        "webhook": delivery.webhook,
        "event_id": delivery.event_id,
        "event_type": delivery.type,
        "run_id": delivery.subject_id,
        "status": cast("DeliveryStatus", delivery.status),
        "n_attempts": delivery.n_tries,
        "next_attempt_at": None if delivery.next_at is None else int(delivery.next_at),
        "delivered_at": delivery.ended_at if delivery.status == "delivered" else None,
        "failed_at": delivery.ended_at if delivery.status == "failed" else None,
        "last_attempt": render_attempt(history[-1]) if history else None,
    }


def render_delivery_details(delivery: WebhookDelivery) -> DeliveryDetailsObject:
    event: EventObject = msgspec.json.decode(delivery.payload)
    attempts = [render_attempt(attempt) for attempt in delivery.history]
    return {**render_delivery(delivery), "event": event, "attempts": attempts}
