"""Finds the stores whose files lack vectors, and has somebody make them."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from sqlalchemy.exc import IntegrityError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import stores_missing
from agentrt.store.embedding_cache import purge_cached
from agentrt.store.jobs import Job, find_job, insert_job
from agentrt.store.workers import is_embedding_in_force

log = logging.getLogger(__name__)

KIND: Final = "vectors"
"""The kind of a job that gives the files of a store their vectors; its subject is the store."""

LOOK_EVERY_S: Final = 30.0
PURGE_EVERY_S: Final = 600.0

_KEPT_FOR_S: Final = 30 * 86_400
_PURGES_AT_ONCE: Final = 50


async def queue_missing(store: Store, dispatcher: Dispatcher, *, clock: Clock, model: str, lease_s: float) -> None:
    """Have the vectors of this model made wherever files lack them. One job for each store, whoever looks.

    Nothing while a process that was started later wants those of another model.
    """

    def look(tx: Tx) -> list[tuple[str, str]]:
        if not is_embedding_in_force(tx, model, now=clock.now(), lease_s=lease_s):
            return []
        return [found for found in stores_missing(tx, model) if find_job(tx, _job_id(found[0])) is None]

    def write(tx: Tx, store_id: str, project: str) -> bool:
        if find_job(tx, _job_id(store_id)) is not None:
            return False
        now = clock.now()
        job = Job(id=_job_id(store_id), kind=KIND, subject_id=store_id, project=project, ready_at=now, touched_at=now)
        dispatcher.submit(tx, insert_job(tx, job))
        return True

    # While thousands of stores are embedded anew, most have their job: only the others are written about.
    for store_id, project in await store.read_long(look):
        try:
            is_new = await store.write(partial(write, store_id=store_id, project=project))
        except IntegrityError:
            continue  # another process was faster
        if is_new:
            log.info("vectors.queued", extra={"store": store_id, "model": model})


def _job_id(store_id: str) -> str:
    return f"job_vectors_{store_id}"


async def purge_cache(store: Store, *, clock: Clock) -> None:
    """Forget what was embedded long ago. A few lots at a time: there is no hurry."""
    until = int(clock.now()) - _KEPT_FOR_S
    for _ in range(_PURGES_AT_ONCE):
        if not await store.write(partial(purge_cached, until=until)):
            return
