"""What happens to a second message or run while a run is active on the thread, and how a run is asked to stop."""

from __future__ import annotations

import msgspec

from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.spec import RunDefaults
from agentrt.errors import NotFoundError
from agentrt.runtime.requests import OnBusy
from agentrt.runtime.wake import wake
from agentrt.store.assistants import Assistant, find_assistant
from agentrt.store.database import Tx
from agentrt.store.jobs import is_held
from agentrt.store.runs import mark_cancelling
from agentrt.store.threads import Thread


def run_defaults(assistant: Assistant) -> RunDefaults:
    """What the assistant's declaration says about its runs."""
    return msgspec.convert(assistant.settings, RunDefaults)


def busy_policy(tx: Tx, requested: OnBusy | None, thread: Thread, assistant_id: str) -> OnBusy:
    """The nearest word wins: the request's, the thread's, the agent's; else `reject`, as the old service did."""
    if requested is not None:
        return requested
    if thread.on_busy is not None:
        policy: OnBusy = msgspec.convert(thread.on_busy, OnBusy)
        return policy
    try:
        assistant = find_assistant(tx, thread.project, assistant_id)
    except NotFoundError:
        return "reject"
    return run_defaults(assistant).on_busy or "reject"


def request_cancel(tx: Tx, run_id: str, *, now: float, bus: Bus, dispatcher: Dispatcher) -> bool:
    """Accept a cancel: durable with tx; its driver hears it at once, and without one somebody takes the run up.

    False: the run is terminal or being cancelled already.
    """
    # A run that is being driven is left to its driver: to wait for the lock of its job could be to wait for a driver
    # that waits for us. One that rests is woken, and the job's row comes before the run's, as everywhere.
    has_driver = is_held(tx, run_id)
    if not has_driver:
        wake(tx, dispatcher, run_id, now=now)
    if not mark_cancelling(tx, run_id):
        return False
    bus.notify(tx, "cancel", [run_id])
    if has_driver and not is_held(tx, run_id):  # it came to rest while we waited for the run's row
        wake(tx, dispatcher, run_id, now=now)
    return True
