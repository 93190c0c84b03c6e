"""What is in the folders of a declared store is in the store: what comes, changes and goes, and what fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentrt.config.load import load_config
from agentrt.engine.events import RunCompleted
from agentrt.engine.message import JsonObject, TextPart
from agentrt.errors import NotFoundError, PermissionDeniedError
from agentrt.models.client import ModelClient
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.requests import NewMessage, NewRun, NewStoreFile, NewThread
from agentrt.runtime.vector_stores.search import StoreQuery
from agentrt.runtime.vector_stores.watching.state import FolderState, read_folder_state
from agentrt.store.assistants import find_assistant
from agentrt.store.database import Tx
from agentrt.store.files import list_files
from agentrt.store.pages import PageQuery
from agentrt.store.vector_stores import VectorStore, find_vector_store
from agentrt.store.watched_folders import WatchedFile, list_watched_files, prolong_watch, take_watch
from agentrt.testing.scripts import ScriptedModel, call, text

AGENTS = """
[models.demo]
provider = "demo"
[agents.helper]
model = "demo"
tools = ["file_search"]
"""
STORE = """
[vector_stores.handbook]
name = "Handbook"
folders = ["docs"]
check_every = "1s"
attributes = { team = "hr" }
"""
HANDBOOK = "vs_handbook"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


class Project:
    """A folder with agents.toml and documents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "docs").mkdir()

    def put(self, name: str, content: str | bytes) -> Path:
        """A file that was written a while ago; each time at another moment."""
        path = self.folder / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime if path.exists() else 1_700_000_000
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (before + 10, before + 10))
        return path

    @asynccontextmanager
    async def open(
        self, toml: str = AGENTS + STORE, *, model: ScriptedModel | None = None
    ) -> AsyncGenerator[Runtime, None]:
        (self.folder / "agents.toml").write_text(toml)
        models: dict[str, ModelClient] = {} if model is None else {"demo": model}
        async with Runtime(load_config(self.folder / "agents.toml", environ={}), models=models) as runtime:
            yield runtime


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.05)


async def find(runtime: Runtime, words: str) -> list[str]:
    answer = await runtime.store_search.search("default", [HANDBOOK], StoreQuery(queries=(words,)))
    return [result.file.filename for result in answer.results]


async def rows(runtime: Runtime) -> dict[str, WatchedFile]:
    found = await runtime.store.read(lambda tx: list_watched_files(tx, HANDBOOK))
    return {row.path: row for row in found}


async def state(runtime: Runtime) -> FolderState:
    return await runtime.store.read(lambda tx: read_folder_state(tx, runtime.config, "default", HANDBOOK))


async def settled(runtime: Runtime, *paths: str) -> None:
    """Wait until the store has exactly these files, and nothing is on its way."""

    async def is_so() -> bool:
        known = await rows(runtime)
        return set(known) == {f"docs/{path}" for path in paths} and all(
            row.next_file_id is None and row.sha256 for row in known.values()
        )

    await until(is_so)


async def n_files(runtime: Runtime) -> int:
    page = await runtime.store.read(lambda tx: list_files(tx, "default", PageQuery(limit=100)))
    return len(page.items)


async def test_files_of_a_folder_are_found_while_they_are_there_and_as_they_are(project: Project) -> None:
    refunds = project.put("refunds.md", "Refunds are paid within fourteen days.")
    project.put("old/travel.txt", "Trains are first class.")
    project.put(".hidden.md", "secretword")
    project.put("half.md.part", "secretword")
    project.put("empty.md", "")
    (project.folder / "outside.md").write_text("secretword")
    (project.folder / "docs" / "link.md").symlink_to(project.folder / "outside.md")
    async with project.open() as runtime:
        await settled(runtime, "old/travel.txt", "refunds.md")
        assert await find(runtime, "refunds") == ["refunds.md"]
        assert await find(runtime, "secretword") == []
        [result] = (await runtime.store_search.search("default", [HANDBOOK], StoreQuery(queries=("trains",)))).results
        assert result.file.attributes == {"team": "hr", "path": "docs/old/travel.txt"}
        assert (await state(runtime)).problems == ["docs: left out: link.md: it is a link that leads out of the folder"]

        project.put("refunds.md", "Refunds are paid within a century.")

        async def is_new() -> bool:
            return bool(await find(runtime, "century"))

        await until(is_new)
        await settled(runtime, "old/travel.txt", "refunds.md")
        assert await find(runtime, "fourteen") == []
        refunds.unlink()
        await settled(runtime, "old/travel.txt")
        assert await find(runtime, "refunds") == []
        assert await n_files(runtime) == 1


async def test_a_file_that_cannot_be_read_is_named_and_an_older_version_stays(project: Project) -> None:
    project.put("photo.txt", PNG)
    project.put("policy.txt", "Leave is thirty days.")
    async with project.open() as runtime:
        await settled(runtime, "photo.txt", "policy.txt")
        [(path, why)] = (await state(runtime)).failures
        assert path == "docs/photo.txt"
        assert "PNG" in why
        failed = (await rows(runtime))["docs/photo.txt"].file_id
        project.put("policy.txt", PNG)

        async def is_noted() -> bool:
            return len((await state(runtime)).failures) == 2

        await until(is_noted)
        assert await find(runtime, "leave") == ["policy.txt"]
        policy = (await rows(runtime))["docs/policy.txt"]
        assert (policy.error or "").endswith("The version before it is still found.")
        assert await n_files(runtime) == 2
        health = (await runtime.health()).vector_stores["handbook"]
        assert health.on, "the version before it is found"
        assert "2 not indexed as they are" in (health.why or "")
        assert (await rows(runtime))["docs/photo.txt"].file_id == failed, "it was not tried again"


async def test_a_store_is_on_as_long_as_something_in_it_is_found(project: Project) -> None:
    project.put("photo.txt", PNG)
    async with project.open() as runtime:
        await settled(runtime, "photo.txt")
        health = (await runtime.health()).vector_stores["handbook"]
        assert not health.on, "nothing in it can be found"
        assert "1 not indexed as they are" in (health.why or "")
    project.put("policy.txt", "Leave is thirty days.")
    async with project.open() as runtime:
        await settled(runtime, "photo.txt", "policy.txt")
        health = (await runtime.health()).vector_stores["handbook"]
        assert health.on
        assert "agentrt stores show handbook says which and why" in (health.why or "")


async def test_a_restart_indexes_nothing_again_and_a_folder_that_is_gone_takes_nothing_with_it(
    project: Project,
) -> None:
    project.put("refunds.md", "Refunds are paid within fourteen days.")
    async with project.open() as runtime:
        await settled(runtime, "refunds.md")
        before = await rows(runtime)
    (project.folder / "docs").rename(project.folder / "elsewhere")
    async with project.open() as runtime:

        async def is_looked_for() -> bool:
            return bool((await state(runtime)).problems)

        await until(is_looked_for)
        assert await find(runtime, "refunds") == ["refunds.md"]
        (project.folder / "elsewhere").rename(project.folder / "docs")

        async def is_well() -> bool:
            return not (await state(runtime)).problems

        await until(is_well)
        assert await rows(runtime) == before


async def test_the_table_makes_changes_and_takes_away_the_store(project: Project) -> None:
    project.put("refunds.md", "Refunds are paid within fourteen days.")

    def stored(tx: Tx) -> VectorStore:
        return find_vector_store(tx, "default", HANDBOOK)

    named = AGENTS + 'vector_stores = ["handbook"]\n' + STORE
    async with project.open(named) as runtime:
        assistant = await runtime.store.read(lambda tx: find_assistant(tx, "default", "asst_helper"))
        assert assistant.tool_resources == {"file_search": {"vector_store_ids": [HANDBOOK]}}
        await settled(runtime, "refunds.md")
        made = await runtime.store.read(stored)
        assert made.name == "Handbook"
        with pytest.raises(PermissionDeniedError, match=r"agents\.toml"):
            await runtime.vector_stores.delete("default", HANDBOOK)
        other = await runtime.files.put(
            "default", _bytes(b"A word of their own."), filename="a.txt", purpose="assistants"
        )
        await runtime.vector_stores.put_file("default", HANDBOOK, NewStoreFile(other.id))
    changed = STORE.replace('"Handbook"', '"Manual"').replace('"hr"', '"all"') + "chunk_tokens = 100\n"
    async with project.open(AGENTS + changed) as runtime:
        after = await runtime.store.read(stored)
        assert (after.name, after.created_at) == ("Manual", made.created_at)

        async def is_cut_anew() -> bool:
            answer = await runtime.store_search.search("default", [HANDBOOK], StoreQuery(queries=("refunds",)))
            assert answer.results, "the old version is found until then"
            return answer.results[0].file.attributes["team"] == "all"

        await until(is_cut_anew)
        await settled(runtime, "refunds.md")
    async with project.open(AGENTS) as runtime:
        with pytest.raises(NotFoundError):
            await runtime.store.read(stored)
        assert await n_files(runtime) == 1, "what came from the folder is gone, the other one stays"


async def test_a_declared_agent_searches_its_store_in_every_project_and_nobody_else_there(project: Project) -> None:
    project.put("refunds.md", "Refunds are paid within fourteen days.")
    agents = AGENTS.replace('"file_search"]\n', '"file_search"]\nvector_stores = ["handbook"]\n')
    model = ScriptedModel(call("file_search", queries=["refunds"]), text("Within fourteen days."))
    async with project.open(agents + STORE, model=model) as runtime:
        await settled(runtime, "refunds.md")
        thread = NewThread(messages=(NewMessage("user", (TextPart("When are refunds paid?"),)),))
        run = await runtime.runs.create_with_thread("other", thread, NewRun(assistant_id="asst_helper"))
        async with asyncio.timeout(60):
            events = [n.event async for some in runtime.runs.follow(run.spec.id) for n in some]
        assert isinstance(events[-1], RunCompleted)
        assert any("fourteen days" in message.text for message in model.requests[-1].messages)

        names_it: JsonObject = {"file_search": {"vector_store_ids": [HANDBOOK]}}
        with pytest.raises(NotFoundError):
            await runtime.threads.create("other", NewThread(tool_resources=names_it))
        with pytest.raises(NotFoundError):
            await runtime.store_search.search("other", [HANDBOOK], StoreQuery(queries=("refunds",)))


async def test_there_are_never_more_files_than_may_be(project: Project) -> None:
    for number in range(4):
        project.put(f"{number}.md", f"Text {number}.")
    async with project.open(AGENTS + STORE + "max_files = 3\n") as runtime:
        await settled(runtime, "0.md", "1.md", "2.md")
        assert (await state(runtime)).problems == ["there are more than max_files = 3 files; the others are left out"]


async def test_a_look_belongs_to_one_process_until_it_gives_no_sign_of_life(project: Project) -> None:
    (project.folder / "agents.toml").write_text(AGENTS + STORE.replace('"1s"', '"1h"'))
    async with Runtime(load_config(project.folder / "agents.toml", environ={})) as runtime:

        async def is_looked() -> bool:
            return (await state(runtime)).checked_at is not None

        await until(is_looked)
        later = runtime.clock.now() + 7200

        def look(tx: Tx) -> list[bool]:
            return [
                take_watch(tx, HANDBOOK, holder="a", now=later),
                take_watch(tx, HANDBOOK, holder="b", now=later + 59),
                prolong_watch(tx, HANDBOOK, holder="a", now=later + 59),
                take_watch(tx, HANDBOOK, holder="b", now=later + 61),
                take_watch(tx, HANDBOOK, holder="b", now=later + 120),
                prolong_watch(tx, HANDBOOK, holder="a", now=later + 121),
            ]

        assert await runtime.store.write(look) == [True, False, True, False, True, False]


async def _bytes(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


async def test_of_many_processes_one_looks_and_each_file_is_put_in_once(project: Project, postgres_url: str) -> None:
    for number in range(6):
        project.put(f"{number}.md", f"Text {number} about refunds.")
    toml = f'[runtime]\ndatabase = "{postgres_url}"\n{AGENTS}{STORE}'
    async with project.open(toml) as one, project.open(toml) as other:
        await settled(one, *(f"{number}.md" for number in range(6)))
        assert len(await find(other, "refunds")) == 6
        assert await n_files(one) == 6
        project.put("0.md", "Text zero about leave.")

        async def is_new() -> bool:
            return await find(other, "leave") == ["0.md"]

        await until(is_new)
        await settled(one, *(f"{number}.md" for number in range(6)))
        assert await n_files(other) == 6
