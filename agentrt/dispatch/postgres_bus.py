"""PgBus: hints between the processes that share a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

from agentrt.dispatch.local import LocalBus
from agentrt.dispatch.ports import Hint
from agentrt.dispatch.postgres_channel import Channel
from agentrt.store.database import Tx


class PgBus:
    """A Bus over a Channel. This process's own hints do not go through the server to reach its own listeners."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._here = LocalBus()
        hints: tuple[Hint, ...] = get_args(Hint)
        for hint in hints:
            channel.hear(hint, partial(self._here.deliver, hint))

    async def start(self) -> None:
        """See Bus.start."""
        await self._channel.start()

    def notify(self, tx: Tx, hint: Hint, ids: Sequence[str]) -> None:
        """See Bus.notify."""
        tx.after_commit(lambda: self._tell(hint, ids))

    def listen(self, hint: Hint, callback: Callable[[str], None]) -> Callable[[], None]:
        """See Bus.listen."""
        return self._here.listen(hint, callback)

    def on_gap(self, callback: Callable[[], None]) -> None:
        """See Bus.on_gap."""
        self._channel.on_gap(callback)

    async def close(self) -> None:
        """See Bus.close. Hints that wait are sent before."""
        await self._channel.close()

    def _tell(self, hint: Hint, ids: Sequence[str]) -> None:
        self._channel.send(hint, ids)
        self._here.deliver(hint, ids)
