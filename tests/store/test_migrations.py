"""Migrations: they make exactly the tables of the code, on both engines, and lose nothing on the way."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect

import agentrt
from agentrt.dispatch.postgres_tables import NAMES
from agentrt.errors import StoreError
from agentrt.store.database import Tx
from agentrt.store.lock import acquire_lock
from agentrt.store.messages import list_messages
from agentrt.store.migrate import migrate, needs_migration
from agentrt.store.migrations import VERSION_TABLE, alembic_config, known_revisions
from agentrt.store.pages import PageQuery
from agentrt.store.postgres_connect import connect_engine
from agentrt.store.revisions import create_tables, upgrade_tables
from agentrt.store.runs import load_run
from agentrt.store.schema import metadata
from agentrt.store.search_tables import KEYWORD_TABLES
from agentrt.store.sqlite import create_file, sqlite_engine
from tests.contracts.rows import HOME, put_run, put_thread


async def on_sqlite(path: Path, fn: Callable[[Connection], Any]) -> Any:
    create_file(path)
    engine = sqlite_engine(path, foreign_keys=False)
    with engine.connect() as conn:
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        result = fn(conn)
        conn.exec_driver_sql("COMMIT")
    engine.dispose()
    return result


async def on_postgres(url: str, fn: Callable[[Connection], Any]) -> Any:
    engine = connect_engine(url)
    async with engine.begin() as conn:
        result = await conn.run_sync(fn)
    await engine.dispose()
    return result


def differences(conn: Connection) -> list[Any]:
    """What Alembic would still change."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    upgrade_tables(conn)
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
        "include_name": lambda name, kind, _: kind != "table" or name not in keyword_tables(conn),
    }
    found: list[Any] = compare_metadata(MigrationContext.configure(conn, opts=options), metadata())
    return found


def keyword_tables(conn: Connection) -> tuple[str, ...]:
    """The tables that one engine has and the other has not: no metadata knows them."""
    return KEYWORD_TABLES[conn.dialect.name]


def plain(index: Any) -> dict[str, Any]:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def shape(conn: Connection) -> dict[str, Any]:
    """Everything that can be known of the tables, in an order of its own. (The queue's are not made by migrations.)"""
    look = inspect(conn)
    tables: dict[str, dict[str, Any]] = {}
    for table in (name for name in look.get_table_names() if not name.startswith(NAMES.queue_table)):
        if table in keyword_tables(conn):
            tables[table] = {"columns": columns_of(conn, table)}
            continue
        columns = look.get_columns(table)
        tables[table] = {
            "columns": sorted((c["name"], str(c["type"]), c["nullable"], c["default"]) for c in columns),
            "key": look.get_pk_constraint(table),
            "foreign keys": sorted(look.get_foreign_keys(table), key=str),
            "unique": look.get_unique_constraints(table),
            "checks": look.get_check_constraints(table),
            "indexes": sorted((plain(index) for index in look.get_indexes(table)), key=str),
            "options": look.get_table_options(table) if conn.dialect.name == "sqlite" else None,
        }
    return tables


def columns_of(conn: Connection, table: str) -> list[Any]:
    """What can be known of a table that SQLAlchemy has no words for."""
    if conn.dialect.name == "sqlite":
        found = conn.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (table,))
    else:
        catalogue = "SELECT column_name, data_type, collation_name FROM information_schema.columns"
        indexes = "SELECT indexname, indexdef, '' FROM pg_indexes"
        found = conn.exec_driver_sql(
            f"{catalogue} WHERE table_name = $1 UNION {indexes} WHERE tablename = $1 ORDER BY 1", (table,)
        )
    return [tuple(row) for row in found]


async def test_the_migrations_make_what_the_tables_say(tmp_path: Path, empty_postgres_url: str) -> None:
    assert await on_sqlite(tmp_path / "agentrt.db", differences) == []
    assert await on_postgres(empty_postgres_url, differences) == []


async def test_an_empty_database_made_at_once_is_like_one_that_was_migrated(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str
) -> None:
    await on_sqlite(tmp_path / "made.db", create_tables)
    await on_sqlite(tmp_path / "migrated.db", upgrade_tables)
    made = await on_sqlite(tmp_path / "made.db", shape)
    assert len(made) == len(metadata().tables) + len(KEYWORD_TABLES["sqlite"]) + 1
    assert made == await on_sqlite(tmp_path / "migrated.db", shape)

    await on_postgres(empty_postgres_url, upgrade_tables)
    assert await on_postgres(empty_postgres_url, shape) == await on_postgres(postgres_url, shape)

    def revision(conn: Connection) -> str:
        return str(conn.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one())

    revisions = [await on_sqlite(tmp_path / name, revision) for name in ("made.db", "migrated.db")]
    revisions += [await on_postgres(url, revision) for url in (empty_postgres_url, postgres_url)]
    assert set(revisions) == {known_revisions()[-1]}


def test_the_revisions_are_known_without_alembic() -> None:
    from alembic.script import ScriptDirectory

    engine = sqlite_engine(Path("unused.db"))
    script = ScriptDirectory.from_config(alembic_config(engine))  # type: ignore[arg-type]
    assert tuple(r.revision for r in reversed(list(script.walk_revisions()))) == known_revisions()


def test_a_database_needs_to_be_migrated_once(tmp_path: Path, empty_postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path}/agentrt.db", empty_postgres_url):
        assert needs_migration(url)
        assert migrate(url, backup=True) == list(known_revisions())
        assert not needs_migration(url)
        assert migrate(url, backup=True) == []
    assert not list(tmp_path.glob("*.bak*"))


def test_a_file_that_a_server_has_open_is_not_migrated_under_its_feet(tmp_path: Path) -> None:
    lock = acquire_lock(tmp_path / "agentrt.db")
    with pytest.raises(StoreError, match="another process has it open"):
        migrate(f"sqlite:///{tmp_path}/agentrt.db", backup=True)
    lock.release()


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE photo (id)")
    other.close()
    url = f"sqlite:///{path}"
    for look in (needs_migration, lambda url: migrate(url, backup=True)):
        with pytest.raises(StoreError, match="agentrt did not make"):
            look(url)


# What migrations fill in ---------------------------------------------------------------------------------------------


def through_0008(conn: Connection) -> dict[str, list[tuple[str, str]]]:
    """Threads and an assistant of the release before it; the index of their files afterwards."""
    from alembic import command

    command.upgrade(alembic_config(conn), "0005")
    many = {f"thread_{n:05}": f'{{"code_interpreter": {{"file_ids": ["file-{n % 3}"]}}}}' for n in range(2100)}
    compact = '{"code_interpreter":{"file_ids":["file-a","file-b","file-a"]},"file_search":{"vector_store_ids":[]}}'
    others = {
        "thread_compact": compact,
        "thread_empty": '{"code_interpreter":{"file_ids":[]},"file_search":{"vector_store_ids":["vs_1"]}}',
        "thread_none": "{}",
        "thread_odd": '{"code_interpreter": null, "x": {"file_ids": ["file-a"]}}',
    }
    rows = [
        f"('{id_}', 'default', 1, '{{}}', '{resources}', 0)" for id_, resources in sorted({**many, **others}.items())
    ]
    columns = "id, project, created_at, meta, tool_resources, next_pos"
    conn.exec_driver_sql(f"INSERT INTO thread ({columns}) VALUES {', '.join(rows)}")
    conn.exec_driver_sql(
        "INSERT INTO assistant (id, project, created_at, origin, model, tools, tool_resources, meta, response_format, "
        f"settings) VALUES ('asst_1', 'default', 1, 'api', 'demo', '[]', '{compact}', '{{}}', '{{}}', '{{}}')"
    )
    upgrade_tables(conn)
    return {
        owner: [
            (row[0], row[1])
            for row in conn.exec_driver_sql(f"SELECT file_id, {owner}_id FROM {owner}_code_file ORDER BY 2, 1")
        ]
        for owner in ("thread", "assistant")
    }


async def test_the_files_that_threads_and_assistants_name_are_found_afterwards(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    for found in (
        await on_sqlite(tmp_path / "agentrt.db", through_0008),
        await on_postgres(empty_postgres_url, through_0008),
    ):
        assert found["assistant"] == [("file-a", "asst_1"), ("file-b", "asst_1")]
        assert found["thread"][:2100] == [(f"file-{n % 3}", f"thread_{n:05}") for n in range(2100)]
        assert found["thread"][2100:] == [("file-a", "thread_compact"), ("file-b", "thread_compact")]


# The next release ----------------------------------------------------------------------------------------------------

NEXT = '''
"""What the next release may do: rebuild the tables that others refer to."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "LAST"
branch_labels = None
depends_on = None


def upgrade() -> None:
    recreate = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("thread", recreate=recreate) as batch_op:
        batch_op.add_column(sa.Column("title", sa.String(), nullable=False, server_default="untitled"))
    with op.batch_alter_table("run", recreate=recreate) as batch_op:
        batch_op.alter_column("position", new_column_name="place")
    EXTRA
'''

MIGRATE = """
import sys
from agentrt.store.migrate import migrate, needs_migration
try:
    print(needs_migration(sys.argv[1]), migrate(sys.argv[1], backup=True))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def next_release(tmp_path: Path) -> Callable[[str, str], str]:
    """Migrates a URL as a release with one more migration would; what it says."""

    def run(url: str, extra: str) -> str:
        package = tmp_path / "next" / "agentrt"
        shutil.copytree(Path(agentrt.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        script = NEXT.replace("LAST", known_revisions()[-1]).replace("EXTRA", extra)
        (package / "store" / "migrations" / "versions" / "9999_next.py").write_text(script)
        command = [sys.executable, "-W", "error", "-c", MIGRATE, url]
        done = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


def fill(tx: Tx) -> tuple[str, str]:
    thread = put_thread(tx, 5, meta={"a": "b"})
    return thread.id, put_run(tx, thread).id


def filled(path: Path) -> tuple[str, str]:
    engine = sqlite_engine(path)
    with engine.connect() as conn:
        thread_id, run_id = fill(Tx(conn))
    engine.dispose()
    return thread_id, run_id


def count(path: Path, table: str) -> int:
    with sqlite3.connect(path) as conn:
        (n,) = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    conn.close()
    return int(n)


def test_a_migration_that_rebuilds_tables_keeps_every_row_that_refers_to_them(
    sqlite_path: Path, next_release: Callable[[str, str], str]
) -> None:
    filled(sqlite_path)
    assert next_release(f"sqlite:///{sqlite_path}", "pass") == "True ['9999']"
    assert [count(sqlite_path, table) for table in ("thread", "message", "run", "thread_pair")] == [1, 5, 1, 1]
    with sqlite3.connect(sqlite_path) as conn:
        assert conn.execute("SELECT title FROM thread").fetchall() == [("untitled",)]
        assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
        conn.execute("PRAGMA foreign_keys = ON")
        indexes = conn.execute("SELECT sql FROM sqlite_master WHERE name = 'uq_run_active_thread'").fetchall()
        assert "NOT is_held" in indexes[0][0]
    conn.close()


def test_a_file_that_holds_data_is_copied_before_it_is_migrated(
    sqlite_path: Path, next_release: Callable[[str, str], str]
) -> None:
    thread_id, run_id = filled(sqlite_path)
    next_release(f"sqlite:///{sqlite_path}", "pass")
    copy = sqlite_path.with_name(f"{sqlite_path.name}.bak-{known_revisions()[-1]}")
    assert not needs_migration(f"sqlite:///{copy}")
    engine = sqlite_engine(copy)
    with engine.connect() as conn:
        tx = Tx(conn)
        assert len(list_messages(tx, HOME, thread_id, PageQuery()).items) == 5
        assert load_run(tx, run_id) is not None
    engine.dispose()


def test_a_database_that_a_newer_release_has_migrated_is_refused(
    sqlite_path: Path, next_release: Callable[[str, str], str]
) -> None:
    next_release(f"sqlite:///{sqlite_path}", "pass")
    for look in (needs_migration, lambda url: migrate(url, backup=True)):
        with pytest.raises(StoreError, match="a newer agentrt has written it") as caught:
            look(f"sqlite:///{sqlite_path}")
        assert f".bak-{known_revisions()[-1]}" in str(caught.value)


@pytest.mark.parametrize("extra", ['raise RuntimeError("boom")', 'op.execute("DELETE FROM thread")'])
def test_a_migration_that_fails_or_breaks_a_reference_changes_nothing(
    sqlite_path: Path, next_release: Callable[[str, str], str], extra: str
) -> None:
    filled(sqlite_path)
    said = next_release(f"sqlite:///{sqlite_path}", extra)
    assert said.startswith(("RuntimeError boom", "StoreError The migration would leave rows of"))
    assert [count(sqlite_path, table) for table in ("thread", "message", "run")] == [1, 5, 1]
    assert not needs_migration(f"sqlite:///{sqlite_path}")


def test_postgres_is_migrated_by_the_next_release_too(
    empty_postgres_url: str, next_release: Callable[[str, str], str]
) -> None:
    migrate(empty_postgres_url, backup=True)
    assert next_release(empty_postgres_url, "pass") == "True ['9999']"
    with pytest.raises(StoreError, match="a newer agentrt has written it"):
        needs_migration(empty_postgres_url)
