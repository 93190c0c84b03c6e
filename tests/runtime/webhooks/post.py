"""A post office without runs: the store, the dispatcher, a worker and the driver of deliveries, with short waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agentrt.clock import SystemClock
from agentrt.config.schema import WebhookSpec
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.engine.events import RunCompleted
from agentrt.engine.run import Run, RunStatus
from agentrt.engine.spec import RunSpec
from agentrt.ids import new_id
from agentrt.runtime.webhooks.delivery_driver import DeliveryDriver
from agentrt.runtime.webhooks.desk import Webhooks
from agentrt.runtime.webhooks.lanes import Lanes
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.runtime.webhooks.sender import Sender
from agentrt.runtime.worker import Worker
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import free_all_jobs
from agentrt.store.pages import PageQuery
from agentrt.store.run_events import NumberedEvent
from agentrt.store.webhook_deliveries import KIND, WebhookDelivery, list_deliveries

PROJECT = "default"
SHORT_S = (0.01, 0.02, 0.04)
"""Four tries in all."""


@dataclass
class Post:
    """An open one."""

    store: Store
    worker: Worker
    outbox: Outbox
    webhooks: Webhooks

    async def tell(self, n: int = 1) -> list[str]:
        """So many runs complete. The ids of the deliveries that come of it."""
        before = {delivery.id for delivery in await self.deliveries()}

        def write(tx: Tx) -> None:
            for _ in range(n):
                spec = RunSpec(id=new_id("run"), thread_id="thread_1", assistant_id="asst_1", created_at=1, model="m")
                run = Run(spec=spec, status=RunStatus.COMPLETED)
                events = [NumberedEvent(1, 0, RunCompleted())]
                self.outbox.tell(tx, run, events, project=PROJECT, now=SystemClock().now())

        await self.store.write(write)
        return [delivery.id for delivery in await self.deliveries() if delivery.id not in before]

    async def deliveries(self) -> list[WebhookDelivery]:
        """The oldest first."""
        query = PageQuery(limit=1000, order="asc")
        return (await self.store.read(lambda tx: list_deliveries(tx, PROJECT, query))).items

    async def until(self, is_so: Callable[[WebhookDelivery], bool]) -> list[WebhookDelivery]:
        """All deliveries, once that is so of each."""
        async with asyncio.timeout(20):
            while not all(map(is_so, found := await self.deliveries())):
                await asyncio.sleep(0.005)
        return found

    async def ended(self) -> list[WebhookDelivery]:
        return await self.until(lambda delivery: delivery.status != "pending")


@asynccontextmanager
async def open_post(
    store: Store, *specs: WebhookSpec, schedule_s: Sequence[float] = SHORT_S, width: int = 4
) -> AsyncIterator[Post]:
    """Takes up what another one has left. Leaving it gives what is under way no time: it is cut off and handed back."""
    clock, dispatcher, sender = SystemClock(), LocalDispatcher(), Sender(clock=SystemClock())
    outbox = Outbox(specs, dispatcher=dispatcher)
    driver = DeliveryDriver(
        specs, store=store, dispatcher=dispatcher, clock=clock, sender=sender, lanes=Lanes(width=width),
        schedule_s=schedule_s, jitter=lambda: 0.0,
    )  # fmt: skip
    worker = Worker(
        new_id("job"), store=store, dispatcher=dispatcher, bus=LocalBus(), clock=clock, lease_s=15.0,
        drivers={KIND: driver},
    )  # fmt: skip

    def recover(tx: Tx) -> None:
        for job, ready_at in free_all_jobs(tx, now=clock.now()):
            dispatcher.submit(tx, job, delay_s=max(0.0, ready_at - clock.now()))

    await store.write(recover)
    async with asyncio.TaskGroup() as group:
        group.create_task(dispatcher.serve(worker.handle, slots=64))
        try:
            yield Post(store, worker, outbox, Webhooks(specs, store=store, clock=clock, sender=sender, outbox=outbox))
        finally:
            await dispatcher.drain(0)
            await sender.close()
