"""The two seams of scale-out. Correctness never depends on either: both only say that there is something to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias

from agentrt.store.database import Tx
from agentrt.store.jobs import Ready

Hint: TypeAlias = Literal["cancel", "gone", "news"]
"""`cancel`: its driver shall stop. `gone`: it was deleted (a run or a thread), nobody needs to wait for it. `news`: a
run's stored events have grown, for processes that do not drive it."""


class Dispatcher(Protocol):
    """Says: somebody must drive this job now. The job's own row says so too (`ready_at`), and rules.

    Any job may be handed out twice, late, or to two processes: taking it (store.jobs.take_job) sorts that out.
    """

    def submit(self, tx: Tx, job: Ready, *, delay_s: float = 0.0) -> None:
        """Hand the job out once tx is durable. The same Ready twice need not be handed out twice: who reminds of jobs
        that wait in a long queue must not make it longer."""
        ...

    def retry(self, job_id: str, *, delay_s: float) -> None:
        """Hand the job to `handle` here again later, with no transaction: the database failed under its driver."""
        ...

    def aside(self, job_id: str) -> AbstractAsyncContextManager[bool]:
        """While a job that is driven here does nothing but wait for other jobs: they may have its slot. Afterwards it
        waits for one, before those that have not begun.

        False: too many wait already. It keeps its slot, and had better not wait: those it waits for may need it.
        """
        ...

    def open_queue(self, queue: str) -> None:
        """Take this queue's jobs too, also when serving has begun. The default queue is open."""
        ...

    async def serve(self, handle: Callable[[str], Awaitable[None]], *, slots: int) -> None:
        """Hand jobs to `handle`, at most `slots` at a time, until drained. `handle` does not raise."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Take nothing new; give what runs grace_s to end, then cancel it."""
        ...


class Bus(Protocol):
    """Hints to whoever has to do with a run, in all processes that share the database."""

    async def start(self) -> None:
        """Begin to listen. A server that is away is waited for in the background."""
        ...

    def notify(self, tx: Tx, hint: Hint, ids: Sequence[str]) -> None:
        """Deliver once tx is durable: here at once, elsewhere if the network likes."""
        ...

    def listen(self, hint: Hint, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call back with each id; returns the unsubscribe. A callback that raises is logged."""
        ...

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call back when hints of other processes may have been missed."""
        ...

    async def close(self) -> None:
        """Stop listening."""
        ...
