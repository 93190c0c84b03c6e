"""Deliveries survive: they are tried again, taken up again, given up, disabled, sent again by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from agentrt.clock import SystemClock
from agentrt.errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from agentrt.secret import Secret
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import take_job, waiting_jobs
from agentrt.store.postgres import PostgresStore
from agentrt.store.sqlite import SqliteStore
from agentrt.store.webhook_deliveries import load_delivery
from tests.runtime.webhooks.post import PROJECT, open_post
from tests.runtime.webhooks.receiver import Receiver, Reply


@pytest.fixture(params=["sqlite_path", "postgres_url"], ids=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Path | str:
    found: Path | str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def store(place: Path | str) -> AsyncIterator[Store]:
    opened = SqliteStore(place) if isinstance(place, Path) else PostgresStore(place, clock=SystemClock())
    yield opened
    await opened.close()


async def test_what_fails_is_tried_again_with_the_same_body_and_id(store: Store) -> None:
    failures = [Reply(500, b"broken"), Reply(302), Reply(hangs_up=True)]
    async with Receiver(failures) as receiver, open_post(store, receiver.spec()) as post:
        await post.tell()
        [delivery] = await post.ended()
        assert (delivery.status, delivery.n_tries, delivery.job_id) == ("delivered", 4, None)
        seen = [(attempt.http_status, attempt.body or attempt.error) for attempt in delivery.history]
        closed = "the connection was closed before an answer came"
        assert seen == [(500, "broken"), (302, "ok"), (None, closed), (200, "ok")]
        starts = [attempt.at for attempt in delivery.history]
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert all(gap >= wait for gap, wait in zip(gaps, (0.01, 0.02, 0.04), strict=True))
        assert len({received.body for received in receiver.received}) == 1
        assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
        assert len(list(receiver.events())) == 4


async def test_after_the_last_try_it_is_given_up_and_can_be_sent_again_by_hand(store: Store) -> None:
    async with Receiver([Reply(500)] * 4) as receiver, open_post(store, receiver.spec()) as post:
        await post.tell()
        [given_up] = await post.ended()
        assert (given_up.status, given_up.n_tries, given_up.next_at) == ("failed", 4, None)
        assert await store.read(lambda tx: waiting_jobs(tx, now=1e12)) == (0, None)

        again = await post.webhooks.redeliver(PROJECT, given_up.id)
        assert (again.status, again.n_tries, again.ended_at) == ("pending", 0, None)
        [delivery] = await post.ended()
        assert (delivery.status, len(delivery.history), delivery.event_id) == ("delivered", 5, given_up.event_id)
        await post.webhooks.redeliver(PROJECT, delivery.id)
        await receiver.until(lambda: len(receiver.received) == 6)
        with pytest.raises(NotFoundError):
            await post.webhooks.redeliver("another", delivery.id)


async def test_one_that_waits_for_its_next_try_is_sent_at_once_when_asked_for(store: Store) -> None:
    async with Receiver([Reply(500)]) as receiver, open_post(store, receiver.spec(), schedule_s=(3600,)) as post:
        await post.tell()
        [waiting] = await post.until(lambda delivery: delivery.n_tries == 1)
        assert waiting.next_at is not None
        assert waiting.next_at > SystemClock().now() + 3000
        await post.webhooks.redeliver(PROJECT, waiting.id)
        [delivery] = await post.ended()
        assert [attempt.http_status for attempt in delivery.history] == [500, 200]


async def test_one_that_is_on_its_way_is_not_sent_twice(store: Store) -> None:
    answer = asyncio.Event()
    async with Receiver([Reply(before=answer)]) as receiver, open_post(store, receiver.spec()) as post:
        [delivery_id] = await post.tell()
        await receiver.until(lambda: len(receiver.received) == 1)
        await post.webhooks.redeliver(PROJECT, delivery_id)
        answer.set()
        [delivery] = await post.ended()
        assert (delivery.status, len(delivery.history), len(receiver.received)) == ("delivered", 1, 1)


async def test_a_receiver_decides_how_long_it_is_left_alone(store: Store) -> None:
    busy = Reply(429, headers=(("retry-after", "7200"),))
    async with Receiver([busy]) as receiver, open_post(store, receiver.spec()) as post:
        await post.tell()
        [delivery] = await post.until(lambda delivery: delivery.n_tries == 1)
        assert delivery.next_at is not None
        assert 7000 < delivery.next_at - SystemClock().now() <= 7200


async def test_gone_disables_the_endpoint_until_it_is_enabled_or_moved(store: Store) -> None:
    async with Receiver([Reply(500), Reply(410)]) as receiver:
        spec = receiver.spec()
        async with open_post(store, spec, schedule_s=(0.2,)) as post:
            await post.tell()
            await receiver.until(lambda: len(receiver.received) == 1)
            await post.tell()
            gone_first, gone_second = await post.ended()
            assert [attempt.http_status for attempt in gone_second.history] == [410]
            assert gone_first.history[-1].error == "not sent: the endpoint had answered 410 Gone"
            [endpoint] = await post.webhooks.endpoints(PROJECT)
            assert (endpoint.state, endpoint.why) == ("disabled", "it answered 410 Gone")
            assert await post.tell() == []
            with pytest.raises(InvalidRequestError, match="Enable it before"):
                await post.webhooks.redeliver(PROJECT, gone_first.id)
            assert len(receiver.received) == 2

            with pytest.raises(PermissionDeniedError, match="only in the project 'default'"):
                await post.webhooks.enable("night", "crm")
            assert (await post.webhooks.enable(PROJECT, "crm")).state == "on"
            assert len(await post.tell()) == 1
            await receiver.until(lambda: len(receiver.received) == 3)
            receiver.replies = [Reply(410)]
            await post.tell()
            await post.ended()

        moved = replace(spec, url=Secret(f"{receiver.url}/elsewhere"))
        async with open_post(store, moved) as post:
            assert [endpoint.state for endpoint in await post.webhooks.endpoints(PROJECT)] == ["on"]
            await post.tell()
            await receiver.until(lambda: receiver.received[-1].path == "/hook/elsewhere")
            receiver.replies = [Reply(410)]
            await post.tell()
            await post.ended()
            assert [endpoint.state for endpoint in await post.webhooks.endpoints(PROJECT)] == ["disabled"]


async def test_what_a_dead_process_left_is_sent_by_the_next_one(store: Store) -> None:
    async with Receiver([Reply(before=asyncio.Event()), Reply(500)]) as receiver:
        async with open_post(store, receiver.spec()) as post:
            await post.tell()
            await receiver.until(lambda: len(receiver.received) == 1)
        async with open_post(store, receiver.spec(), schedule_s=(0.05,)) as post:
            await post.until(lambda delivery: delivery.n_tries == 1)
        async with open_post(store, receiver.spec()) as post:
            [delivery] = await post.ended()
        assert [attempt.http_status for attempt in delivery.history] == [500, 200]
        assert len(receiver.received) == 3


async def test_a_process_that_was_taken_over_writes_nothing_any_more(store: Store) -> None:
    answer = asyncio.Event()
    async with Receiver([Reply(before=answer)]) as receiver, open_post(store, receiver.spec()) as post:
        [delivery_id] = await post.tell()
        await receiver.until(lambda: len(receiver.received) == 1)
        [before] = await post.deliveries()
        job_id = before.job_id
        assert job_id is not None
        hold = await store.write(lambda tx: take_job(tx, job_id, worker="another", now=1e12, lease_s=15.0))
        assert hold is not None
        answer.set()
        async with asyncio.timeout(20):
            while post.worker.n_driving:
                await asyncio.sleep(0.005)
        after = await store.read(lambda tx: load_delivery(tx, delivery_id))
        assert after is not None
        assert (after.status, after.history, after.job_id) == ("pending", (), job_id)


async def test_an_endpoint_that_the_file_does_not_name_any_more_is_tried_for_and_given_up(store: Store) -> None:
    async with Receiver([Reply(before=asyncio.Event())]) as receiver:
        async with open_post(store, receiver.spec()) as post:
            await post.tell()
            await receiver.until(lambda: len(receiver.received) == 1)
        async with open_post(store, receiver.spec("other")) as post:
            [delivery] = await post.ended()
            assert (delivery.status, len(delivery.history)) == ("failed", 4)
            assert delivery.history[0].error == "not sent: agents.toml has no webhook crm"
            with pytest.raises(InvalidRequestError, match="no webhook crm any more"):
                await post.webhooks.redeliver(PROJECT, delivery.id)


async def test_many_at_once_take_turns_and_all_arrive(store: Store) -> None:
    async with Receiver() as receiver, open_post(store, receiver.spec(), width=3) as post:
        ids = await post.tell(60)
        found = await post.ended()
        assert [delivery.status for delivery in found] == ["delivered"] * len(ids)
        assert all(len(delivery.history) == 1 for delivery in found), "to be put off is not to be tried"
        assert len(receiver.received) == 60
        assert receiver.most_open <= 3


async def test_a_test_event_is_signed_and_stored_nowhere(store: Store) -> None:
    async with Receiver([Reply(201, b"seen")]) as receiver, open_post(store, receiver.spec()) as post:
        attempt = await post.webhooks.test(PROJECT, "crm")
        assert (attempt.http_status, attempt.body) == (201, "seen")
        [event] = receiver.events()
        assert (event["type"], event["data"]) == ("webhook.test", {"id": "crm", "object": "webhook_endpoint"})
        assert await post.deliveries() == []
        with pytest.raises(NotFoundError):
            await post.webhooks.test(PROJECT, "nobody")


async def test_what_ended_long_ago_is_deleted_and_what_waits_is_kept(store: Store) -> None:
    async with Receiver([Reply(), Reply(500)]) as receiver, open_post(store, receiver.spec(), schedule_s=(99,)) as post:
        await post.tell()
        await post.ended()
        await post.tell()
        await post.until(lambda delivery: delivery.n_tries == 1)
        assert await post.webhooks.delete_old(before=2) == 0

        def age(tx: Tx) -> None:
            tx.dbapi.cursor().execute("UPDATE webhook_delivery SET created_at = 1")
            tx.dbapi.cursor().execute("UPDATE webhook_delivery SET ended_at = 1 WHERE ended_at IS NOT NULL")

        await store.write(age)
        assert await post.webhooks.delete_old(before=2) == 1
        assert [delivery.status for delivery in await post.deliveries()] == ["pending"]
