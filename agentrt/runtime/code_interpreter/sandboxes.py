"""The pools of the declared sandboxes: each is opened when it is first wanted, and belongs to one task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias

from agentrt.clock import Clock
from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.driver import Capabilities
from agentrt.sandbox.pool import Pool
from agentrt.sandbox.sandbox import Sandbox

log = logging.getLogger(__name__)

Save: TypeAlias = Callable[[str, str, Sandbox], Awaitable[None]]
"""Keeps the files of a session that is to be removed. Arguments: the sandbox's name, the session's key, itself."""

State: TypeAlias = Literal["unknown", "opening", "open", "failed"]

RETRY_S: Final = 15.0
"""What did not work is tried again when it is wanted this much later: somebody may have started the engine."""


@dataclass(slots=True)
class _Place:
    """One [sandboxes.*] and its pool. detail: see SandboxState."""

    spec: SandboxSpec
    state: State = "unknown"
    detail: str = ""
    driver: str = ""
    pool: Pool | None = None
    capabilities: Capabilities | None = None
    packages: tuple[str, ...] = ()
    failed_at: float = 0.0
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class SandboxState(NamedTuple):
    """What is known of one [sandboxes.*]. detail: what isolates there and why that, or why nothing does.

    packages: what can be imported, `name-version`; empty until the first sandbox said so.
    """

    state: State
    driver: str
    detail: str
    capabilities: Capabilities | None
    packages: tuple[str, ...]


class Sandboxes:
    """All [sandboxes.*] of a runtime. `serve` owns the pools: nothing is opened unless it runs.

    owner: the name under which this process finds its sandboxes again.
    """

    def __init__(
        self,
        specs: Mapping[str, SandboxSpec],
        *,
        owner: Callable[[], str],
        clock: Clock,
        save: Save,
    ) -> None:
        self._places = {name: _Place(spec) for name, spec in specs.items()}
        self._owner = owner
        self._clock = clock
        self._save = save
        self._wanted: asyncio.Queue[_Place] = asyncio.Queue()
        self._gone: asyncio.Queue[str] = asyncio.Queue()
        self._is_over = False

    def spec(self, name: str) -> SandboxSpec:
        """Raises SandboxError for a name that is not declared."""
        return self._place(name).spec

    def state(self, name: str) -> SandboxState:
        """What is known of it now. Raises SandboxError for a name that is not declared."""
        return _state(self._place(name))

    def names(self) -> tuple[str, ...]:
        return tuple(self._places)

    def look(self, name: str) -> None:
        """Begin to open a pool, if it is not open yet."""
        self._begin(self._place(name))

    async def settled(self, name: str) -> SandboxState:
        """Once it is known whether there is a sandbox of that name."""
        place = self._place(name)
        self._begin(place)
        await place.settled.wait()
        return _state(place)

    async def pool(self, name: str) -> Pool:
        """The pool of that name, opened now if need be. Raises SandboxError with what was tried and how to get it."""
        state = await self.settled(name)
        pool = self._place(name).pool
        if pool is None:
            raise SandboxError(state.detail)
        return pool

    def find(self, name: str, key: str) -> Sandbox | None:
        """The sandbox of the session with this key, if it has one now."""
        pool = self._place(name).pool
        return None if pool is None else pool.find(key)

    def learn(self, name: str, box: Sandbox) -> None:
        """A sandbox of that name has told what can be imported in it."""
        self._place(name).packages = box.packages

    def forget(self, key: str) -> None:
        """End the session of this key, wherever it is, without keeping anything."""
        if any(place.pool is not None and place.pool.has(key) for place in self._places.values()):
            self._gone.put_nowait(key)

    async def drop(self, keys: Iterable[str]) -> None:
        """End the sessions of these keys without keeping anything; returns when they are gone."""
        pools = [place.pool for place in self._places.values() if place.pool is not None]
        for key in keys:
            for pool in pools:
                await pool.drop(key)

    async def serve(self) -> None:
        """Own the pools, for ever; the owner cancels it. Sessions that can be taken over later are left running."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._drop_gone(), name="sandboxes to drop")
                while True:
                    place = await self._wanted.get()
                    group.create_task(self._keep_open(place), name=f"sandboxes {place.spec.name}")
        finally:
            self._is_over = True
            for place in self._places.values():
                self._settle(place, "failed", "The service is shutting down.")

    def _place(self, name: str) -> _Place:
        if name not in self._places:
            raise SandboxError(f"There is no [sandboxes.{name}] here, only {', '.join(self._places)}.")
        return self._places[name]

    def _begin(self, place: _Place) -> None:
        is_due = place.state == "failed" and self._clock.monotonic() - place.failed_at >= RETRY_S
        if self._is_over or not (place.state == "unknown" or is_due):
            return
        place.state = "opening"
        place.settled.clear()
        self._wanted.put_nowait(place)

    async def _keep_open(self, place: _Place) -> None:
        """Find what isolates here, and keep its pool until this is cancelled."""
        from agentrt.sandbox.choose import choose_driver

        name = place.spec.name
        try:
            chosen = await choose_driver(place.spec, owner=self._owner())
            try:
                save = partial(self._save, name)
                async with Pool(chosen.driver, place.spec, save=save, clock=self._clock) as pool:
                    place.pool, place.driver = pool, chosen.driver.name
                    place.capabilities = chosen.driver.capabilities
                    log.info("sandbox.ready", extra={"sandbox": name, "driver": place.driver, "why": chosen.why})
                    self._settle(place, "open", chosen.why)
                    await asyncio.Event().wait()
            finally:
                place.pool = None
                await chosen.driver.close()
        except SandboxError as error:
            log.warning("sandbox.unavailable", extra={"sandbox": name, "why": error.message})
            self._settle(place, "failed", error.message)
        except Exception as error:  # a bug of ours, or a machine that is out of something: the service goes on
            log.exception("sandbox.failed", extra={"sandbox": name})
            self._settle(place, "failed", f"The sandboxes do not work here: {error}")

    def _settle(self, place: _Place, state: State, detail: str) -> None:
        place.state, place.detail = state, detail
        place.failed_at = self._clock.monotonic()
        place.settled.set()

    async def _drop_gone(self) -> None:
        while True:
            key = await self._gone.get()
            try:
                await self.drop([key])
            except Exception:  # its lease ends it
                log.exception("sandbox.drop_failed", extra={"session": key})


def _state(place: _Place) -> SandboxState:
    return SandboxState(place.state, place.driver, place.detail, place.capabilities, place.packages)
