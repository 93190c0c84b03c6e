"""A runtime on a real SQLite file with a scripted model; `local` runs here, `remote` at the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentrt.config.load import load_config
from agentrt.engine.events import Event
from agentrt.engine.message import TextPart
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool
from agentrt.models.client import ModelClient
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.hosted import HostedName, HostedTool
from agentrt.runtime.leases import Role
from agentrt.runtime.requests import NewMessage, NewRun, NewThread
from agentrt.store.messages import list_messages
from agentrt.store.pages import PageQuery
from agentrt.store.runs import find_run
from agentrt.testing.scripts import ScriptedModel
from agentrt.toolkit.tool import Tool, tool

AGENTS = """
version = 1
[models.demo]
provider = "demo"
[agents.helper]
model = "demo"
instructions = "You help."
"""
REMOTE = FunctionTool("remote", "Ask the caller.", {"type": "object", "properties": {"q": {"type": "string"}}})


@tool
async def local(q: str = "") -> str:
    """Answer here."""
    return f"local {q}"


@dataclass
class World:
    """One open runtime and short words for what callers do."""

    runtime: Runtime
    model: ScriptedModel
    project: str = "default"
    thread_ids: list[str] = field(default_factory=list)

    async def thread(self, *texts: str, on_busy: str | None = None) -> str:
        messages = tuple(user(text) for text in texts)
        made = await self.runtime.threads.create(self.project, NewThread(messages=messages, on_busy=on_busy))  # type: ignore[arg-type]
        return made.id

    async def run(self, thread_id: str, *texts: str, **fields: object) -> Run:
        fields.setdefault("tools", (local_spec(), REMOTE))
        messages = tuple(user(text) for text in texts)
        new = NewRun(assistant_id="asst_helper", messages=messages, **fields)  # type: ignore[arg-type]
        return await self.runtime.runs.create(self.project, thread_id, new)

    async def rest(self, run: Run) -> Run:
        """The run once it is terminal or waits."""
        await self.events(run)
        return await self.look(run)

    async def events(self, run: Run, *, after: tuple[int, int] | None = None) -> list[Event]:
        async with asyncio.timeout(20):
            return [n.event async for burst in self.runtime.runs.follow(run.spec.id, after=after) for n in burst]

    async def look(self, run: Run) -> Run:
        found = await self.runtime.store.read(lambda tx: find_run(tx, self.project, run.spec.thread_id, run.spec.id))
        return found.to_run()

    async def until(self, run: Run, status: str) -> Run:
        async with asyncio.timeout(20):
            while (found := await self.look(run)).status != status:
                await asyncio.sleep(0.005)
        return found

    async def texts(self, thread_id: str) -> list[str]:
        page = await self.runtime.store.read(
            lambda tx: list_messages(tx, self.project, thread_id, PageQuery(limit=100, order="asc"))
        )
        return ["".join(str(part.get("text", "")) for part in m.parts) for m in page.items]

    def seen(self, n: int = -1) -> list[str]:
        """What the model was shown in its n-th call, as `role: text`."""
        return [f"{m.role}: {m.text}" for m in self.model.requests[n].messages]


def user(text: str) -> NewMessage:
    return NewMessage("user", (TextPart(text),))


def local_spec() -> FunctionTool:
    return local.spec()


@pytest.fixture
def open_world(tmp_path: Path) -> Callable[..., object]:
    """Opens a World in a folder (the test's own unless it says another)."""

    @asynccontextmanager
    async def open_in(
        model: ScriptedModel,
        *,
        folder: Path = tmp_path,
        tools: tuple[Tool, ...] = (local,),
        extra: str = "",
        role: Role = "all",
        hosted: Mapping[HostedName, HostedTool] | None = None,
    ) -> AsyncGenerator[World, None]:
        file = folder / "agents.toml"
        file.write_text(AGENTS + extra)
        models: dict[str, ModelClient] = {"demo": model}
        config = load_config(file, environ={})
        async with Runtime(config, tools=tools, models=models, role=role, hosted=hosted) as runtime:
            yield World(runtime, model)

    return open_in
