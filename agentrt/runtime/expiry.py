"""What ends because its time is over: runs that nobody drives, and vector stores. Files have theirs in files.py."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from agentrt.engine.events import DeadlinePassed
from agentrt.errors import FencedError, StoreError
from agentrt.runtime.recorder import CancelWonError
from agentrt.store.database import Store, Tx
from agentrt.store.runs import list_overdue_runs
from agentrt.store.vector_store_files import forget_places, has_old_places
from agentrt.store.vector_stores import expire_vector_store, list_due_stores

log = logging.getLogger(__name__)

_BATCH = 100


async def expire_runs(store: Store, end_run: Callable[[str, DeadlinePassed], Awaitable[bool]], *, now: float) -> int:
    """End overdue runs; how many there were. end_run: ends one in one transaction, False if it has ended already.

    One that is being driven is ended by its driver, who has a timer.
    """
    overdue = await store.read(lambda tx: list_overdue_runs(tx, now))
    n_ended = 0
    for run_id in overdue:
        try:
            n_ended += await end_run(run_id, DeadlinePassed())
        except (FencedError, CancelWonError):
            continue  # somebody else is at it
        except (StoreError, SQLAlchemyError):
            raise
        except Exception as error:  # events of a release to come, say: the others must not wait for this one
            log.error("run.cannot_be_expired", extra={"run": run_id, "error": type(error).__name__})
    return n_ended


async def expire_vector_stores(store: Store, *, now: float) -> int:
    """Let the stores be expired that nobody has used for as long as they said; how many there were.

    And forget where files stood in stores that they were taken out of long ago.
    """
    n = 0
    while due := await store.read(lambda tx: list_due_stores(tx, now=now, limit=_BATCH)):
        n += await store.write(partial(_expire_stores, store_ids=due, now=now))
    if await store.read(partial(has_old_places, now=now)):
        await store.write(partial(forget_places, now=now))
    return n


def _expire_stores(tx: Tx, *, store_ids: Sequence[str], now: float) -> int:
    return sum(expire_vector_store(tx, store_id, now=now) for store_id in store_ids)
