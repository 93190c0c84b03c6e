"""What goes wrong: one fault after the other, each kind as often as the others, at random moments and places."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.acceptance.chaos.database import PostgresDatabase, UnreachableError
from tests.acceptance.chaos.effects import LOG
from tests.acceptance.chaos.fleet import Fleet, Node
from tests.acceptance.chaos.witness import Witness

Fault: TypeAlias = Callable[[], Coroutine[None, None, None]]

_SOON_S = (0.0, 1.0)
_MOMENT_WITHIN_MS = 1000
_JUMPS_S = (-900.0, -60.0, -7.0, 7.0, 60.0, 900.0)


@dataclass(slots=True)
class Faults:
    """The faults that a fleet can have, a pause apart.

    told: set when a customer heard what cannot be taken back. counts: how many faults happened, by kind.
    exit_codes: of the nodes that were asked to stop.
    """

    fleet: Fleet
    witness: Witness
    told: asyncio.Event
    dice: random.Random
    pause_s: tuple[float, float]
    counts: Counter[str] = field(default_factory=Counter)
    exit_codes: list[int] = field(default_factory=list)
    crashing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def strike(self, until: asyncio.Event) -> None:
        """Strike until told otherwise. Everything is repaired when this returns."""
        kinds = self._kinds()
        waiting: list[str] = []
        async with asyncio.TaskGroup() as group:
            while not until.is_set():
                waiting = waiting or self.dice.sample(list(kinds), len(kinds))
                kind = waiting.pop()
                group.create_task(kinds[kind](), name=kind)
                try:
                    async with asyncio.timeout(self.dice.uniform(*self.pause_s)):
                        await until.wait()
                except TimeoutError:
                    continue
        for node in self.fleet.nodes:
            node.jump(0.0)

    async def roll(self, until: asyncio.Event) -> None:
        """Nothing but rolling restarts: one process after the other, until told otherwise."""
        while not until.is_set():
            for node in self.fleet.nodes:
                with self._one_of([node]):
                    await self._restart(node)

    def _kinds(self) -> Mapping[str, Fault]:
        everywhere: dict[str, Fault] = {
            "killed": lambda: self._kill("killed", self.fleet.nodes, _SOON_S),
            "stopped": self._stop,
            "frozen for a moment": lambda: self._freeze("frozen for a moment", self.fleet.nodes, _SOON_S),
            "clock set wrong": self._jump,
        }
        database, workers = self.fleet.database, self.fleet.working_nodes
        past_the_lease_s = (self.fleet.lease_s + 1.0, self.fleet.lease_s + 2.0)
        if not isinstance(database, PostgresDatabase):
            return everywhere
        return everywhere | {
            "killed, and away past the lease": lambda: self._kill(
                "killed, and away past the lease", workers, past_the_lease_s
            ),
            "frozen past the lease": lambda: self._freeze("frozen past the lease", workers, past_the_lease_s),
            "database crashed": lambda: self._crash(database),
            "connections cut": lambda: self._cut(database),
        }

    # Of processes ----------------------------------------------------------------------------------------------------

    async def _kill(self, kind: str, nodes: list[Node], away_s: tuple[float, float]) -> None:
        """kill -9, and another process in its place."""
        with self._one_of(nodes) as node:
            if node is None:
                return
            self.counts[kind] += 1
            await self._bad_moment()
            self.witness.note_loss(node.pid, kind)
            await node.kill()
            await asyncio.sleep(self.dice.uniform(*away_s))
            node.start()

    async def _stop(self) -> None:
        """SIGTERM, as in a rolling restart."""
        with self._one_of(self.fleet.nodes) as node:
            if node is not None:
                await self._restart(node)

    async def _restart(self, node: Node) -> None:
        await node.wait_until_ready()  # before that it has no handler for the signal
        self.counts["stopped"] += 1
        self.witness.note_loss(node.pid, "stopped")
        self.exit_codes.append(await node.stop())
        node.start()
        await node.wait_until_ready()

    async def _freeze(self, kind: str, nodes: list[Node], seconds: tuple[float, float]) -> None:
        """SIGSTOP, SIGCONT."""
        with self._one_of(nodes) as node:
            if node is None:
                return
            self.counts[kind] += 1
            await self._bad_moment()
            if seconds != _SOON_S:
                self.witness.note_loss(node.pid, kind)
            node.freeze()
            try:
                await asyncio.sleep(self.dice.uniform(*seconds))
            finally:
                node.thaw()

    @contextmanager
    def _one_of(self, nodes: list[Node]) -> Iterator[Node | None]:
        """One that is well, if there is one: the one that has had the fewest faults, so that everybody's turn comes."""
        well = [node for node in nodes if not node.is_in_trouble]
        if not well:
            yield None
            return
        node = min(well, key=lambda node: (node.n_faults, self.dice.random()))
        node.n_faults += 1
        node.is_in_trouble = True
        try:
            yield node
        finally:
            node.is_in_trouble = False

    async def _bad_moment(self) -> None:
        """Now; or right after a tool has begun or ended; or right after a customer heard what cannot be taken back."""
        match self.dice.choice(("now", "tool", "tool", "customer", "customer")):
            case "tool":
                log = self.fleet.folder / LOG
                size = _size(log)
                for _ in range(_MOMENT_WITHIN_MS):
                    if _size(log) != size:
                        return
                    await asyncio.sleep(0.001)
            case "customer":
                self.told.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_MOMENT_WITHIN_MS / 1000):
                        await self.told.wait()

    # Of clocks and of the database -----------------------------------------------------------------------------------

    async def _jump(self) -> None:
        self.counts["clock set wrong"] += 1
        self.dice.choice(self.fleet.nodes).jump(self.dice.choice(_JUMPS_S))

    async def _crash(self, database: PostgresDatabase) -> None:
        async with self.crashing:  # a server that is about to start does not survive the next crash
            self.counts["database crashed"] += 1
            await self._bad_moment()
            await database.crash()
            try:
                await asyncio.sleep(self.dice.uniform(*_SOON_S))
            finally:
                await database.restart()

    async def _cut(self, database: PostgresDatabase) -> None:
        try:
            await database.cut_connections()
        except UnreachableError:
            return  # it is down: there is none left to cut
        self.counts["connections cut"] += 1


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
