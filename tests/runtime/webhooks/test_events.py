"""What happens to runs is told to every endpoint that wants it: once stored, signed, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest

from agentrt.errors import ModelError
from agentrt.runtime.requests import NewRun
from agentrt.store.database import Tx
from agentrt.store.jobs import waiting_jobs
from agentrt.store.pages import PageQuery
from agentrt.store.webhook_deliveries import WebhookDelivery, list_deliveries
from agentrt.testing.scripts import Answer, ScriptedModel, call, failure, text
from tests.runtime.conftest import World
from tests.runtime.webhooks.receiver import KEY, SECRET, Receiver, Reply

Open = Callable[..., AbstractAsyncContextManager[World]]
EVERYTHING = PageQuery(limit=100, order="asc")


@asynccontextmanager
async def told(
    open_world: Open, *answers: Answer, more: str = "", extra: str = ""
) -> AsyncGenerator[tuple[World, Receiver], None]:
    """A world whose runs are told to a receiver. more: in its [[webhooks]] table; extra: before that."""
    async with (
        Receiver() as receiver,
        open_world(ScriptedModel(*answers), extra=extra + receiver.toml(more=more)) as world,
    ):
        yield world, receiver


async def deliveries(world: World, project: str = "default") -> list[WebhookDelivery]:
    return (await world.runtime.store.read(lambda tx: list_deliveries(tx, project, EVERYTHING))).items


async def until(world: World, is_so: Callable[[list[WebhookDelivery]], bool]) -> list[WebhookDelivery]:
    async with asyncio.timeout(20):
        while not is_so(found := await deliveries(world)):
            await asyncio.sleep(0.005)
    return found


def all_delivered(found: list[WebhookDelivery]) -> bool:
    return bool(found) and all(delivery.status == "delivered" for delivery in found)


async def test_a_completed_run_is_told_once_in_the_platforms_shape(open_world: Open) -> None:
    async with told(open_world, text("Hello.")) as (world, receiver):
        run = await world.rest(await world.run(await world.thread("Hi")))
        [delivery] = await until(world, all_delivered)
        [event] = receiver.events()
        assert event == {
            "id": delivery.event_id,
            "object": "event",
            "created_at": delivery.created_at,
            "type": "run.completed",
            "data": {
                "id": run.spec.id,
                "object": "thread.run",
                "thread_id": run.spec.thread_id,
                "assistant_id": "asst_helper",
                "status": "completed",
                "project": "default",
            },
        }
        assert receiver.received[0].headers["webhook-id"] == delivery.event_id
        assert receiver.received[0].body == delivery.payload.encode()
        [attempt] = delivery.history
        assert (attempt.http_status, attempt.body, delivery.n_tries) == (200, "ok", 1)
        assert await world.runtime.store.read(lambda tx: waiting_jobs(tx, now=1e12)) == (0, None)


async def test_every_end_of_a_run_and_every_wait_has_its_event(open_world: Open) -> None:
    hold = asyncio.Event()
    answers = [
        call("remote", q="x"),
        text("Done."),
        failure(ModelError("It broke.")),
        text("a b c", finish="length"),
        text("one two", pause=hold),
        text("three four", pause=hold),
    ]
    brief_agent = '[agents.brief]\nmodel = "demo"\nlimits = { timeout = 1 }\n'
    async with told(open_world, *answers, extra=brief_agent) as (world, receiver):
        run = await world.rest(await world.run(await world.thread("Go")))
        submit = world.runtime.runs.submit
        await submit("default", run.spec.thread_id, run.spec.id, [(c.id, "out") for c in run.pending_calls])
        await world.until(run, "completed")
        for status in ("failed", "incomplete"):
            await world.until(await world.run(await world.thread("Go")), status)
        held = await world.run(await world.thread("Go"))
        await world.until(held, "in_progress")
        await world.runtime.runs.cancel("default", held.spec.thread_id, held.spec.id)
        await world.until(held, "cancelled")
        brief = NewRun(assistant_id="asst_brief")
        await world.until(await world.runtime.runs.create("default", await world.thread("Go"), brief), "expired")
        await receiver.until(lambda: len(receiver.received) == 6)
        types = sorted(str(event["type"]) for event in receiver.events())
        assert types == [
            "run.cancelled", "run.completed", "run.expired", "run.failed", "run.incomplete", "run.requires_action",
        ]  # fmt: skip


async def test_each_endpoint_gets_what_it_wants_of_one_and_the_same_event(open_world: Open) -> None:
    async with Receiver() as one, Receiver() as two, Receiver() as three:
        extra = one.toml("all") + two.toml("ends", 'events = ["run.c*"]\n') + three.toml("night", 'project = "night"\n')
        async with open_world(ScriptedModel(call("remote", q="x"), text("Hi.")), extra=extra) as world:
            await world.until(await world.run(await world.thread("Go")), "requires_action")
            await world.until(await world.run(await world.thread("Go")), "completed")
            found = await until(world, all_delivered)
            told_to = [(delivery.type, delivery.webhook) for delivery in found]
            assert told_to == [("run.requires_action", "all"), ("run.completed", "all"), ("run.completed", "ends")]
            assert len({delivery.event_id for delivery in found}) == 2
            assert [len(receiver.received) for receiver in (one, two, three)] == [2, 1, 0]

            world.project = "night"
            await world.until(await world.run(await world.thread("Go")), "failed")  # the script is at its end
            await receiver_of(three)
            assert [delivery.webhook for delivery in await deliveries(world, "night")] == ["all", "night"]


async def receiver_of(receiver: Receiver) -> None:
    await receiver.until(lambda: len(receiver.received) == 1)


async def test_a_run_that_was_cancelled_in_its_last_moment_is_told_as_cancelled_only(open_world: Open) -> None:
    pauses = [asyncio.Event() for _ in range(8)]
    async with told(open_world, *(text("one two", pause=pause) for pause in pauses)) as (world, _):
        runs = [await world.run(await world.thread("Go")) for _ in pauses]
        for run in runs:
            await world.until(run, "in_progress")

        async def cancel_and_let_go(run_id: str, thread_id: str, pause: asyncio.Event) -> None:
            pause.set()
            await asyncio.sleep(0)
            await world.runtime.runs.cancel("default", thread_id, run_id)

        race = (cancel_and_let_go(r.spec.id, r.spec.thread_id, p) for r, p in zip(runs, pauses, strict=True))
        await asyncio.gather(*race, return_exceptions=True)
        ends = {run.spec.id: (await world.rest(run)).status.value for run in runs}
        found = await until(world, lambda found: len(found) == len(runs) and all_delivered(found))
        assert {delivery.subject_id: delivery.type for delivery in found} == {
            run_id: f"run.{status}" for run_id, status in ends.items()
        }


async def test_without_webhooks_nothing_is_written(open_world: Open) -> None:
    async with open_world(ScriptedModel(text("Hi."))) as world:
        await world.rest(await world.run(await world.thread("Go")))
        assert await deliveries(world) == []


async def test_one_that_is_switched_off_is_told_nothing(open_world: Open) -> None:
    async with told(open_world, text("Hi."), more="enabled = false\n") as (world, receiver):
        await world.rest(await world.run(await world.thread("Go")))
        assert await deliveries(world) == []
        assert receiver.received == []
        assert (await world.runtime.health()).webhooks["crm"].why == "switched off in agents.toml"


async def test_one_that_lacks_its_secret_is_told_later_and_the_service_says_so(open_world: Open) -> None:
    async with Receiver() as receiver:
        extra = receiver.toml().replace(SECRET, "${CRM_SECRET}")
        async with open_world(ScriptedModel(text("Hi.")), extra=extra) as world:
            part = (await world.runtime.health()).webhooks["crm"]
            assert part.why is not None
            assert part.why.startswith("CRM_SECRET is not set (")
            assert not part.on
            await world.rest(await world.run(await world.thread("Go")))
            [delivery] = await until(world, lambda found: bool(found) and found[0].n_tries == 1)
            assert delivery.status == "pending"
            assert delivery.history[0].error == f"not sent: {part.why}"
            assert receiver.received == []

        async with open_world(ScriptedModel(), extra=receiver.toml()) as world:
            await world.runtime.webhooks.redeliver("default", delivery.id)
            await until(world, all_delivered)
            assert next(receiver.events())["type"] == "run.completed"


async def test_a_hanging_receiver_holds_up_no_runs(open_world: Open) -> None:
    answers = [text(f"Answer {n}.") for n in range(12)]
    few = "[runtime]\nlimits = { max_concurrent_runs = 2 }\n"
    async with told(open_world, *answers, extra=few) as (world, receiver):
        patience = asyncio.Event()
        receiver.replies = [Reply(before=patience)]
        first = await world.rest(await world.run(await world.thread("Go")))
        await receiver_of(receiver)
        for _ in answers[1:]:
            assert (await world.rest(await world.run(await world.thread("Go")))).status == "completed"
        found = await until(world, lambda found: len(found) == len(answers))
        assert receiver.most_open == 1
        assert found[0].subject_id == first.spec.id
        assert [delivery.status for delivery in found] == ["pending"] * len(answers)
        patience.set()


async def test_the_same_on_postgres(open_world: Open, postgres_url: str) -> None:
    extra = f'[runtime]\ndatabase = "{postgres_url}"\n'
    async with told(open_world, call("remote", q="x"), text("Hi."), extra=extra) as (world, receiver):
        await world.until(await world.run(await world.thread("Go")), "requires_action")
        await world.until(await world.run(await world.thread("Go")), "completed")
        found = await until(world, lambda found: len(found) == 2 and all_delivered(found))
        assert {delivery.event_id for delivery in found} == {event["id"] for event in receiver.events()}


async def test_secrets_are_in_no_log_and_no_row(open_world: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with told(open_world, text("Hello.")) as (world, receiver):
        receiver.replies = [Reply(200, SECRET.encode())]
        await world.rest(await world.run(await world.thread("Hi")))
        found = await until(world, all_delivered)
        health = msgspec.json.encode(await world.runtime.health()).decode()
        rows = await world.runtime.store.read(everything_stored)
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert "webhook.delivered" in logged
    assert found[0].history[0].body == "***"
    for secret in (SECRET, SECRET.removeprefix("whsec_"), repr(KEY)):
        assert secret not in logged + health + rows


def everything_stored(tx: Tx) -> str:
    cursor = tx.dbapi.cursor()
    cursor.execute("SELECT * FROM webhook_delivery")
    return str(cursor.fetchall())
