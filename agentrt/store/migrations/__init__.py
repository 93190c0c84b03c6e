"""Numbered migrations, forward only. What can be known of them without importing Alembic (0.4 s of CPU) is here.

A new one: `python -m agentrt.store.migrations postgresql://… "add what"`, against an empty database; then read it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

FOLDER = Path(__file__).parent
# Not Alembic's own name: the application that agentrt is mounted in may keep its migrations in the same database.
VERSION_TABLE = "agentrt_version"


@cache
def known_revisions() -> tuple[str, ...]:
    """Every revision of this release, oldest first: `0001`, `0002` …"""
    return tuple(sorted(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py")))


def alembic_config(conn: Connection) -> Config:
    """Alembic's settings without an alembic.ini; env.py takes the connection from them."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = conn
    return config
