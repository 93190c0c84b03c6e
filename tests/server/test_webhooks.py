"""/webhooks: endpoints without their secrets, deliveries with what came back, and what a person can do about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentrt.testing.scripts import text
from tests.runtime.webhooks.receiver import BROKEN, SECRET, Receiver, Reply
from tests.server.api import Api, Json, open_api

KEYS = """
[[server.keys]]
name = "home"
key = "home-key-0123456789"
[[server.keys]]
name = "night"
key = "night-key-0123456789"
project = "night"
"""
HOME: dict[str, Any] = {"headers": {"Authorization": "Bearer home-key-0123456789"}}
NIGHT: dict[str, Any] = {"headers": {"Authorization": "Bearer night-key-0123456789"}}


@asynccontextmanager
async def told(folder: Path, more: str = "", *replies: Reply) -> AsyncGenerator[tuple[Api, Receiver], None]:
    async with Receiver(list(replies)) as receiver, open_api(folder, more + receiver.toml()) as api:
        yield api, receiver


async def complete(api: Api, **given: Any) -> Json:
    """A run that has completed."""
    api.model.add(text("Hello."))
    assistant = (await api.call("POST", "/assistants", {"model": "scripted"}, **given))["id"]
    body = {"assistant_id": assistant, "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    return await api.call("POST", "/threads/runs", body, **given)


async def settled(api: Api, n: int = 1, **given: Any) -> list[Json]:
    """The deliveries, once there are so many and each has been tried."""
    async with asyncio.timeout(20):
        while True:
            found: list[Json] = (await api.call("GET", "/webhooks/deliveries", **given))["data"]
            if len(found) == n and all(delivery["last_attempt"] for delivery in found):
                return found
            await asyncio.sleep(0.005)


async def test_endpoints_are_listed_without_their_secrets(tmp_path: Path) -> None:
    more = (
        '[[webhooks]]\nname = "hidden"\nurl = "https://a:pa55@example.com/x?token=t0ken"\nsecret = "${NOT_SET}"\n'
        'events = ["run.failed"]\nproject = "night"\n'
        '[[webhooks]]\nname = "still"\nurl = "https://example.com/"\nsecret = "0123456789abcdef"\nenabled = false\n'
    )
    async with told(tmp_path, more) as (api, receiver):
        page = await api.call("GET", "/webhooks")
        answer = str(page)
    assert page["has_more"] is False
    hidden, still, crm = page["data"]
    assert {**hidden, "why": hidden["why"].partition(" (")[0]} == {
        "id": "hidden",
        "object": "webhook_endpoint",
        "name": "hidden",
        "url": "https://example.com/x",
        "event_types": ["run.failed"],
        "project": "night",
        "status": "unavailable",
        "why": "NOT_SET is not set",
        "disabled_at": None,
    }
    assert (still["status"], still["why"]) == ("off", "switched off in agents.toml")
    assert (crm["status"], crm["why"], crm["url"], len(crm["event_types"])) == ("on", None, receiver.url, 6)
    for secret in (SECRET, "pa55", "t0ken", "0123456789abcdef"):
        assert secret not in answer


async def test_a_delivery_is_listed_and_shown_with_its_event_and_attempts(tmp_path: Path) -> None:
    async with told(tmp_path, "", BROKEN) as (api, receiver):
        run = await complete(api)
        [listed] = await settled(api)
        assert listed == {
            "id": listed["id"],
            "object": "webhook.delivery",
            "created_at": listed["created_at"],
            "webhook": "crm",
            "event_id": receiver.received[0].headers["webhook-id"],
            "event_type": "run.completed",
            "run_id": run["id"],
            "status": "pending",
            "n_attempts": 1,
            "next_attempt_at": listed["next_attempt_at"],
            "delivered_at": None,
            "failed_at": None,
            "last_attempt": listed["last_attempt"],
        }
        assert (listed["last_attempt"]["status_code"], listed["last_attempt"]["body"]) == (500, "out of order")
        shown = await api.call("GET", f"/webhooks/deliveries/{listed['id']}")
        assert shown == {**listed, "event": next(receiver.events()), "attempts": [listed["last_attempt"]]}


async def test_one_is_sent_again_by_hand(tmp_path: Path) -> None:
    async with told(tmp_path, "", BROKEN) as (api, receiver):
        await complete(api)
        [listed] = await settled(api)
        again = await api.call("POST", f"/webhooks/deliveries/{listed['id']}/redeliver")
        assert (again["status"], again["n_attempts"]) == ("pending", 0)
        await receiver.until(lambda: len(receiver.received) == 2)
        async with asyncio.timeout(20):
            while (shown := await api.call("GET", f"/webhooks/deliveries/{listed['id']}"))["status"] != "delivered":
                await asyncio.sleep(0.005)
        assert [attempt["status_code"] for attempt in shown["attempts"]] == [500, 200]
        assert shown["delivered_at"] >= shown["created_at"]
        await api.refused("POST", "/webhooks/deliveries/delivery_none/redeliver", status=404)


async def test_lists_are_paged_and_filtered(tmp_path: Path) -> None:
    async with told(tmp_path) as (api, _):
        runs = [await complete(api) for _ in range(3)]
        found = await settled(api, 3)
        first = await api.call("GET", "/webhooks/deliveries?limit=2")
        assert (first["data"], first["has_more"]) == (found[:2], True)
        rest = await api.call("GET", f"/webhooks/deliveries?limit=2&after={first['last_id']}")
        assert (rest["data"], rest["has_more"]) == (found[2:], False)
        for query, n in {
            "status=delivered": 3,
            "status=failed": 0,
            "event_type=run.completed&webhook=crm": 3,
            "event_type=run.failed": 0,
            f"run_id={runs[1]['id']}": 1,
            "webhook=nobody": 0,
        }.items():
            assert len((await api.call("GET", f"/webhooks/deliveries?{query}"))["data"]) == n, query
        # The place in a list of those that wait is not lost when one of them has arrived.
        assert (await api.call("GET", f"/webhooks/deliveries?status=pending&after={found[0]['id']}"))["data"] == []
        error = await api.refused("GET", "/webhooks/deliveries?status=lost")
        assert error["message"].startswith("Invalid value: 'lost'. Supported values are: 'pending', 'delivered'")


async def test_a_test_event_shows_what_came_back(tmp_path: Path) -> None:
    async with told(tmp_path, "", Reply(404, b"no such page")) as (api, receiver):
        answer = await api.call("POST", "/webhooks/crm/test")
        assert (answer["success"], answer["event_type"]) == (False, "webhook.test")
        assert (answer["attempt"]["status_code"], answer["attempt"]["body"]) == (404, "no such page")
        assert next(receiver.events())["type"] == "webhook.test"
        error = await api.refused("POST", "/webhooks/nobody/test", status=404)
        assert error["message"] == "No webhook found with id 'nobody'."


async def test_an_endpoint_that_is_gone_is_enabled_by_hand(tmp_path: Path) -> None:
    async with told(tmp_path, "", Reply(410)) as (api, _):
        await complete(api)
        [failed] = await settled(api)
        assert (failed["status"], failed["failed_at"] is not None) == ("failed", True)
        [webhook] = (await api.call("GET", "/webhooks"))["data"]
        assert (webhook["status"], webhook["why"]) == ("disabled", "it answered 410 Gone")
        assert webhook["disabled_at"] >= failed["created_at"]
        await api.refused("POST", f"/webhooks/deliveries/{failed['id']}/redeliver", status=400)
        assert (await api.call("POST", "/webhooks/crm/enable"))["status"] == "on"
        await api.call("POST", f"/webhooks/deliveries/{failed['id']}/redeliver")


async def test_a_key_sees_the_deliveries_of_its_project_only(tmp_path: Path) -> None:
    more = KEYS + '[[webhooks]]\nname = "homely"\nurl = "http://127.0.0.1:9/"\nsecret = "x"\nproject = "default"\n'
    async with told(tmp_path, more) as (api, _):
        await complete(api, **NIGHT)
        [delivery] = await settled(api, **NIGHT)
        assert (await api.call("GET", "/webhooks/deliveries", **HOME))["data"] == []
        await api.refused("GET", f"/webhooks/deliveries/{delivery['id']}", status=404, **HOME)
        names = [[w["name"] for w in (await api.call("GET", "/webhooks", **key))["data"]] for key in (HOME, NIGHT)]
        assert names == [["homely", "crm"], ["crm"]]
        await api.refused("POST", "/webhooks/homely/test", status=404, **NIGHT)
        await api.refused("POST", "/webhooks/crm/test", status=403, **NIGHT)
        await api.refused("GET", "/webhooks", status=401)


async def test_the_health_says_what_is_off_and_shows_no_secret(tmp_path: Path) -> None:
    more = '[[webhooks]]\nname = "hidden"\nurl = "https://example.com/x?token=t0ken"\nsecret = "${NOT_SET}"\n'
    async with told(tmp_path, more) as (api, _):
        health = (await api.client.get("http://test/healthz")).json()
        assert health["webhooks"]["crm"] == {"on": True, "why": None}
        assert health["webhooks"]["hidden"]["why"].startswith("NOT_SET is not set (")
        assert SECRET not in str(health)
        assert "t0ken" not in str(health)


@pytest.mark.parametrize("path", ["/webhooks/deliveries/delivery_1", "/webhooks/deliveries?after=delivery_1"])
async def test_what_is_not_there_is_a_404(api: Api, path: str) -> None:
    error = await api.refused("GET", path, status=404)
    assert error["message"] == "No webhook delivery found with id 'delivery_1'."
