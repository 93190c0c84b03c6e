"""open_store: what is opened is locked and migrated, and what cannot be opened says why and what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentrt.clock import SystemClock
from agentrt.errors import StoreError
from agentrt.store.lock import read_lock
from agentrt.store.open import open_store
from agentrt.store.pages import PageQuery
from agentrt.store.threads import find_thread, list_threads
from tests.contracts.rows import HOME, put_thread
from tests.postgres import PostgresServer

CLOCK = SystemClock()


async def test_a_new_file_is_made_in_a_new_folder_and_found_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/folder/agentrt.db"
    store = await open_store(url, clock=CLOCK, server_url="http://127.0.0.1:8700")
    thread = await store.write(put_thread)
    holder = read_lock(tmp_path / "new" / "folder" / "agentrt.db")
    assert holder is not None
    assert holder.url == "http://127.0.0.1:8700"
    await store.close()
    assert read_lock(tmp_path / "new" / "folder" / "agentrt.db") is None
    again = await open_store(url, clock=CLOCK)
    assert await again.read(lambda tx: find_thread(tx, HOME, thread.id)) == thread
    await again.close()


async def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite:///agentrt.db", clock=CLOCK)
    await store.close()
    assert (tmp_path / "agentrt.db").exists()


async def test_a_file_that_is_open_is_refused_to_the_second_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agentrt.db"
    store = await open_store(url, clock=CLOCK)
    with pytest.raises(StoreError, match="another process has it open"):
        await open_store(url, clock=CLOCK)
    await store.write(put_thread)
    await store.close()


async def test_a_file_that_cannot_be_opened_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1000)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a SQLite database"):
            await open_store(f"sqlite:///{path}", clock=CLOCK)
    assert read_lock(path) is None


async def test_who_does_not_want_migrations_is_told_that_one_is_needed(tmp_path: Path, empty_postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path}/agentrt.db", empty_postgres_url):
        with pytest.raises(StoreError, match="agentrt migrate"):
            await open_store(url, clock=CLOCK, migrate=False)


# PostgreSQL ----------------------------------------------------------------------------------------------------------


async def test_an_empty_postgres_is_migrated_and_used(empty_postgres_url: str) -> None:
    store = await open_store(empty_postgres_url, clock=CLOCK)
    thread = await store.write(put_thread)
    await store.close()
    store = await open_store(empty_postgres_url, clock=CLOCK, migrate=False)
    assert await store.read(lambda tx: find_thread(tx, HOME, thread.id)) == thread
    await store.close()


async def test_any_number_of_processes_share_a_postgres(postgres_url: str) -> None:
    first, beside = [await open_store(postgres_url, clock=CLOCK) for _ in range(2)]
    thread = await first.write(put_thread)
    page = await beside.read(lambda tx: list_threads(tx, HOME, PageQuery()))
    assert [found.id for found in page.items] == [thread.id]
    await beside.close()
    await first.close()


async def says(url: str) -> str:
    with pytest.raises(StoreError) as caught:
        await open_store(url, clock=CLOCK)
    return str(caught.value)


async def test_what_is_wrong_with_a_postgres_is_said_with_a_way_out(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    assert "createdb" in await says(postgres_server.url("no_such_database"))
    gone = await says(f"postgresql://ada:secret@/x?host={tmp_path}")
    assert "cannot be reached" in gone
    assert "ada:***@" in gone
    assert "secret" not in gone
    refused = await says("postgresql://ada:secret@127.0.0.1:1/x")
    assert "cannot be reached" in refused
    assert "secret" not in refused
    assert "cannot be used" in await says("postgresql://ada@db:notaport/x")


async def test_a_wrong_password_is_said_to_be_wrong(postgres_server: PostgresServer) -> None:
    postgres_server.require_password("ada", "right")
    assert "user or the password" in await says(postgres_server.url(user="ada", password="wrong"))
    assert "user or the password" in await says(postgres_server.url(user="nobody_of_that_name"))


async def test_a_database_with_somebody_elses_tables_is_left_alone(
    empty_postgres_url: str, postgres_server: PostgresServer
) -> None:
    database = empty_postgres_url.split("/")[3].partition("?")[0]
    postgres_server.run_sql("CREATE TABLE message (id int)", database=database)
    assert "agentrt did not make" in await says(empty_postgres_url)


# What it costs -------------------------------------------------------------------------------------------------------

START = """
import asyncio, sys
from agentrt.clock import SystemClock
from agentrt.store.open import open_store

async def main():
    await (await open_store(sys.argv[1], clock=SystemClock())).close()

asyncio.run(main())
print([name for name in ("alembic", "asyncpg", "fastapi") if name in sys.modules])
"""


def test_a_fresh_sqlite_start_imports_neither_alembic_nor_asyncpg(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, f"sqlite:///{tmp_path}/agentrt.db"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
