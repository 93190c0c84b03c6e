"""Dispatcher and Bus inside one process, fed after commit. What a crash loses of them, the job's rows still say."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from agentrt.dispatch.ports import Hint
from agentrt.dispatch.slots import Slots
from agentrt.store.database import Tx
from agentrt.store.jobs import DEFAULT_QUEUE, Ready

log = logging.getLogger(__name__)


class LocalDispatcher:
    """Jobs in a queue of the event loop. A job that is being driven is not driven twice: it is driven again after."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots = Slots()
        self._parked: defaultdict[str, dict[str, None]] = defaultdict(dict)  # in order, each once
        self._open = {DEFAULT_QUEUE}

    def submit(self, tx: Tx, job: Ready, *, delay_s: float = 0.0) -> None:
        """See Dispatcher.submit."""
        tx.after_commit(lambda: self.put(job, delay_s=delay_s))

    def put(self, job: Ready, *, delay_s: float = 0.0) -> None:
        """Hand out with no transaction: for jobs that an earlier process left."""
        if delay_s > 0:
            self._loop.call_later(delay_s, self.put, job)
        elif job.queue in self._open:
            self._slots.put(job.job_id)
        else:
            self._parked[job.queue][job.job_id] = None

    def retry(self, job_id: str, *, delay_s: float) -> None:
        """See Dispatcher.retry."""
        self._loop.call_later(delay_s, self._slots.put, job_id)

    def aside(self, job_id: str) -> AbstractAsyncContextManager[bool]:
        """See Dispatcher.aside."""
        return self._slots.aside(job_id)

    def open_queue(self, queue: str) -> None:
        """See Dispatcher.open_queue."""
        self._open.add(queue)
        for job_id in self._parked.pop(queue, ()):
            self._slots.put(job_id)

    @property
    def depth(self) -> int:
        """How many jobs wait for a slot."""
        return self._slots.n_waiting

    async def serve(self, handle: Callable[[str], Awaitable[None]], *, slots: int) -> None:
        """See Dispatcher.serve."""
        await self._slots.serve(handle, slots)

    async def drain(self, grace_s: float) -> None:
        """See Dispatcher.drain."""
        await self._slots.drain(grace_s)


class LocalBus:
    """Hints as plain calls after commit. There is nobody else, so that none can be missed."""

    def __init__(self) -> None:
        self._listeners: defaultdict[Hint, list[Callable[[str], None]]] = defaultdict(list)

    async def start(self) -> None:
        """See Bus.start."""

    def notify(self, tx: Tx, hint: Hint, ids: Sequence[str]) -> None:
        """See Bus.notify."""
        tx.after_commit(lambda: self.deliver(hint, ids))

    def listen(self, hint: Hint, callback: Callable[[str], None]) -> Callable[[], None]:
        """See Bus.listen."""
        self._listeners[hint].append(callback)
        return lambda: self._listeners[hint].remove(callback)

    def on_gap(self, callback: Callable[[], None]) -> None:
        """See Bus.on_gap."""

    async def close(self) -> None:
        """See Bus.close."""

    def deliver(self, hint: Hint, ids: Sequence[str]) -> None:
        """Call the listeners now."""
        for callback in list(self._listeners[hint]):
            for object_id in ids:
                try:
                    callback(object_id)
                except Exception:
                    log.exception("bus.listener_failed", extra={"hint": hint, "id": object_id})
