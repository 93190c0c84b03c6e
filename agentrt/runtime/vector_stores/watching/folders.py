"""Folders: has the folders of the declared stores looked through when that is due, by one process of all."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import partial
from typing import Final

from agentrt.clock import Clock
from agentrt.config.schema import VectorStoreSpec
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import AgentrtError, StoreError
from agentrt.runtime.files import Files
from agentrt.runtime.storage import Storage
from agentrt.runtime.sweeper import Sweep
from agentrt.runtime.vector_stores.watching.look import Look, LookLostError
from agentrt.store.database import Store, Tx
from agentrt.store.vector_stores import load_vector_store
from agentrt.store.watched_folders import delete_watch, find_watch, finish_watch, take_watch

log = logging.getLogger(__name__)

_ASK_EVERY_S: Final = 1.0
_SOON_S: Final = 1.0
_SHARE: Final = 0.1
"""How much of the time may go into looking while files are being indexed."""


class Folders:
    """Watches the folders of stores."""

    def __init__(
        self,
        specs: Mapping[str, VectorStoreSpec],
        *,
        store: Store,
        files: Files,
        storage: Storage,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        self._specs = specs
        self._store = store
        self._files = files
        self._storage = storage
        self._dispatcher = dispatcher
        self._clock = clock
        self._holder = os.urandom(8).hex()
        self._asks_at: dict[str, float] = {}
        self._said: dict[str, list[str]] = {}

    def sweeps(self) -> list[Sweep]:
        """One for each store, so that a large one holds no other up."""
        return [Sweep(f"folders {spec.name}", partial(self.sweep, spec), _ASK_EVERY_S) for spec in self._specs.values()]

    async def sweep(self, spec: VectorStoreSpec) -> None:
        """Look through the store's folders if that is due and nobody else is at it.

        Raises StoreError; anything else that keeps from it is written down for the owner, and tried again when the
        next look is due.
        """
        now = self._clock.now()
        if now < self._asks_at.get(spec.id, 0.0) or not await self._take(spec, now=now):
            return
        look = Look(
            spec,
            holder=self._holder,
            store=self._store,
            files=self._files,
            storage=self._storage,
            dispatcher=self._dispatcher,
            clock=self._clock,
        )
        try:
            await look.go()
        except LookLostError:
            return
        except StoreError:
            raise
        except AgentrtError as error:
            look.problems.append(error.message)
        await self._finish(spec, look, began=now)

    async def _take(self, spec: VectorStoreSpec, *, now: float) -> bool:
        def read(tx: Tx) -> float | None:
            watch, store = find_watch(tx, spec.id), load_vector_store(tx, spec.id)
            is_used = store is not None and not store.is_expired(now)
            return None if watch is None or not is_used else max(watch.due_at, watch.held_until or 0.0)

        due_at = await self._store.read(read)
        if due_at is None or due_at > now:
            # Not slept until then: who is at it may be done sooner, and look again soon.
            self._asks_at[spec.id] = now + spec.check_every_s if due_at is None else min(due_at, now + _SOON_S)
            return False
        return await self._store.write(lambda tx: take_watch(tx, spec.id, holder=self._holder, now=now))

    async def _finish(self, spec: VectorStoreSpec, look: Look, *, began: float) -> None:
        now = self._clock.now()
        soon_s = max(_SOON_S, (now - began) / _SHARE)
        due_at = now + (min(soon_s, spec.check_every_s) if look.is_pending else spec.check_every_s)

        def write(tx: Tx) -> None:
            finish_watch(tx, spec.id, holder=self._holder, now=now, due_at=due_at, problems=look.problems)
            if not spec.folders:
                delete_watch(tx, spec.id)

        await self._store.write(write)
        if look.problems != self._said.get(spec.id, []):
            log.warning("folders.problems", extra={"store": spec.id, "n": len(look.problems)})
        self._said[spec.id] = look.problems
