"""What takes jobs in this process and drives them: the worker with its drivers, its leases, and what runs beside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from agentrt.config.schema import Config
from agentrt.runtime.backends import Backends
from agentrt.runtime.leases import Leases, Role, new_worker_id
from agentrt.runtime.performers import Performers
from agentrt.runtime.recorder import Flusher
from agentrt.runtime.run_driver import RunDriver
from agentrt.runtime.sweeper import Sweep, Sweeper
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.runtime.worker import JobDriver, Worker
from agentrt.toolkit.registry import ToolRegistry


class Driving:
    """runs: the driver of runs. drivers: of the other kinds of jobs, by kind. url: where this process answers HTTP.

    embedding: the name of the vectors that this process gives files.
    """

    def __init__(
        self,
        config: Config,
        backends: Backends,
        *,
        role: Role,
        url: str | None,
        tools: ToolRegistry,
        performers: Performers,
        outbox: Outbox,
        drivers: Mapping[str, JobDriver[Any]],
        embedding: str | None,
    ) -> None:
        lease_s = config.runtime.lease_s
        self._role = role
        self._slots = config.runtime.limits.max_concurrent_runs
        self._backends = backends
        self._flusher = Flusher(backends.store, backends.bus, backends.clock)
        self.runs = RunDriver(
            store=backends.store,
            dispatcher=backends.dispatcher,
            bus=backends.bus,
            feeds=backends.feeds,
            flusher=self._flusher,
            outbox=outbox,
            clock=backends.clock,
            make_performer=performers.of,
            on_rest=performers.forget_context,
            lease_s=lease_s,
            repeatable={tool.name for tool in tools if tool.retry == "idempotent"},
        )
        self.worker = Worker(
            new_worker_id(),
            store=backends.store,
            dispatcher=backends.dispatcher,
            bus=backends.bus,
            clock=backends.clock,
            lease_s=lease_s,
            drivers={"run": self.runs, **drivers},
        )
        self._leases = Leases(
            self.worker,
            role=role,
            url=url,
            store=backends.store,
            dispatcher=backends.dispatcher,
            clock=backends.clock,
            lease_s=lease_s,
            embedding=embedding,
        )

    async def drain(self, grace_s: float) -> None:
        """Take up no more jobs, and give those in flight a grace to come to where they can go on elsewhere."""
        self.worker.rest()
        await self._backends.dispatcher.drain(grace_s)

    async def start(
        self,
        exits: AsyncExitStack,
        *,
        sweeps: Sequence[Sweep],
        beside: Mapping[str, Callable[[], Coroutine[Any, Any, None]]],
        grace_s: Callable[[], float],
    ) -> None:
        """Begin to drive; exits drains and stops. beside: what else is to be served meanwhile, by name."""
        feeds, dispatcher = self._backends.feeds, self._backends.dispatcher
        group = await exits.enter_async_context(asyncio.TaskGroup())
        served = {
            "flusher": self._flusher.serve,
            "leases": self._leases.serve,
            "sweeper": Sweeper(sweeps, clock=self._backends.clock).serve,
            **({"feeds": feeds.serve} if self._backends.store.is_shared else {}),
            **beside,
        }
        background = [group.create_task(serve(), name=name) for name, serve in served.items()]
        await self._leases.begin()
        if self._role != "api":
            group.create_task(dispatcher.serve(self.worker.handle, slots=self._slots), name="dispatcher")

        async def stop() -> None:
            # Runs that end in time end their streams by themselves; the others' are told to resume.
            await self.drain(grace_s())
            feeds.close()
            for task in background:
                task.cancel()
            await asyncio.wait(background)  # a beat that is on its way would put us on the list again
            await self._leases.end()

        exits.push_async_callback(stop)
