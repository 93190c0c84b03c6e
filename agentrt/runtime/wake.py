"""wake: a job is ready, and somebody is told."""

from __future__ import annotations

from agentrt.dispatch.ports import Dispatcher
from agentrt.store.database import Tx
from agentrt.store.jobs import mark_ready


def wake(tx: Tx, dispatcher: Dispatcher, job_id: str, *, now: float, delay_s: float = 0.0) -> bool:
    """Let somebody drive the job, after a delay. False: it is done."""
    job = mark_ready(tx, job_id, at=now + delay_s)
    if job is None:
        return False
    dispatcher.submit(tx, job, delay_s=delay_s)
    return True
