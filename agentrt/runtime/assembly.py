"""Runtime: everything that a Config names, opened, and the face that callers see.

What it stands on is backends.py's, what performs a run performers.py's, and what drives them driving.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from agentrt.clock import Clock, SystemClock
from agentrt.config.load import load_config
from agentrt.config.project import find_project
from agentrt.config.schema import DEFAULT_PROJECT, Config
from agentrt.errors import UnavailableError
from agentrt.files.open import open_blobs
from agentrt.models.client import ModelClient
from agentrt.retrieval.preparer import Preparer
from agentrt.runtime.agent import Agent
from agentrt.runtime.assistants import Assistants
from agentrt.runtime.backends import open_backends
from agentrt.runtime.code_interpreter.sessions import CodeSessions
from agentrt.runtime.declared import assistant_of, declared_assistants, declared_schedules, load_tools
from agentrt.runtime.driving import Driving
from agentrt.runtime.expiry import expire_runs
from agentrt.runtime.file_search.stored_library import vector_store_ids
from agentrt.runtime.files import Files
from agentrt.runtime.firing import Firing
from agentrt.runtime.health import Health, make_health
from agentrt.runtime.hosted import HostedName, HostedTool
from agentrt.runtime.leases import Role
from agentrt.runtime.models import Models
from agentrt.runtime.performers import Performers
from agentrt.runtime.pulse import PulseReader
from agentrt.runtime.requests import NewThread
from agentrt.runtime.retention import RETENTION_EVERY_S, Retention
from agentrt.runtime.runs import Runs, queue_of
from agentrt.runtime.schedules import Schedules
from agentrt.runtime.storage import SWEEP_STORAGE_EVERY_S, Storage
from agentrt.runtime.stored_thread import StoredThread
from agentrt.runtime.sweeper import Sweep
from agentrt.runtime.threads import Threads
from agentrt.runtime.uploads import Uploads
from agentrt.runtime.vector_stores.ingest.driver import IngestDriver
from agentrt.runtime.vector_stores.ingest.queue import KIND as INGEST
from agentrt.runtime.vector_stores.ingest.upkeep import store_sweeps
from agentrt.runtime.vector_stores.rewriting import FirstModel
from agentrt.runtime.vector_stores.search import StoreSearch
from agentrt.runtime.vector_stores.stores import VectorStores
from agentrt.runtime.vector_stores.vectors.parts import vector_parts
from agentrt.runtime.vector_stores.vectors.queue import KIND as VECTORS
from agentrt.runtime.vector_stores.watching.declared_stores import declare_stores
from agentrt.runtime.vector_stores.watching.folders import Folders
from agentrt.runtime.webhooks.delivery_driver import DeliveryDriver
from agentrt.runtime.webhooks.desk import Webhooks
from agentrt.runtime.webhooks.lanes import Lanes
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.runtime.webhooks.sender import Sender
from agentrt.store.database import Store
from agentrt.store.vector_stores import find_vector_store
from agentrt.store.webhook_deliveries import KIND as DELIVERY
from agentrt.toolkit.registry import ToolRegistry
from agentrt.toolkit.tool import Tool

DRAIN_GRACE_S = 10.0


class Runtime:
    """The whole engine with its store, models and tools.

        async with Runtime("agents.toml", tools=[refund]) as runtime:
            thread = await runtime.threads.create("default", NewThread())

    config: a Config, the path of an agents.toml, or None for the project that is found from here (else the bundled
    one). tools, models: those of the embedding program, beside the file's; hosted: what runs code_interpreter or
    file_search in place of the runtime's own; context: what its tools get as `Context.value`; server_url: where this
    process answers HTTP, for whoever finds the database taken. role: whether it drives runs (`worker`), has them
    driven by others (`api`), or both; a SQLite file has one process for both.
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
    vector_stores: VectorStores
    store_search: StoreSearch
    uploads: Uploads
    webhooks: Webhooks
    schedules: Schedules
    firing: Firing
    code: CodeSessions

    def __init__(
        self,
        config: Config | Path | str | None = None,
        *,
        tools: Iterable[Tool | Callable[..., object]] = (),
        models: Mapping[str, ModelClient] | None = None,
        hosted: Mapping[HostedName, HostedTool] | None = None,
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
        self._hosted_in_code: dict[HostedName, HostedTool] = dict(hosted or {})
        self._context = context
        self._server_url = server_url
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
        self, *, metadata: Mapping[str, str] | None = None, project: str = DEFAULT_PROJECT
    ) -> StoredThread:
        """A new thread in the database, for an Agent in code to talk on; `thread(id)` finds it again."""
        made = await self.threads.create(project, NewThread(metadata=dict(metadata or {})))
        return self.thread(made.id, project=project)

    def thread(self, thread_id: str, *, project: str = DEFAULT_PROJECT) -> StoredThread:
        """A stored thread for an Agent in code to talk on: `await agent.run("…", thread=runtime.thread(id))`."""
        return StoredThread(self, thread_id, project=project)

    async def adopt(self, agent: Agent) -> None:
        """Let an Agent in code run on stored threads here: its model and tools serve its runs, also after a restart.

        Raises InvalidRequestError for one whose CodeInterpreter or FileSearch is for conversations in memory,
        NotFoundError for a vector store that is not there.
        """
        if not self._performers.has(agent):
            assistant = assistant_of(agent, self.config, now=self.clock.now())
            for store_id in vector_store_ids(assistant.tool_resources):
                await self.store.read(partial(find_vector_store, project=DEFAULT_PROJECT, store_id=store_id))
            self._performers.adopt(agent)
            await self.assistants.put(assistant)
            self._backends.dispatcher.open_queue(queue_of(agent.spec.assistant_id))

    def give_context(self, run_id: str, value: object) -> None:
        """What the tools of one run get as `Context.value`, in place of the runtime's own."""
        if value is not None:
            self._performers.give_context(run_id, value)

    def forget_context(self, run_id: str) -> None:
        """The run has ended, waits for its caller, or was never made."""
        self._performers.forget_context(run_id)

    @property
    def worker_id(self) -> str:
        """How other processes on the same database know this one: `host:pid:…`."""
        return self._driving.worker.id

    @property
    def n_driving(self) -> int:
        """How many jobs this process drives now."""
        return self._driving.worker.n_driving

    async def health(self) -> Health:
        """What is on, what is off and why, what waits and who works. No secrets in it.

        Raises UnavailableError when the database does not answer.
        """
        pulse = await self._pulse.read()
        return make_health(self.config, self.tools, self.code.sandboxes, pulse, drives_runs=self.role != "api")

    async def prepare_code(self, *, timeout_s: float) -> None:
        """Find out what isolates code here, and have it ready; goes on in the background when the time is over.

        Without this it begins with the first run that may call code_interpreter.
        """
        sandboxes = self.code.sandboxes
        if self.role == "api":
            return
        for name in sandboxes.names():
            sandboxes.look(name)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for name in sandboxes.names():
                    await sandboxes.settled(name)

    async def drain(self) -> None:
        """Take up no more runs, and give those in flight a grace to come to where they can go on elsewhere.

        Leaving the runtime does it too.
        """
        await self._driving.drain(self.drain_grace_s)

    async def _open(self, exits: AsyncExitStack) -> None:
        config = self.config
        self.tools = load_tools(config, self._in_code)
        self._backends = await open_backends(
            config, exits, clock=self._own_clock, role=self.role, server_url=self._server_url
        )
        self.store, self.clock = self._backends.store, self._backends.clock
        self.models = Models(config, clock=self._own_clock, in_code=self._models_in_code)
        exits.push_async_callback(self.models.close)
        self._storage = await self._open_storage()
        lease_s = config.runtime.lease_s
        self._vectors = vector_parts(
            self.models, store=self.store, dispatcher=self._backends.dispatcher, clock=self.clock, lease_s=lease_s
        )
        self._open_content(exits)
        deliveries = self._open_webhooks(exits)
        self._open_desks()
        self._driving = Driving(
            config,
            self._backends,
            role=self.role,
            url=self._server_url,
            tools=self.tools,
            performers=self._performers,
            outbox=self._outbox,
            drivers={DELIVERY: deliveries, INGEST: self._open_ingest(exits), VECTORS: self._vectors.driver},
            embedding=self._vectors.model,
        )
        self._pulse = PulseReader(self.store, self.clock, lease_s=lease_s, embedding=self._vectors.model)
        await declare_stores(self.store, self.files, [*config.vector_stores.values()], clock=self.clock)
        await self.assistants.declare(declared_assistants(config, self.tools, now=self.clock.now()))
        await self.schedules.declare(declared_schedules(config, now=self.clock.now()))
        await self._driving.start(
            exits,
            sweeps=self._sweeps(),
            beside={"sandboxes": self.code.sandboxes.serve},
            grace_s=lambda: self.drain_grace_s,
        )

    async def _open_storage(self) -> Storage:
        blobs = open_blobs(self.config.files, data_dir=self.config.runtime.data_dir)
        storage = Storage(store=self.store, blobs=blobs, clock=self.clock)
        if not self.store.is_shared:  # nobody else is bringing any
            await storage.sweep(abandoned_after_s=0)
        return storage

    def _open_content(self, exits: AsyncExitStack) -> None:
        """Files, and the hosted tools that work on them."""
        config = self.config
        spec, storage = config.files, self._storage
        self.files = Files(store=self.store, storage=storage, clock=self.clock, max_bytes=spec.max_bytes)
        self.uploads = Uploads(store=self.store, storage=storage, clock=self.clock, max_bytes=spec.max_upload_bytes)
        self.store_search = StoreSearch(
            store=self.store,
            clock=self.clock,
            rewrite=FirstModel(self.models),
            vectors=self._vectors.questions,
            reranker=self.models.search_reranker(),
            embedding=self._vectors.model,
        )
        self.code = CodeSessions(
            config.sandboxes,
            store=self.store,
            files=self.files,
            clock=self._own_clock,
            folder=config.runtime.data_dir / "sandboxes",
        )
        exits.callback(self.code.release)
        self._backends.bus.listen("gone", self.code.sandboxes.forget)
        self._performers = Performers(
            config.runtime.limits,
            store=self.store,
            dispatcher=self._backends.dispatcher,
            models=self.models,
            tools=self.tools,
            files=self.files,
            code=self.code,
            store_search=self.store_search,
            hosted=self._hosted_in_code,
            context=self._context,
            clock=self.clock,
        )

    def _open_desks(self) -> None:
        """What callers turn to."""
        config, dispatcher, bus = self.config, self._backends.dispatcher, self._backends.bus
        self.assistants = Assistants(
            store=self.store, dispatcher=dispatcher, clock=self.clock, check_model=self.models.check
        )
        self.vector_stores = VectorStores(store=self.store, dispatcher=dispatcher, clock=self.clock)
        self.threads = Threads(store=self.store, dispatcher=dispatcher, bus=bus, clock=self.clock)
        self.runs = Runs(
            store=self.store,
            dispatcher=dispatcher,
            bus=bus,
            feeds=self._backends.feeds,
            outbox=self._outbox,
            clock=self.clock,
            check_model=self._performers.check_model,
            server_tools=self._performers.tools_of,
            max_steps=config.runtime.limits.max_steps,
            expires_after_s=config.runtime.run_expiry_s,
        )
        self.schedules = Schedules(store=self.store, clock=self.clock)
        self.firing = Firing(store=self.store, runs=self.runs, clock=self.clock)

    def _open_ingest(self, exits: AsyncExitStack) -> IngestDriver:
        preparer = Preparer()
        exits.push_async_callback(preparer.close)
        return IngestDriver(
            store=self.store,
            dispatcher=self._backends.dispatcher,
            clock=self.clock,
            files=self.files,
            preparer=preparer,
            # A quarter of the places, as for deliveries: what waits for a process that reads must not hold up runs.
            most_places=max(1, self.config.runtime.limits.max_concurrent_runs // 4),
            embedding=self._vectors.files,
        )

    def _open_webhooks(self, exits: AsyncExitStack) -> DeliveryDriver:
        specs, sender, dispatcher = self.config.webhooks, Sender(clock=self.clock), self._backends.dispatcher
        exits.push_async_callback(sender.close)
        self._outbox = Outbox(specs, dispatcher=dispatcher)
        self.webhooks = Webhooks(specs, store=self.store, clock=self.clock, sender=sender, outbox=self._outbox)
        # Deliveries take up places for runs, and a receiver that hangs keeps its place: a quarter is enough.
        lanes = Lanes(width=max(1, self.config.runtime.limits.max_concurrent_runs // 4))
        return DeliveryDriver(
            specs, store=self.store, dispatcher=dispatcher, clock=self.clock, sender=sender, lanes=lanes
        )

    def _folder_sweeps(self) -> list[Sweep]:
        if self.role == "api":  # the folders are where the work is done
            return []
        folders = Folders(
            self.config.vector_stores,
            store=self.store,
            files=self.files,
            storage=self._storage,
            dispatcher=self._backends.dispatcher,
            clock=self.clock,
        )
        return folders.sweeps()

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
            Sweep("runs", lambda: expire_runs(self.store, self._driving.runs.end, now=self.clock.now())),
            Sweep("files", self.files.expire),
            Sweep("uploads", self.uploads.expire),
            Sweep("storage", self._storage.sweep, SWEEP_STORAGE_EVERY_S),
            *store_sweeps(self.store, self._backends.dispatcher, clock=self.clock),
            *self._vectors.sweeps,
            *self._folder_sweeps(),
            Sweep("schedules", self.firing.sweep),
            Sweep("retention", retention.sweep, RETENTION_EVERY_S),
        ]


def _find_config(path: Path | str | None) -> Config:
    project = find_project(None if path is None else Path(path))
    return load_config(project.path, state_folder=project.state_folder)
