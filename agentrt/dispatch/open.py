"""The dispatcher and the bus that go with a store."""

from __future__ import annotations

from contextlib import AsyncExitStack

from agentrt.clock import Clock
from agentrt.config.schema import RuntimeSpec
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.store.database import Store
from agentrt.store.open import driver_missing


async def open_dispatch(
    store: Store, spec: RuntimeSpec, exits: AsyncExitStack, *, clock: Clock
) -> tuple[Dispatcher, Bus]:
    """In this process for a store that is not shared, else through its PostgreSQL; exits closes what is open then.

    Raises StoreError.
    """
    if not store.is_shared:
        return LocalDispatcher(), LocalBus()
    try:
        from agentrt.dispatch.postgres import open_postgres
    except ImportError as error:
        raise driver_missing(error) from error
    listen_url = None if spec.listen_url is None else spec.listen_url.reveal()
    dispatcher, bus = await open_postgres(spec.database.reveal(), clock=clock, listen_url=listen_url)
    await bus.start()
    exits.push_async_callback(bus.close)
    return dispatcher, bus
