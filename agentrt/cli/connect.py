"""Which way through the port: this process when the database is free, the server that holds it otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentrt.cli.port import Engine, Shelf
from agentrt.config.environment import process_environment
from agentrt.config.schema import DEFAULT_PROJECT, Config
from agentrt.secret import hash_key

if TYPE_CHECKING:
    from agentrt.cli.remote import RemoteEngine
    from agentrt.cli.store_port import StoreDesk
    from agentrt.cli.webhook_port import WebhookDesk
    from agentrt.store.database import Store
    from agentrt.store.lock import LockInfo

_LOOK_S: Final = 1.0


@asynccontextmanager
async def open_engine(config: Config, *, key: str | None) -> AsyncIterator[Engine]:
    """Something to make runs with. Raises StoreError when a process that is no server holds the database."""
    async with _open_server(config, key) as server:
        if server is not None:
            yield server
            return
    from agentrt.cli.local import LocalEngine
    from agentrt.runtime.assembly import Runtime

    async with Runtime(config) as runtime:
        yield LocalEngine(runtime)


@asynccontextmanager
async def open_shelf(config: Config, *, key: str | None) -> AsyncIterator[Shelf]:
    """Something to read with. Starts no run, takes none up, and migrates nothing but an empty database."""
    async with _open_server(config, key) as server:
        if server is not None:
            yield server.shelf
            return
    from agentrt.cli.local import LocalShelf

    async with _open_database(config) as store:
        yield LocalShelf(store, config)


@asynccontextmanager
async def open_webhooks(config: Config, *, key: str | None) -> AsyncIterator[WebhookDesk]:
    """Something to see and send webhooks with. As open_shelf, it starts nothing that waits."""
    async with _open_server(config, key) as server:
        if server is not None:
            yield server.webhooks
            return
    from agentrt.cli.local_webhooks import LocalWebhooks

    async with _open_database(config) as store:
        yield LocalWebhooks(store, config)


@asynccontextmanager
async def open_stores(config: Config, *, key: str | None, indexes: bool = False) -> AsyncIterator[StoreDesk]:
    """Something to see and search vector stores with. indexes: what is put in shall be indexed before this is left;
    otherwise, as with open_shelf, nothing is started."""
    async with _open_server(config, key) as server:
        if server is not None:
            yield server.stores
            return
    from agentrt.cli.local_stores import stores_of, stores_of_runtime
    from agentrt.runtime.assembly import Runtime

    if indexes:
        async with Runtime(config) as runtime:
            yield stores_of_runtime(runtime)
        return
    async with _open_database(config) as store, stores_of(store, config) as desk:
        yield desk


@asynccontextmanager
async def _open_database(config: Config) -> AsyncIterator[Store]:
    """The database, migrated only when it is new."""
    from agentrt.clock import SystemClock
    from agentrt.store.open import open_store

    file = database_file(config)
    is_new = file is not None and not file.exists()
    store = await open_store(config.runtime.database.reveal(), clock=SystemClock(), migrate=is_new)
    try:
        yield store
    finally:
        await store.close()


def database_file(config: Config) -> Path | None:
    """The SQLite file, None for another database. Raises StoreError for a URL that is neither."""
    from agentrt.store.location import locate

    place = locate(config.runtime.database.reveal())
    return place if isinstance(place, Path) else None


def lock_holder(config: Config) -> LockInfo | None:
    """The process that has the SQLite file open now."""
    from agentrt.store.lock import read_lock

    file = database_file(config)
    return read_lock(file) if file is not None else None


def find_key(config: Config) -> str | None:
    """A configured key for the project `default` whose text stands in a variable.

    agents.toml has its hash only. Whoever wrote `key = "${WEB_APP_KEY}"` need not type the key again.
    """
    hashes = {spec.hash for spec in config.server.keys if spec.project == DEFAULT_PROJECT}
    if not hashes:
        return None
    return next((text for text in process_environment().values() if hash_key(text) in hashes), None)


@asynccontextmanager
async def _open_server(config: Config, key: str | None) -> AsyncIterator[RemoteEngine | None]:
    """The server that holds the database; None when there is none."""
    url = await _server_url(config)
    if url is None:
        yield None
        return
    from agentrt.cli.remote import open_remote

    names = {spec.id: spec.name for spec in config.agents.values()}
    async with open_remote(url, key=key or find_key(config), names=names) as remote:
        yield remote


async def _server_url(config: Config) -> str | None:
    if database_file(config) is not None:
        holder = lock_holder(config)
        return holder.url if holder is not None else None
    return await _configured_server(config)


async def _configured_server(config: Config) -> str | None:
    """PostgreSQL has no lock file: the address in agents.toml, if a server on the same database answers there."""
    from agentrt.access.keys import is_loopback
    from agentrt.http import network_errors, open_client

    server = config.server
    host = server.host if is_loopback(server.host) else "127.0.0.1"
    url = f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
    async with open_client(connect_timeout_s=_LOOK_S, read_timeout_s=_LOOK_S, trust_env=False) as client:
        try:
            answer = await client.get(f"{url}/healthz")
        except network_errors():
            return None
    try:
        is_ours = answer.json()["database"] == str(config.runtime.database)
    except (ValueError, KeyError, TypeError):
        return None
    return url if is_ours else None
