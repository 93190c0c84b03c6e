"""Short words for runs that call code_interpreter, over a World."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentrt.engine.message import CodeShown, FilePath, ImageFilePart, TextPart
from agentrt.engine.spec import CodeInterpreterTool, FunctionTool
from agentrt.runtime.requests import NewThread
from agentrt.sandbox.sandbox import Sandbox
from agentrt.store.files import File, find_file
from agentrt.testing.scripts import Answer, ScriptedModel, call, text
from tests.runtime.conftest import World, user
from tests.runtime.hosted_runs import ToldRun, ToolWorld

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[World]]

LOCAL = '[sandboxes.python]\ndriver = "unsafe-local"\n'
"""Code runs as it is: for what has nothing to do with isolation. Its folder is the current one."""

PICTURE = """
import struct, zlib
class Picture:
    def _repr_png_(self):
        def chunk(name, data):
            return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
        head = chunk(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))
        pixel = chunk(b'IDAT', zlib.compress(b'\\0\\7'))
        return b'\\x89PNG\\r\\n\\x1a\\n' + head + pixel + chunk(b'IEND', b'')
"""
"""Something that shows itself as an image without any package."""


@dataclass
class Told(ToldRun):
    """What one run told."""

    @property
    def shown(self) -> CodeShown:
        assert isinstance(self.result.shown, CodeShown)
        return self.result.shown

    @property
    def links(self) -> dict[str, str]:
        """What its answer links to: text → file id."""
        found = [a for part in self.parts if isinstance(part, TextPart) for a in part.annotations]
        return {link.text: link.file_id for link in found if isinstance(link, FilePath)}

    @property
    def images(self) -> list[str]:
        return [part.file_id for part in self.parts if isinstance(part, ImageFilePart)]


@dataclass
class Coder(ToolWorld):
    """One runtime whose model writes the code that the test gives it."""

    tool = "code_interpreter"

    async def file(self, file_id: str) -> File:
        return await self.world.runtime.store.read(lambda tx: find_file(tx, self.world.project, file_id))

    async def content(self, file_id: str) -> bytes:
        return b"".join([piece async for piece in await self.world.runtime.files.content(await self.file(file_id))])

    async def run(self, thread_id: str, *codes: str, answer: str = "Done.", **fields: Any) -> Told:
        """A run in which the model calls the tool once for each of these codes, and then answers."""
        self.model.add(*(calls(code) for code in codes), text(answer))
        run = await self.world.run(thread_id, tools=(CodeInterpreterTool(),), **fields)
        events = await self.world.events(run)
        return Told(await self.world.look(run), events)

    def offered(self, n: int = -1) -> str:
        """How the tool was described to the model in its n-th call."""
        (tool,) = self.model.requests[n].tools
        assert isinstance(tool, FunctionTool)
        assert tool.name == "code_interpreter"
        return tool.description or ""


def calls(code: str) -> Answer:
    return call("code_interpreter", code=code)


@asynccontextmanager
async def open_coder(open_world: Open, *, extra: str = LOCAL, **given: Any) -> AsyncGenerator[Coder, None]:
    async with open_world(ScriptedModel(), extra=extra, **given) as world:
        yield Coder(world)


async def thread(coder: Coder, *, file_ids: tuple[str, ...] = ()) -> str:
    """A thread on which somebody has asked for something; its id."""
    resources = {"code_interpreter": {"file_ids": [*file_ids]}} if file_ids else {}
    new = NewThread(messages=(user("Go"),), tool_resources=resources)  # type: ignore[arg-type]
    return (await coder.world.runtime.threads.create(coder.world.project, new)).id


def sandbox_of(coder: Coder, thread_id: str) -> Sandbox | None:
    return coder.world.runtime.code.sandboxes.find("python", thread_id)


async def drop_sandbox(coder: Coder, thread_id: str) -> None:
    box = sandbox_of(coder, thread_id)
    assert box is not None
    coder.world.runtime.code.sandboxes.forget(thread_id)
    async with asyncio.timeout(20):
        while box.is_alive:
            await asyncio.sleep(0.01)
