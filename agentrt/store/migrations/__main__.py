"""For developers: write the next migration by comparing the tables of the code with a PostgreSQL database.

Only PostgreSQL: what Alembic finds out about SQLite does not hold on the other one.
"""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import Connection

from agentrt.store.migrations import alembic_config, known_revisions
from agentrt.store.postgres_connect import connect_engine


async def write_next(url: str, message: str) -> None:
    """Bring the database to the newest revision, compare, write `versions/NNNN_message.py`."""
    from alembic import command

    engine = connect_engine(url)
    async with engine.begin() as conn:

        def compare(sync_conn: Connection) -> None:
            config = alembic_config(sync_conn)
            command.upgrade(config, "head")
            number = f"{int(known_revisions()[-1]) + 1:04}" if known_revisions() else "0001"
            command.revision(config, message, autogenerate=True, rev_id=number)

        await conn.run_sync(compare)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(write_next(*sys.argv[1:]))
