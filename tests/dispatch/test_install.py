"""The queue's tables: made once, beside whatever else is in the database, whatever the environment says."""

from __future__ import annotations

import asyncio

import asyncpg  # type: ignore[import-untyped]
import pytest
from pgqueuer.queries import Queries

from agentrt.dispatch.postgres_tables import NAMES, install_queue
from agentrt.errors import StoreError
from agentrt.store.migrate import migrate

STATE = """
SELECT tgname, tgenabled FROM pg_trigger
WHERE tgrelid IN (to_regclass('agentrt_pgqueuer'), to_regclass('agentrt_pgqueuer_log')) ORDER BY 1
"""


async def test_the_queue_is_made_once_however_many_open_the_database(empty_postgres_url: str) -> None:
    made = await asyncio.gather(*(install_queue(empty_postgres_url) for _ in range(4)))
    assert True in made
    assert await install_queue(empty_postgres_url) is False
    assert await install_queue(empty_postgres_url, migrate=False) is False


async def test_without_leave_to_migrate_a_missing_queue_is_an_error(empty_postgres_url: str) -> None:
    with pytest.raises(StoreError, match="agentrt migrate"):
        await install_queue(empty_postgres_url, migrate=False)


async def test_what_an_upgrade_of_pgqueuer_may_undo_is_done_again(empty_postgres_url: str) -> None:
    await install_queue(empty_postgres_url)
    conn = await asyncpg.connect(empty_postgres_url)
    before = await conn.fetch(STATE)
    await conn.execute("DROP TRIGGER agentrt_tg_pgqueuer_changed ON agentrt_pgqueuer")
    assert await install_queue(empty_postgres_url) is True
    assert await conn.fetch(STATE) == before
    await conn.close()


async def test_a_pgqueuer_that_the_database_has_already_is_left_alone(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CHANNEL", "PGQUEUER_QUEUE_TABLE", "QUEUE_TABLE", "PGQUEUER_PREFIX", "DURABILITY", "PGQUEUER_SCHEMA"):
        monkeypatch.setenv(name, "theirs")
    assert type(NAMES)(prefix="agentrt_") == NAMES
    for name in ("CHANNEL", "PGQUEUER_QUEUE_TABLE", "QUEUE_TABLE", "PGQUEUER_PREFIX", "DURABILITY", "PGQUEUER_SCHEMA"):
        monkeypatch.delenv(name)
    conn = await asyncpg.connect(empty_postgres_url)
    theirs = Queries.from_asyncpg_connection(conn)
    await theirs.install()
    await theirs.enqueue("mail", b"hello")
    await install_queue(empty_postgres_url)
    assert not (await theirs.plan_upgrade()).statements
    assert [row.count for row in await theirs.queue_size()] == [1]
    await conn.close()


async def test_the_queue_is_made_where_our_own_tables_are(empty_postgres_url: str) -> None:
    conn = await asyncpg.connect(empty_postgres_url)
    await conn.execute('CREATE SCHEMA "Odd Name"')
    await asyncio.to_thread(migrate, f"{empty_postgres_url}&search_path=%22Odd%20Name%22", backup=False)
    await conn.execute("CREATE SCHEMA mine")
    await install_queue(f"{empty_postgres_url}&search_path=mine,%22Odd%20Name%22")
    schema = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = $1"
    assert await conn.fetchval(schema, "agentrt_pgqueuer") == await conn.fetchval(schema, "job") == '"Odd Name"'
    await conn.close()
