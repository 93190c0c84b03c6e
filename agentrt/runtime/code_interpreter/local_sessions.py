"""Code sessions of a CodeInterpreter: one for each conversation, with its files in memory."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from agentrt.clock import SystemClock
from agentrt.config.schema import SandboxDriver, SandboxSpec
from agentrt.runtime.code_interpreter.boxes import PooledBoxes
from agentrt.runtime.code_interpreter.folder import Folders
from agentrt.runtime.code_interpreter.memory_shelf import CodeFile, MemoryShelf
from agentrt.runtime.code_interpreter.sandboxes import Sandboxes
from agentrt.runtime.code_interpreter.tool import CodeRunner
from agentrt.sandbox.sandbox import Sandbox, declared_sandbox


class LocalCode(Protocol):
    """What a CodeInterpreter was told (see there), and what it keeps: files by id, shelves by conversation."""

    sandbox: str | SandboxSpec
    driver: SandboxDriver | None
    config: Path | None
    inputs: tuple[Path, ...]
    max_output_bytes: int
    files: dict[str, CodeFile]
    shelves: WeakKeyDictionary[object, MemoryShelf]


class LocalSessions:
    """The sandboxes of a CodeInterpreter while they are up. Leaving the block ends them."""

    def __init__(self, code: LocalCode) -> None:
        self._code = code
        self._clock = SystemClock()
        self._folders = Folders()
        self._keys: dict[str, MemoryShelf] = {}
        self._tasks = asyncio.TaskGroup()
        self._sandboxes: Sandboxes | None = None
        self._serving: asyncio.Task[None] | None = None
        self._name = ""

    async def __aenter__(self) -> Self:
        spec = await _spec(self._code)
        owner = secrets.token_hex(8)  # nobody is to find these again
        self._name = spec.name
        self._sandboxes = Sandboxes({spec.name: spec}, owner=lambda: owner, clock=self._clock, save=_keep_nothing)
        await self._tasks.__aenter__()
        self._serving = self._tasks.create_task(self._sandboxes.serve(), name="sandboxes")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._sandboxes is not None
        assert self._serving is not None
        try:
            await self._sandboxes.drop(self._keys)
        finally:
            self._serving.cancel()
            await self._tasks.__aexit__(None, None, None)

    def runner(self, conversation: object) -> CodeRunner:
        """code_interpreter for one run on the conversation."""
        assert self._sandboxes is not None
        shelf = self._code.shelves.get(conversation)
        if shelf is None:
            shelf = self._code.shelves[conversation] = MemoryShelf(self._code.inputs, self._code.files)
        self._keys[shelf.key] = shelf
        boxes = PooledBoxes(self._sandboxes, self._name, shelf.key)
        return CodeRunner(boxes, shelf, self._folders, max_output_bytes=self._code.max_output_bytes)


async def _spec(code: LocalCode) -> SandboxSpec:
    spec = code.sandbox
    if isinstance(spec, str):
        spec = await asyncio.to_thread(declared_sandbox, spec, code.config)
    return spec if code.driver is None else replace(spec, driver=code.driver)


async def _keep_nothing(sandbox: str, key: str, box: Sandbox) -> None:
    """What a call wrote was kept after it."""
