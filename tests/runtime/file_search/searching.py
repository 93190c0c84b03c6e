"""Short words for runs that call file_search, over a World."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import bindparam

from agentrt.engine.message import FileCitation, JsonObject, SearchShown, TextPart
from agentrt.engine.spec import FileSearchTool, FunctionTool
from agentrt.runtime.requests import NewThread, NewVectorStore
from agentrt.store.records import table_of, update_row
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import (
    VectorStoreFile,
    VectorStoreFileTable,
    attach_files,
    count_files,
)
from agentrt.store.vector_stores import VectorStoreTable
from agentrt.testing.scripts import Answer, ScriptedModel, call, text
from tests.runtime.conftest import World, user
from tests.runtime.hosted_runs import ToldRun, ToolWorld

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[World]]

_of_file = table_of(VectorStoreFileTable)
_set_status = Statement(
    _of_file.update()
    .where(_of_file.c.store_id == bindparam("of_store"), _of_file.c.file_id == bindparam("of_file"))
    .values(status=bindparam("now_is"), last_error_message=bindparam("why"))
)


@dataclass
class Told(ToldRun):
    """What one run told."""

    @property
    def shown(self) -> SearchShown:
        assert isinstance(self.result.shown, SearchShown)
        return self.result.shown

    @property
    def names(self) -> list[str]:
        """Of the files that were found, the best first."""
        return [hit.file_name for hit in self.shown.hits]

    @property
    def answer(self) -> TextPart:
        (part,) = self.parts
        assert isinstance(part, TextPart)
        return part

    @property
    def citations(self) -> list[tuple[str, str]]:
        """(marker, file id) of each in the answer; that their offsets are true is seen to here."""
        found = []
        for annotation in self.answer.annotations:
            assert isinstance(annotation, FileCitation)
            assert self.answer.text[annotation.start : annotation.end] == annotation.text
            found.append((annotation.text, annotation.file_id))
        return found


@dataclass
class Librarian(ToolWorld):
    """One runtime with stores that the test fills."""

    tool = "file_search"
    folder: Path

    async def store(self, **files: str) -> str:
        """A vector store with these texts in it, indexed, by the names of their files without `.txt`."""
        file_ids = [await self.upload(f"{name}.txt", words) for name, words in files.items()]
        return await self.store_of(*file_ids)

    async def store_of(self, *file_ids: str) -> str:
        """A vector store with these files, indexed."""
        new = NewVectorStore(file_ids=file_ids)
        store = await self.world.runtime.vector_stores.create(self.world.project, new)
        async with asyncio.timeout(60):
            while (await self.world.runtime.store.read(lambda tx: count_files(tx, store.id))).in_progress:
                await asyncio.sleep(0.02)
        return store.id

    async def attach(self, store_id: str, file_id: str) -> None:
        """Put a file into a store that nobody indexes: as if its job took very long."""
        now = int(self.world.runtime.clock.now())
        row = VectorStoreFile(
            store_id=store_id, file_id=file_id, project=self.world.project, created_at=now, job_id="job_slow"
        )
        await self.world.runtime.store.write(lambda tx: attach_files(tx, [row]))

    async def mark(self, store_id: str, file_id: str, status: str, *, why: str | None = None) -> None:
        """What became of indexing a file."""
        values = {"of_store": store_id, "of_file": file_id, "now_is": status, "why": why}
        await self.world.runtime.store.write(lambda tx: _set_status.run(tx, values))

    async def expire(self, store_id: str) -> None:
        change = {"expired_at": int(self.world.runtime.clock.now())}
        await self.world.runtime.store.write(lambda tx: update_row(tx, table_of(VectorStoreTable), store_id, change))

    async def thread(self, store_id: str | None = None) -> str:
        resources: JsonObject = {} if store_id is None else {"file_search": {"vector_store_ids": [store_id]}}
        new = NewThread(messages=(user("Go"),), tool_resources=resources)
        return (await self.world.runtime.threads.create(self.world.project, new)).id

    async def run(self, thread_id: str, *answers: Answer, **fields: Any) -> Told:
        """A run in which the model gives these answers."""
        self.model.add(*answers)
        fields.setdefault("tools", (FileSearchTool(),))
        run = await self.world.run(thread_id, **fields)
        events = await self.world.events(run)
        return Told(await self.world.look(run), events)

    async def ask(self, thread_id: str, *queries: str, answer: str = "Done.", **fields: Any) -> Told:
        """A run in which the model searches once, with these queries, and then answers."""
        return await self.run(thread_id, search(*queries), text(answer), **fields)

    def offered(self, n: int = -1) -> str:
        """How the tool was described to the model in its n-th call."""
        (tool,) = self.model.requests[n].tools
        assert isinstance(tool, FunctionTool)
        assert tool.name == "file_search"
        return tool.description or ""


def search(*queries: str) -> Answer:
    return call("file_search", queries=list(queries))


@asynccontextmanager
async def open_librarian(
    open_world: Open, folder: Path, *, model: ScriptedModel | None = None, **given: Any
) -> AsyncGenerator[Librarian, None]:
    async with open_world(model or ScriptedModel(), folder=folder, **given) as world:
        yield Librarian(world, folder)
