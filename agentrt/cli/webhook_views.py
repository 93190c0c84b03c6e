"""Webhooks and deliveries as people and scripts see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, get_args

from agentrt.cli.cells import clip, harmless
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.screen import Role, ago, duration
from agentrt.cli.tables import show_table
from agentrt.cli.webhook_port import DeliveriesWanted, WebhookDesk
from agentrt.clock import SystemClock
from agentrt.config.schema import WebhookEvent
from agentrt.errors import NotFoundError
from agentrt.wire.webhooks import (
    AttemptObject,
    DeliveryDetailsObject,
    DeliveryObject,
    WebhookObject,
    WebhookTestObject,
)

_PAGE: Final = 500
_SHOWN: Final = 5
_ANSWER: Final = 200
_PREFIX: Final = "delivery_"


def show_webhooks(invocation: Invocation, found: Sequence[WebhookObject]) -> None:
    """The list."""
    out, err = invocation.screens
    if invocation.is_json:
        out.line(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        err.line("no webhooks; [[webhooks]] in agents.toml makes one")
        return
    everything = set(get_args(WebhookEvent))
    cells = [
        (
            webhook["name"],
            webhook["status"] if webhook["why"] is None else f"{webhook['status']}: {webhook['why']}",
            "all" if set(webhook["event_types"]) == everything else ", ".join(webhook["event_types"]),
            webhook["project"] or "all",
            harmless(webhook["url"]),
        )
        for webhook in found
    ]
    heads = ("webhook", "state", "events", "projects", "address")
    show_table(out, heads, cells, roles=("strong", "plain", "dim", "dim", "plain"))


def show_deliveries(invocation: Invocation, found: Sequence[DeliveryObject], *, is_page_full: bool) -> None:
    """The list. is_page_full: there may be more."""
    out, err = invocation.screens
    if invocation.is_json:
        out.line(json.dumps(found, ensure_ascii=False))
        return
    if not found:
        err.line("no deliveries")
        return
    now = SystemClock().now()
    cells = [
        (
            delivery["id"],
            ago(delivery["created_at"], now),
            delivery["webhook"],
            delivery["event_type"],
            delivery["run_id"],
            _state(delivery, now),
        )
        for delivery in found
    ]
    heads = ("delivery", "created", "webhook", "event", "run", "state")
    show_table(out, heads, cells, roles=("plain", "dim", "strong", "plain", "dim", "plain"))
    if is_page_full:
        err.line(err.paint(f"more: agentrt webhooks deliveries --after {found[-1]['id']}", "dim"))


async def find_delivery(desk: WebhookDesk, text: str) -> DeliveryDetailsObject:
    """The delivery that text is the beginning of. Raises CliError for none and for several."""
    try:
        return await desk.delivery(text)
    except NotFoundError:
        prefix = text if text.startswith(_PREFIX) else f"{_PREFIX}{text}"
    found: list[str] = []
    after: str | None = None
    while True:
        page = await desk.deliveries(DeliveriesWanted(), limit=_PAGE, after=after)
        found += [delivery["id"] for delivery in page if delivery["id"].startswith(prefix)]
        if len(page) < _PAGE:
            break
        after = page[-1]["id"]
    if len(found) == 1:
        return await desk.delivery(found[0])
    if found:
        shown = found[:_SHOWN] + (["…"] if len(found) > _SHOWN else [])
        raise CliError("E208", f'"{text}" fits {len(found)} deliveries', details=shown, fix="type more of the id")
    raise CliError("E305", f"there is no delivery {text}", fix="agentrt webhooks deliveries lists them")


def print_delivery(invocation: Invocation, delivery: DeliveryDetailsObject) -> None:
    """What was to be told, and how it went."""
    out = invocation.out
    if invocation.is_json:
        out.line(json.dumps(delivery, ensure_ascii=False))
        return
    made = _time(delivery["created_at"])
    out.line(out.paint(f"{delivery['id']} · {delivery['webhook']} · {made}", "dim"))
    out.line(_state(delivery, SystemClock().now()))
    out.line()
    out.line(json.dumps(delivery["event"], ensure_ascii=False, indent=2))
    out.line()
    for number, attempt in enumerate(delivery["attempts"], start=1):
        role: Role = "ok" if _is_success(attempt) else "bad"
        took = duration(attempt["duration_ms"] / 1000)
        head = f"{number}  {_time(attempt['created_at'])}  {out.paint(_answer(attempt), role)}  {took}"
        out.line(head)
        if attempt["body"]:
            out.line(out.paint(f"   {clip(harmless(attempt['body']), _ANSWER)}", "dim"))


async def redeliver_all(invocation: Invocation, desk: WebhookDesk, texts: Sequence[str]) -> None:
    """Send deliveries again. Raises CliError, AgentrtError for the first that cannot be."""
    ids = [(await find_delivery(desk, text))["id"] for text in texts]
    again = [await desk.redeliver(delivery_id) for delivery_id in ids]
    if invocation.is_json:
        invocation.out.line(json.dumps(again, ensure_ascii=False))
        return
    when = "they are being sent" if desk.has_senders else "they are sent when agentrt serve runs"
    invocation.err.line(f"{', '.join(ids)}: {when if len(ids) > 1 else when.replace('they are', 'it is')}")


def show_test(invocation: Invocation, result: WebhookTestObject) -> None:
    """What came back. Raises CliError when it was no 2xx."""
    out, attempt = invocation.out, result["attempt"]
    if invocation.is_json:
        out.line(json.dumps(result, ensure_ascii=False))
    elif result["success"]:
        took = duration(attempt["duration_ms"] / 1000)
        out.line(f"{out.paint('ok', 'ok')}  {result['webhook_endpoint_id']} answered {_answer(attempt)} after {took}")
        if attempt["body"]:
            out.line(out.paint(f"    {clip(harmless(attempt['body']), _ANSWER)}", "dim"))
    if not result["success"]:
        body = clip(harmless(attempt["body"]), _ANSWER)
        raise CliError(
            "E506",
            f"{result['webhook_endpoint_id']} did not accept the test event",
            why=": ".join(filter(None, (_answer(attempt), body))),
            fix="docs/webhooks.md says what a receiver has to do",
        )


def show_enabled(invocation: Invocation, webhook: WebhookObject) -> None:
    """That it is told again what happens."""
    if invocation.is_json:
        invocation.out.line(json.dumps(webhook, ensure_ascii=False))
    else:
        invocation.err.line(
            f"{webhook['name']} is {webhook['status']}; agentrt webhooks test {webhook['name']} tries it"
        )


def _state(delivery: DeliveryObject, now: float) -> str:
    """`delivered 200 · 12 ms`, `pending, again in 5 min · 500`."""
    state: str = delivery["status"]
    if state == "pending" and delivery["next_attempt_at"] is not None:
        wait_s = delivery["next_attempt_at"] - now
        state = f"pending, {'again' if delivery['n_attempts'] else 'due'} {_in(wait_s)}"
    last = delivery["last_attempt"]
    return state if last is None else f"{state} · {_answer(last)} · {duration(last['duration_ms'] / 1000)}"


def _in(seconds: float) -> str:
    return f"in {duration(seconds)}" if seconds >= 1 else "now"


def _answer(attempt: AttemptObject) -> str:
    return harmless(attempt["error"] or str(attempt["status_code"]))


def _is_success(attempt: AttemptObject) -> bool:
    return 200 <= (attempt["status_code"] or 0) < 300


def _time(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
