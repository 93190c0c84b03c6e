"""What falls due in vector stores without anybody asking."""

from __future__ import annotations

from functools import partial
from typing import Final

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.retrieval.index import sweep_index
from agentrt.runtime.expiry import expire_vector_stores
from agentrt.runtime.sweeper import Sweep
from agentrt.runtime.vector_stores.ingest.queue import queue_forgotten
from agentrt.store.database import Store

_INDEX_EVERY_S: Final = 30.0


def store_sweeps(store: Store, dispatcher: Dispatcher, *, clock: Clock) -> list[Sweep]:
    """Expire stores, index what nobody has, take away what is left of deleted files."""
    return [
        Sweep("vector_stores", lambda: expire_vector_stores(store, now=clock.now())),
        Sweep("ingest", partial(queue_forgotten, store, dispatcher, clock=clock)),
        Sweep("index", partial(sweep_index, store, clock=clock), _INDEX_EVERY_S),
    ]
