"""Boxes of one session, from the pool of its kind of sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from agentrt.config.schema import SandboxSpec
from agentrt.runtime.code_interpreter.sandboxes import Sandboxes
from agentrt.runtime.code_interpreter.tool import Known
from agentrt.sandbox.sandbox import Sandbox

LOOK_S: Final = 10.0
"""How long a run waits for what is to be told of the sandbox; its image may have to be built first."""


class PooledBoxes:
    """See Boxes. key: the session's; name: which kind of sandbox."""

    def __init__(self, sandboxes: Sandboxes, name: str, key: str) -> None:
        self._sandboxes = sandboxes
        self._name = name
        self._key = key

    @property
    def spec(self) -> SandboxSpec:
        return self._sandboxes.spec(self._name)

    async def look(self) -> Known:
        """See Boxes.look."""
        try:
            async with asyncio.timeout(LOOK_S):
                state = await self._sandboxes.settled(self._name)
        except TimeoutError:
            state = self._sandboxes.state(self._name)
        return Known(state.capabilities, state.packages)

    @asynccontextmanager
    async def session(self, *, is_ours: bool) -> AsyncGenerator[Sandbox, None]:
        """See Boxes.session."""
        pool = await self._sandboxes.pool(self._name)
        if not is_ours:
            await pool.drop(self._key)
        async with pool.session(self._key) as box:
            self._sandboxes.learn(self._name, box)
            yield box

    def find(self) -> Sandbox | None:
        """See Boxes.find."""
        return self._sandboxes.find(self._name, self._key)
