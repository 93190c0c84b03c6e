"""Cancel from outside: by a process that drives nothing and hears nobody, such as a command."""

from __future__ import annotations

from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.events import CancelRequested
from agentrt.engine.run import RunStatus
from agentrt.errors import RunStateError
from agentrt.runtime.run_driver import end_run
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.store.database import Tx
from agentrt.store.jobs import find_job
from agentrt.store.run_lists import find_run_of_project
from agentrt.store.runs import StoredRun, mark_cancelling


def cancel_from_outside(
    tx: Tx, project: str, run_id: str, *, now: float, lease_s: float | None, dispatcher: Dispatcher, outbox: Outbox
) -> StoredRun:
    """The run after it was cancelled, or while its driver is about to hear of it: with its next beat.

    lease_s None: we are alone with the database, and whoever held the run is dead.
    Raises NotFoundError, RunStateError for a run that has ended.
    """
    row = find_run_of_project(tx, project, run_id)
    _check(row)
    job = find_job(tx, run_id)
    is_driven = job is not None and job.worker is not None and lease_s is not None and job.touched_at >= now - lease_s
    if is_driven:
        if not mark_cancelling(tx, run_id):  # perhaps it has ended since a moment
            _check(find_run_of_project(tx, project, run_id))
    else:
        end_run(tx, run_id, CancelRequested(), now=now, dispatcher=dispatcher, outbox=outbox)
    return find_run_of_project(tx, project, run_id)


def _check(row: StoredRun) -> None:
    if RunStatus(row.status).is_terminal:
        raise RunStateError(run_id=row.id, run_status=row.status, doing="cancel")
