"""/webhooks: what agents.toml tells whom, and how it went."""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query, query_parameter
from agentrt.server.render.webhooks import render_delivery, render_delivery_details, render_test, render_webhook
from agentrt.store.webhook_deliveries import DeliveryStatus, find_delivery, list_deliveries
from agentrt.wire.errors import unsupported_value
from agentrt.wire.pages import Page, read_filter, render_page
from agentrt.wire.webhooks import DeliveryDetailsObject, DeliveryObject, WebhookObject, WebhookTestObject

router = APIRouter(prefix="/v1/webhooks", tags=["Webhooks"], route_class=ApiRoute)

_STATUSES: tuple[DeliveryStatus, ...] = get_args(DeliveryStatus)
_FILTERS = (
    query_parameter("status", {"type": "string", "enum": list(_STATUSES)}, "Only deliveries in this state."),
    query_parameter("event_type", {"type": "string"}, "Only of events of this type."),
    query_parameter("run_id", {"type": "string"}, "Only of events of this run."),
    query_parameter("webhook", {"type": "string"}, "Only to the endpoint of this name."),
)


@router.get("")
@speaks(Speech(answer=Page[WebhookObject]))
async def list_webhooks(call: Call) -> Response:
    """List the webhooks of agents.toml that the project may see."""
    endpoints = await call.runtime.webhooks.endpoints(call.project)
    return answer(render_page([render_webhook(endpoint) for endpoint in endpoints], has_more=False))


@router.post("/{webhook}/test")
@speaks(Speech(answer=WebhookTestObject))
async def test_webhook(call: Call, webhook: str) -> Response:
    """Send a signed test event now, and say what came back."""
    return answer(render_test(webhook, await call.runtime.webhooks.test(call.project, webhook)))


@router.post("/{webhook}/enable")
@speaks(Speech(answer=WebhookObject))
async def enable_webhook(call: Call, webhook: str) -> Response:
    """Send to an endpoint again that had answered 410 Gone."""
    return answer(render_webhook(await call.runtime.webhooks.enable(call.project, webhook)))


@router.get("/deliveries")
@speaks(Speech(answer=Page[DeliveryObject], query=(*page_parameters(kind="delivery"), *_FILTERS)))
async def list_webhook_deliveries(call: Call) -> Response:
    """List deliveries, those that have ended two weeks long."""
    query = page_query(call)
    status = _status(call)
    type_, run_id, webhook = (read_filter(call.query, name) for name in ("event_type", "run_id", "webhook"))
    page = await call.runtime.store.read(
        lambda tx: list_deliveries(
            tx, call.project, query, status=status, type=type_, subject_id=run_id, webhook=webhook
        )
    )
    return answer_page(page, render_delivery)


@router.get("/deliveries/{delivery_id}")
@speaks(Speech(answer=DeliveryDetailsObject))
async def get_webhook_delivery(call: Call, delivery_id: str) -> Response:
    """Retrieve a delivery with its event and every attempt."""
    delivery = await call.runtime.store.read(lambda tx: find_delivery(tx, call.project, delivery_id))
    return answer(render_delivery_details(delivery))


@router.post("/deliveries/{delivery_id}/redeliver")
@speaks(Speech(answer=DeliveryDetailsObject))
async def redeliver_webhook(call: Call, delivery_id: str) -> Response:
    """Send an event again under the same id, or at once if it still waits for its next attempt."""
    delivery = await call.runtime.webhooks.redeliver(call.project, delivery_id)
    return answer(render_delivery_details(delivery))


def _status(call: Call) -> DeliveryStatus | None:
    given = read_filter(call.query, "status")
    for status in _STATUSES:
        if given == status:
            return status
    if given is not None:
        raise unsupported_value("status", got=given, supported=_STATUSES)
    return None
