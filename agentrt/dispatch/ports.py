"""The two seams of scale-out. Correctness never depends on either: both only say that there is something to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from agentrt.store.database import Tx

Hint: TypeAlias = Literal["cancel", "gone"]
"""`cancel`: its driver shall stop. `gone`: it was deleted, nobody needs to wait for it."""


class Dispatcher(Protocol):
    """Says: somebody must drive this job now."""

    def submit(self, tx: Tx, job_id: str, n: int, delay_s: float = 0.0) -> None:
        """Dispatch once tx is durable. n tells the dispatches of one job apart (job.dispatch_n)."""
        ...

    async def serve(self, handle: Callable[[str], Awaitable[None]], *, slots: int) -> None:
        """Hand jobs to `handle`, at most `slots` at a time, until drained. `handle` does not raise."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Take nothing new; give what runs grace_s to end, then cancel it."""
        ...


class Bus(Protocol):
    """Hints about a run to whoever has to do with it."""

    def notify(self, tx: Tx, hint: Hint, ids: Sequence[str]) -> None:
        """Deliver once tx is durable."""
        ...

    def listen(self, hint: Hint, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call back with each id; returns the unsubscribe."""
        ...
