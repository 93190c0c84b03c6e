"""What a runtime stands on: the database, the fleet's clock, and how processes hear of work and of news.

In one process with SQLite, of many with PostgreSQL; nobody above has to know which.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from agentrt.clock import Clock
from agentrt.config.schema import Config
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.runtime.feed import Feeds
from agentrt.runtime.fleet_clock import FleetClock
from agentrt.runtime.leases import Role, needs_postgres
from agentrt.store.database import Store
from agentrt.store.open import driver_missing, open_store


@dataclass(frozen=True, slots=True)
class Backends:
    """clock: the one that all processes on the database go by."""

    store: Store
    clock: Clock
    dispatcher: Dispatcher
    bus: Bus
    feeds: Feeds


async def open_backends(
    config: Config, exits: AsyncExitStack, *, clock: Clock, role: Role, server_url: str | None
) -> Backends:
    """Open them (migrating the database); exits closes them. Raises StoreError."""
    store = await open_store(config.runtime.database.reveal(), clock=clock, server_url=server_url)
    exits.push_async_callback(store.close)
    if store.is_shared:
        clock = fleet_clock = FleetClock(clock)
        await fleet_clock.measure(store)
        dispatcher, bus = await _open_postgres(config, exits, clock)
    elif role != "all":
        raise needs_postgres(role, config.runtime.database)
    else:
        dispatcher, bus = LocalDispatcher(), LocalBus()
    return Backends(store, clock, dispatcher, bus, _open_feeds(store, bus))


async def _open_postgres(config: Config, exits: AsyncExitStack, clock: Clock) -> tuple[Dispatcher, Bus]:
    try:
        from agentrt.dispatch.postgres import open_postgres
    except ImportError as error:
        raise driver_missing(error) from error
    spec = config.runtime
    listen_url = None if spec.listen_url is None else spec.listen_url.reveal()
    dispatcher, bus = await open_postgres(spec.database.reveal(), clock=clock, listen_url=listen_url)
    await bus.start()
    exits.push_async_callback(bus.close)
    return dispatcher, bus


def _open_feeds(store: Store, bus: Bus) -> Feeds:
    feeds = Feeds(store)
    bus.listen("gone", feeds.end)
    if store.is_shared:
        bus.listen("news", feeds.hear)
        bus.on_gap(feeds.hear_all)
    return feeds
