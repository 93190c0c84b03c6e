"""PgQueuer's tables under names of our own: making them, and bringing them up to date with the installed release.

Two things are other than PgQueuer makes them. Its trigger, a NOTIFY in every transaction that touches the queue, is
off: the Channel tells after the commit. And its log takes no rows: it would grow with every job, and nobody reads it.
"""

from __future__ import annotations

from typing import Any

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.settings import DBSettings
from pgqueuer.queries import Queries

from agentrt.errors import StoreError
from agentrt.store.migrate_postgres import MIGRATION_LOCK
from agentrt.store.postgres_connect import connect
from agentrt.store.postgres_errors import explained, shown_url


class _Names(DBSettings):
    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, *_: Any, **__: Any) -> tuple[Any, ...]:
        # PgQueuer would read PGQUEUER_QUEUE_TABLE, and even CHANNEL, from the environment: whose they are, who knows.
        return (init_settings,)


NAMES: DBSettings = _Names(prefix="agentrt_")
"""What the tables are called: beside a PgQueuer that the same database may have already."""

SQL = QueryQueueBuilder(NAMES)
"""PgQueuer's statements on them."""

_QUIET_FUNCTION = f"{NAMES.prefix}fn_pgqueuer_no_log"
_QUIET_TRIGGER = f"{NAMES.prefix}tg_pgqueuer_no_log"
_QUIET = f"""
ALTER TABLE {NAMES.queue_table} DISABLE TRIGGER {NAMES.trigger};
CREATE OR REPLACE FUNCTION {_QUIET_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
DROP TRIGGER IF EXISTS {_QUIET_TRIGGER} ON {NAMES.queue_table_log};
CREATE TRIGGER {_QUIET_TRIGGER} BEFORE INSERT ON {NAMES.queue_table_log}
    FOR EACH ROW EXECUTE FUNCTION {_QUIET_FUNCTION}();
"""
_IS_QUIET = f"""
SELECT count(*) = 2 FROM pg_trigger
WHERE (tgrelid = to_regclass('{NAMES.queue_table}') AND tgname = '{NAMES.trigger}' AND tgenabled = 'D')
   OR (tgrelid = to_regclass('{NAMES.queue_table_log}') AND tgname = '{_QUIET_TRIGGER}')
"""  # noqa: S608 - names of our own

# PgQueuer makes its tables in the first schema of the search path; ours may be in another one of it.
_BESIDE_OURS = """
SELECT set_config('search_path', quote_ident(nspname), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('job')
"""


def queries_on(conn: Any) -> Queries:
    """PgQueuer on an asyncpg connection."""
    return Queries(AsyncpgDriver(conn), QueryBuilderEnvironment(NAMES), SQL, QuerySchedulerBuilder(NAMES))


async def install_queue(url: str, *, migrate: bool = True) -> bool:
    """Make the queue's tables or bring them up to date. Whether there was something to do.

    url: the server itself, not a pooler. Raises StoreError; also when there is something to do and not migrate.
    """
    with explained(url):
        conn = await connect(url)
        try:
            await conn.execute(_BESIDE_OURS)
            if await _is_current(conn):
                return False
            if not migrate:
                raise StoreError(
                    f"Database {shown_url(url)}: its queue is not up to date\n"
                    "  why: another release made it, or nobody yet\n"
                    "  fix: agentrt migrate"
                )
            await conn.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)  # until the connection is closed
            if not await _is_current(conn):
                await _install(conn)
            return True
        finally:
            await conn.close()


async def _is_current(conn: Any) -> bool:
    return not (await queries_on(conn).plan_upgrade()).statements and bool(await conn.fetchval(_IS_QUIET))


async def _install(conn: Any) -> None:
    queries = queries_on(conn)
    if await queries.schema_is_installed():
        await queries.apply_upgrade()
        await conn.execute(_QUIET)
        return
    async with conn.transaction():
        await queries.install()
        await queries.optimize_autovacuum()
        await conn.execute(_QUIET)
