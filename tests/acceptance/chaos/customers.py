"""The customers: each has a thread and gives one job after the other, in every manner that the API offers.

A customer remembers what it asked for and what it was told (an `Order`); judging that is judge.py's.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from tests.acceptance.chaos.api import Answer, Api, BrokenError, GoneError, Json, RefusedError
from tests.acceptance.chaos.jobs import Job, Place, new_job, output_of
from tests.compat.api import TERMINAL
from tests.compat.story import StreamEvent

Manner: TypeAlias = Literal["stream", "poll"]
Busy: TypeAlias = Literal["reject", "enqueue"]

CANCELLED_ONE_IN = 6
GONE = "gone"
"""What became of a run that was accepted, and that nobody knows any more."""

_LATE_S = (2.0, 6.0)
_SOON_S = (0.0, 0.4)


class Heard(NamedTuple):
    """An event as a customer got it. at: on the machine's monotonic clock."""

    event: StreamEvent
    at: float


@dataclass(slots=True)
class Order:
    """A job that a customer gave, and what it knows about it.

    cancel: what became of its wish to cancel. is_refused: the thread was busy, there is no run. n_accepted_twice: how
    often the same outputs were accepted again.
    """

    job: Job
    thread_id: str
    manner: Manner
    busy: Busy = "reject"
    run_id: str = ""
    status: str = ""
    heard: list[Heard] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    cancel: Literal["no", "wanted", "accepted", "too late"] = "no"
    is_refused: bool = False
    n_accepted_twice: int = 0
    known: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        return f"/threads/{self.thread_id}/runs/{self.run_id}"

    @property
    def is_over(self) -> bool:
        return self.is_refused or self.status in TERMINAL or self.status == GONE

    def hear(self, event: StreamEvent) -> None:
        """Take an event of the run's stream in."""
        self.heard.append(Heard(event, time.monotonic()))
        if event.data["object"] == "thread.run":
            self.see(event.data)

    def see(self, run: Json) -> None:
        """Take in how the run is now."""
        self.run_id, self.status = run["id"], run["status"]
        action = run["required_action"] or {"submit_tool_outputs": {"tool_calls": []}}
        self.pending = [call["id"] for call in action["submit_tool_outputs"]["tool_calls"]]
        self.known.set()

    def refuse(self) -> None:
        """The thread was busy."""
        self.is_refused = True
        self.known.set()


@dataclass(slots=True)
class Market:
    """All customers of a test. n_dropped, n_resumed: streams that customers left, and streams gone on with.

    told: set whenever one hears what cannot be taken back.
    """

    api: Api
    assistant_id: str
    dice: random.Random
    n_runs: int
    orders: list[Order] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    n_dropped: int = 0
    n_resumed: int = 0
    n_late: int = 0
    is_closing: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)
    has_sold_enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self, n_customers: int) -> None:
        """Let customers come until the market closes and they have what they asked for."""
        async with asyncio.TaskGroup() as group:
            for _ in range(n_customers):
                group.create_task(self._be_a_customer(), name="customer")

    async def _be_a_customer(self) -> None:
        while not self.is_closing:
            thread = await insist(self.api, "POST", "/threads", {})
            for _ in range(self.dice.randint(1, 4)):
                if not self.is_closing:
                    await self._give_jobs(thread.body["id"])

    async def _give_jobs(self, thread_id: str) -> None:
        """One job, at times a second one while the first is on: in the queue behind it, or refused."""
        first = self._order(thread_id)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._see_through(first), name=f"job {first.job.number}")
            if self.dice.random() < 0.25:
                await first.known.wait()
                second = self._order(thread_id, self.dice.choice(("reject", "enqueue")))
                group.create_task(self._see_through(second), name=f"job {second.job.number}")

    def _order(self, thread_id: str, busy: Busy = "reject") -> Order:
        job = new_job(next(self.numbers), self.dice)
        order = Order(job, thread_id, self.dice.choice(("stream", "stream", "poll")), busy)
        if self.dice.randrange(CANCELLED_ONE_IN) == 0:
            order.cancel = "wanted"
        self.orders.append(order)
        if len(self.orders) >= self.n_runs:
            self.has_sold_enough.set()
        return order

    async def _see_through(self, order: Order) -> None:
        async with asyncio.TaskGroup() as group:
            if order.cancel == "wanted":
                group.create_task(self._cancel(order), name=f"cancel {order.job.number}")
            try:
                await (self._stream(order) if order.manner == "stream" else self._poll(order))
            except GoneError:
                order.status = GONE
                order.known.set()

    async def _cancel(self, order: Order) -> None:
        await order.known.wait()
        if order.is_refused:
            return
        await asyncio.sleep(self.dice.uniform(0.0, 2.0))
        with suppress(GoneError):
            answer = await insist(self.api, "POST", f"{order.path}/cancel")
            order.cancel = "too late" if answer.is_refusal else "accepted"

    # In streams ------------------------------------------------------------------------------------------------------

    async def _stream(self, order: Order) -> None:
        body = self._request(order) | {"stream": True}
        events = self.api.stream("POST", f"/threads/{order.thread_id}/runs", body)
        while not order.is_over:
            try:
                await self._hear(order, events)
            except RefusedError:
                if not order.run_id:
                    order.refuse()
                    return
                events = self._resume(order)  # outputs that were accepted already, or are not wanted any more
                continue
            except BrokenError:
                self.n_resumed += 1
                await asyncio.sleep(self.dice.uniform(0.0, 0.2))
                if not order.run_id and not await self._find(order):
                    events = self.api.stream("POST", f"/threads/{order.thread_id}/runs", body)
                    continue
                events = self._resume(order)
                continue
            if order.status == "requires_action":
                await self._take_time()
                events = self.api.stream("POST", f"{order.path}/submit_tool_outputs", self._outputs(order, stream=True))
            else:
                events = self._resume(order)

    async def _hear(self, order: Order, events: AsyncGenerator[StreamEvent, None]) -> None:
        """Listen to the end of the stream, or leave in the middle. Raises BrokenError, RefusedError."""
        n_patience = self.dice.choice((3, 10, 30, 100, 1000, 1000, 1000))
        async with aclosing(events):
            async for event in events:
                order.hear(event)
                if not is_provisional(event):
                    self.told.set()
                n_patience -= 1
                if not n_patience:
                    self.n_dropped += 1
                    raise BrokenError("the customer left")

    def _resume(self, order: Order) -> AsyncGenerator[StreamEvent, None]:
        after = order.heard[-1].event.id if order.heard else None
        return self.api.stream("GET", f"{order.path}/stream", after=after)

    # By polling ------------------------------------------------------------------------------------------------------

    async def _poll(self, order: Order) -> None:
        while not order.known.is_set():
            try:
                answer = await self.api.ask("POST", f"/threads/{order.thread_id}/runs", self._request(order))
            except BrokenError:
                await self._find(order)
                continue
            if answer.is_refusal:
                order.refuse()
            else:
                order.see(answer.body)
        while not order.is_over:
            await asyncio.sleep(0.15)
            order.see((await insist(self.api, "GET", order.path)).body)
            if order.status == "requires_action":
                await self._take_time()
                await self._submit(order)

    async def _submit(self, order: Order) -> None:
        body = self._outputs(order)
        try:
            answer = await self.api.ask("POST", f"{order.path}/submit_tool_outputs", body)
        except BrokenError:
            return
        if not answer.is_refusal and self.dice.random() < 0.3:
            again = await insist(self.api, "POST", f"{order.path}/submit_tool_outputs", body)
            order.n_accepted_twice += not again.is_refusal

    # Of both ---------------------------------------------------------------------------------------------------------

    def _request(self, order: Order) -> Json:
        return {
            "assistant_id": self.assistant_id,
            "additional_messages": [{"role": "user", "content": order.job.text}],
            "metadata": {"job": str(order.job.number)},
            "agentrt": {"on_busy": order.busy},
        }

    def _outputs(self, order: Order, *, stream: bool = False) -> Json:
        calls = dict(order.job.calls())
        outputs = [
            {"tool_call_id": call_id, "output": output_of(calls[Place.of(call_id)])} for call_id in order.pending
        ]
        return {"tool_outputs": outputs, "stream": stream}

    async def _find(self, order: Order) -> bool:
        """Whether a request that broke made a run after all."""
        await asyncio.sleep(0.5)  # a commit may be under way, though whoever asked for it is dead
        page = await insist(self.api, "GET", f"/threads/{order.thread_id}/runs?limit=100")
        for run in page.body["data"]:
            if run["metadata"].get("job") == str(order.job.number):
                order.see(run)
                return True
        return False

    async def _take_time(self) -> None:
        """Answer soon, or one time in four late."""
        is_late = self.dice.random() < 0.25
        self.n_late += is_late
        await asyncio.sleep(self.dice.uniform(*(_LATE_S if is_late else _SOON_S)))


def is_provisional(event: StreamEvent) -> bool:
    """Whether it may be heard before it is stored, and so be lost with its process: deltas and beginnings."""
    if event.name == "thread.run.step.delta":
        calls = event.data["delta"]["step_details"]["tool_calls"]
        return all(call["function"].get("output") is None for call in calls)
    kind, _, moment = event.name.rpartition(".")
    return kind in ("thread.run.step", "thread.message") and moment in ("created", "in_progress", "delta")


async def insist(api: Api, method: str, path: str, body: Json | None = None) -> Answer:
    """Ask until there is an answer: for what may be asked twice."""
    while True:
        try:
            return await api.ask(method, path, body)
        except BrokenError:
            await asyncio.sleep(0.1)
