"""Runtime: everything that a Config names, opened. The only file that names concrete drivers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from agentrt.clock import Clock, SystemClock
from agentrt.config.load import load_config
from agentrt.config.project import find_project
from agentrt.config.schema import Config
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.run import Run
from agentrt.engine.spec import Price
from agentrt.errors import StoreError, UnavailableError
from agentrt.files.blobs import DiskBlobs
from agentrt.models.client import ModelClient
from agentrt.runtime.agent import Agent
from agentrt.runtime.assistants import HOME_PROJECT, Assistants
from agentrt.runtime.declared import assistant_of, declared_assistants, declared_schedules, load_tools
from agentrt.runtime.expiry import expire_runs, expire_vector_stores
from agentrt.runtime.feed import Feeds
from agentrt.runtime.files import Files
from agentrt.runtime.firing import Firing
from agentrt.runtime.fleet_clock import FleetClock
from agentrt.runtime.health import Health, make_health
from agentrt.runtime.history import StoredHistory
from agentrt.runtime.leases import Leases, Role, new_worker_id
from agentrt.runtime.models import Models
from agentrt.runtime.perform import Performer, TokenRatios
from agentrt.runtime.pulse import PulseReader
from agentrt.runtime.recorder import Flusher
from agentrt.runtime.requests import NewThread
from agentrt.runtime.retention import RETENTION_EVERY_S, Retention
from agentrt.runtime.run_driver import RunDriver
from agentrt.runtime.runs import Runs, queue_of
from agentrt.runtime.schedules import Schedules
from agentrt.runtime.stored_thread import StoredThread
from agentrt.runtime.sweeper import Sweep, Sweeper
from agentrt.runtime.threads import Threads
from agentrt.runtime.webhooks.delivery_driver import DeliveryDriver
from agentrt.runtime.webhooks.desk import Webhooks
from agentrt.runtime.webhooks.lanes import Lanes
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.runtime.webhooks.sender import Sender
from agentrt.runtime.worker import Worker
from agentrt.store.database import Store
from agentrt.store.open import driver_missing, open_store
from agentrt.store.webhook_deliveries import KIND as DELIVERY
from agentrt.toolkit.registry import ToolRegistry
from agentrt.toolkit.tool import Tool

log = logging.getLogger(__name__)

DRAIN_GRACE_S = 10.0


class Runtime:
    """The whole engine with its store, models and tools.

        async with Runtime("agents.toml", tools=[refund]) as runtime:
            thread = await runtime.threads.create("default", NewThread())

    config: a Config, the path of an agents.toml, or None for the project that is found from here (else the bundled
    one). tools, models: those of the embedding program, beside the file's; context: what its tools get as
    `Context.value`; server_url: where this process answers HTTP, for whoever finds the database taken. role: whether
    it drives runs (`worker`), has them driven by others (`api`), or both; a SQLite file has one process for both.
    Entering opens the database (migrating it), takes up the runs that dead processes left, and starts to drive;
    leaving drains: runs in flight get a grace, and what is left goes on elsewhere or at the next start.
    Raises ConfigError, StoreError, ToolDefinitionError on entering.
    """

    store: Store
    tools: ToolRegistry
    models: Models
    assistants: Assistants
    threads: Threads
    runs: Runs
    files: Files
    webhooks: Webhooks
    schedules: Schedules
    firing: Firing

    def __init__(
        self,
        config: Config | Path | str | None = None,
        *,
        tools: Iterable[Tool | Callable[..., object]] = (),
        models: Mapping[str, ModelClient] | None = None,
        context: object = None,
        clock: Clock | None = None,
        server_url: str | None = None,
        role: Role = "all",
    ) -> None:
        self.config = config if isinstance(config, Config) else _find_config(config)
        self._own_clock = clock or SystemClock()
        self.clock = self._own_clock
        self.role = role
        self.drain_grace_s = DRAIN_GRACE_S
        self._in_code = tuple(tools)
        self._models_in_code = models
        self._context = context
        self._server_url = server_url
        self._contexts: dict[str, object] = {}
        self._adopted: dict[str, Agent] = {}
        self._exits: AsyncExitStack | None = None

    @property
    def is_open(self) -> bool:
        return self._exits is not None

    async def __aenter__(self) -> Self:
        if self._exits is not None:
            raise UnavailableError("This runtime is open already.")
        async with AsyncExitStack() as exits:
            await self._open(exits)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        exits, self._exits = self._exits, None
        if exits is not None:
            await exits.__aexit__(kind, error, trace)

    async def new_thread(
        self, *, metadata: Mapping[str, str] | None = None, project: str = HOME_PROJECT
    ) -> StoredThread:
        """A new thread in the database, for an Agent in code to talk on; `thread(id)` finds it again."""
        made = await self.threads.create(project, NewThread(metadata=dict(metadata or {})))
        return self.thread(made.id, project=project)

    def thread(self, thread_id: str, *, project: str = HOME_PROJECT) -> StoredThread:
        """A stored thread for an Agent in code to talk on: `await agent.run("…", thread=runtime.thread(id))`."""
        return StoredThread(self, thread_id, project=project)

    async def adopt(self, agent: Agent) -> None:
        """Let an Agent in code run on stored threads here: its model and tools serve its runs, also after a restart."""
        if self._adopted.get(agent.spec.assistant_id) is not agent:
            self._adopted[agent.spec.assistant_id] = agent
            await self.assistants.put(assistant_of(agent, now=self.clock.now()))
            self._dispatcher.open_queue(queue_of(agent.spec.assistant_id))

    def give_context(self, run_id: str, value: object) -> None:
        """What the tools of one run get as `Context.value`, in place of the runtime's own."""
        if value is not None:
            self._contexts[run_id] = value

    def forget_context(self, run_id: str) -> None:
        """The run has ended, waits for its caller, or was never made."""
        self._contexts.pop(run_id, None)

    @property
    def worker_id(self) -> str:
        """How other processes on the same database know this one: `host:pid:…`."""
        return self._worker.id

    @property
    def n_driving(self) -> int:
        """How many jobs this process drives now."""
        return self._worker.n_driving

    async def health(self) -> Health:
        """What is on, what is off and why, what waits and who works. No secrets in it.

        Raises UnavailableError when the database does not answer.
        """
        return make_health(self.config, self.tools, await self._pulse.read())

    async def drain(self) -> None:
        """Take up no more runs, and give those in flight a grace to come to where they can go on elsewhere.

        Leaving the runtime does it too.
        """
        self._worker.rest()
        await self._dispatcher.drain(self.drain_grace_s)

    async def _open(self, exits: AsyncExitStack) -> None:
        config = self.config
        self.tools = load_tools(config, self._in_code)
        self.store = await open_store(
            config.runtime.database.reveal(), clock=self._own_clock, server_url=self._server_url
        )
        exits.push_async_callback(self.store.close)
        self.models = Models(config, clock=self._own_clock, in_code=self._models_in_code)
        exits.push_async_callback(self.models.close)
        if self.store.is_shared:
            self.clock = fleet_clock = FleetClock(self._own_clock)
            await fleet_clock.measure(self.store)
        elif self.role != "all":
            raise _needs_postgres(self.role, config)
        self._dispatcher, self._bus = await self._open_dispatch(exits)
        self._feeds = self._open_feeds()
        deliveries = self._open_webhooks(exits)
        self._open_desks()
        self._open_driving(deliveries)
        self._pulse = PulseReader(self.store, self.clock, lease_s=config.runtime.lease_s)
        await self.assistants.declare(declared_assistants(config, self.tools, now=self.clock.now()))
        await self.schedules.declare(declared_schedules(config, now=self.clock.now()))
        await self._start(exits)

    def _open_feeds(self) -> Feeds:
        feeds = Feeds(self.store)
        self._bus.listen("gone", feeds.end)
        if self.store.is_shared:
            self._bus.listen("news", feeds.hear)
            self._bus.on_gap(feeds.hear_all)
        return feeds

    def _open_desks(self) -> None:
        """What callers turn to."""
        config = self.config
        self.files = Files(store=self.store, blobs=DiskBlobs(config.runtime.data_dir / "blobs"), clock=self.clock)
        self.assistants = Assistants(store=self.store, clock=self.clock, check_model=self.models.check)
        self.threads = Threads(store=self.store, dispatcher=self._dispatcher, bus=self._bus, clock=self.clock)
        self.runs = Runs(
            store=self.store,
            dispatcher=self._dispatcher,
            bus=self._bus,
            feeds=self._feeds,
            outbox=self._outbox,
            clock=self.clock,
            check_model=self._check_model,
            server_tools=self._tools_of,
            max_steps=config.runtime.limits.max_steps,
            expires_after_s=config.runtime.run_expiry_s,
        )
        self.schedules = Schedules(store=self.store, clock=self.clock)
        self.firing = Firing(store=self.store, runs=self.runs, clock=self.clock)

    def _open_driving(self, deliveries: DeliveryDriver) -> None:
        """What takes jobs and drives them."""
        lease_s = self.config.runtime.lease_s
        self._ratios = TokenRatios()
        self._flusher = Flusher(self.store, self._bus, self.clock)
        self._run_driver = RunDriver(
            store=self.store,
            dispatcher=self._dispatcher,
            bus=self._bus,
            feeds=self._feeds,
            flusher=self._flusher,
            outbox=self._outbox,
            clock=self.clock,
            make_performer=self._performer,
            on_rest=self.forget_context,
            lease_s=lease_s,
            repeatable={tool.name for tool in self.tools if tool.retry == "idempotent"},
        )
        self._worker = Worker(
            new_worker_id(),
            store=self.store,
            dispatcher=self._dispatcher,
            bus=self._bus,
            clock=self.clock,
            lease_s=lease_s,
            drivers={"run": self._run_driver, DELIVERY: deliveries},
        )
        self._leases = Leases(
            self._worker,
            role=self.role,
            url=self._server_url,
            store=self.store,
            dispatcher=self._dispatcher,
            clock=self.clock,
            lease_s=lease_s,
        )

    def _check_model(self, name: str) -> Price | None:
        if any(agent.model_name == name for agent in self._adopted.values()):
            return None
        self.models.check(name)
        return self.models.price(name)

    def _tools_of(self, assistant_id: str) -> ToolRegistry:
        adopted = self._adopted.get(assistant_id)
        return self.tools if adopted is None else adopted.tools

    def _performer(self, run: Run, project: str) -> Performer:
        limits = self.config.runtime.limits
        adopted = self._adopted.get(run.spec.assistant_id)

        async def read_image(file_id: str) -> tuple[bytes, str] | None:
            return await self.files.read_image(project, file_id)

        return Performer(
            history=StoredHistory(self.store, run.spec.thread_id, position=run.spec.position, read_image=read_image),
            find_model=self.models.find if adopted is None else adopted.find_model,
            tools=self._tools_of(run.spec.assistant_id),
            clock=self.clock,
            max_parallel_tools=limits.max_parallel_tools,
            max_output_bytes=limits.max_tool_output_bytes,
            context_value=self._contexts.get(run.spec.id, self._context),
            ratios=self._ratios,
        )

    def _open_webhooks(self, exits: AsyncExitStack) -> DeliveryDriver:
        specs, sender = self.config.webhooks, Sender(clock=self.clock)
        exits.push_async_callback(sender.close)
        self._outbox = Outbox(specs, dispatcher=self._dispatcher)
        self.webhooks = Webhooks(specs, store=self.store, clock=self.clock, sender=sender, outbox=self._outbox)
        # Deliveries take up places for runs, and a receiver that hangs keeps its place: a quarter is enough.
        lanes = Lanes(width=max(1, self.config.runtime.limits.max_concurrent_runs // 4))
        return DeliveryDriver(
            specs, store=self.store, dispatcher=self._dispatcher, clock=self.clock, sender=sender, lanes=lanes
        )

    async def _open_dispatch(self, exits: AsyncExitStack) -> tuple[Dispatcher, Bus]:
        if not self.store.is_shared:
            return LocalDispatcher(), LocalBus()
        try:
            from agentrt.dispatch.postgres import open_postgres
        except ImportError as error:
            raise driver_missing(error) from error
        spec = self.config.runtime
        listen_url = None if spec.listen_url is None else spec.listen_url.reveal()
        dispatcher, bus = await open_postgres(spec.database.reveal(), clock=self.clock, listen_url=listen_url)
        await bus.start()
        exits.push_async_callback(bus.close)
        return dispatcher, bus

    async def _start(self, exits: AsyncExitStack) -> None:
        group = await exits.enter_async_context(asyncio.TaskGroup())
        sweeper = Sweeper(self._sweeps(), clock=self.clock)
        background = [
            group.create_task(self._flusher.serve(), name="flusher"),
            group.create_task(self._leases.serve(), name="leases"),
            group.create_task(sweeper.serve(), name="sweeper"),
        ]
        if self.store.is_shared:
            background.append(group.create_task(self._feeds.serve(), name="feeds"))
        await self._leases.begin()
        if self.role != "api":
            slots = self.config.runtime.limits.max_concurrent_runs
            group.create_task(self._dispatcher.serve(self._worker.handle, slots=slots), name="dispatcher")

        async def stop() -> None:
            # Runs that end in time end their streams by themselves; the others' are told to resume.
            await self.drain()
            self._feeds.close()
            for task in background:
                task.cancel()
            await asyncio.wait(background)  # a beat that is on its way would put us on the list again
            await self._leases.end()

        exits.push_async_callback(stop)

    def _sweeps(self) -> list[Sweep]:
        retention = Retention(
            self.config.runtime.retention,
            store=self.store,
            clock=self.clock,
            threads=self.threads,
            files=self.files,
            webhooks=self.webhooks,
        )
        return [
            Sweep("runs", lambda: expire_runs(self.store, self._run_driver.end, now=self.clock.now())),
            Sweep("files", self.files.expire),
            Sweep("vector_stores", lambda: expire_vector_stores(self.store, now=self.clock.now())),
            Sweep("schedules", self.firing.sweep),
            Sweep("retention", retention.sweep, RETENTION_EVERY_S),
        ]


def _needs_postgres(role: Role, config: Config) -> StoreError:
    return StoreError(
        f"Role `{role}` needs a database that processes can share\n"
        f"  why: {config.runtime.database} is a SQLite file, which serves one process\n"
        '  fix: [runtime] database = "postgresql://…", or the role `all`'
    )


def _find_config(path: Path | str | None) -> Config:
    project = find_project(None if path is None else Path(path))
    return load_config(project.path, state_folder=project.state_folder)
