"""What must be true of runs at every moment, whatever processes, callers and time did: the rules behind
test_any_interleaving.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentrt.engine import events as ev
from agentrt.engine.events import TERMINAL_EVENTS
from agentrt.engine.fold import fold
from agentrt.engine.loop import INTERRUPTED
from agentrt.engine.message import TextPart
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Job as JobRow
from agentrt.store.jobs import find_job
from agentrt.store.run_events import NumberedEvent, read_events
from agentrt.store.runs import StoredRun, load_run
from tests.acceptance.chaos.jobs import Job, output_of
from tests.runtime.processes import EXPIRES_AFTER_S, Process, ToolRun

ACTIVE = ("queued", "in_progress", "requires_action", "cancelling")


@dataclass(slots=True)
class Known:
    """What callers know of a run, and what of its log was stored when we last looked."""

    job: Job
    thread_id: str
    is_accepted: bool = False
    is_cancel_accepted: bool = False
    is_cancel_wanted: bool = False
    n_submitted: int = 0
    log: Sequence[NumberedEvent] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A run as the database has it now."""

    row: StoredRun
    log: Sequence[NumberedEvent]
    job: JobRow | None

    def ids_of(self, kind: type[ev.CallStarted] | type[ev.CallReturned]) -> set[str]:
        """Calls of which the log has this event."""
        events = (n.event for n in self.log if isinstance(n.event, kind))
        return {e.call_id if isinstance(e, ev.CallStarted) else e.result.call_id for e in events}


async def look(store: Store, run_ids: Iterable[str]) -> dict[str, Found]:
    """Those of the runs that the database knows."""

    def read(tx: Tx) -> dict[str, Found]:
        rows = [row for row in (load_run(tx, run_id) for run_id in run_ids) if row is not None]
        return {row.id: Found(row, read_events(tx, row.id), find_job(tx, row.id)) for row in rows}

    return await store.read(read)


def check_run(run: Found, known: Known) -> None:
    """What the database says of a run, against what was told to its callers."""
    status, log = run.row.status, run.log
    assert list(log[: len(known.log)]) == list(known.log), "what was stored has changed"
    assert [n.seq for n in log] == list(range(len(log))), "the numbers have holes"
    assert sorted(n.epoch for n in log) == [n.epoch for n in log], "the epochs do not rise"
    ends = [n.event for n in log if isinstance(n.event, TERMINAL_EVENTS)]
    assert len(ends) == (status not in ACTIVE), f"{status}, and {len(ends)} terminal events"
    assert not ends or log[-1].event is ends[0], "something comes after the end"
    assert status in ("cancelling", fold(n.event for n in log).status), "the row does not say what the log says"
    assert not known.is_cancel_accepted or status in ("cancelling", "cancelled"), "a cancel was forgotten"
    assert known.n_submitted <= sum(isinstance(n.event, ev.OutputsSubmitted) for n in log), "outputs were lost"
    assert (run.job is None) == (status not in ACTIVE), f"{status}, and its job is {run.job}"
    assert run.job is None or run.job.epoch >= log[-1].epoch, "events of an epoch that was never taken"


def check_drivers(run: Found, processes: Sequence[Process]) -> None:
    """One process at most believes, and rightly so, that it drives the run."""
    if run.job is not None:
        drivers = [p.name for p in processes if p.worker.held().get(run.row.id) == run.job.epoch]
        assert len(drivers) <= 1, f"{drivers} drive one run"


def check_tools(found: Mapping[str, Found], known: Mapping[str, Known], tool_runs: Sequence[ToolRun]) -> None:
    """Every tool was run by the holder, after that was stored; `pay` at most once."""
    for tool_run in tool_runs:
        assert tool_run.was_holder, f"{tool_run} began when another process held the run"
        assert tool_run.call_id in found[tool_run.run_id].ids_of(ev.CallStarted), f"{tool_run} began before that"
        calls = {place.call_id: call for place, call in known[tool_run.run_id].job.calls()}
        n_runs = sum(other.call_id == tool_run.call_id for other in tool_runs)
        assert calls[tool_run.call_id].tool != "pay" or n_runs == 1, f"{tool_run.call_id} ran {n_runs} times"


def check_end(run: Found, known: Known, *, now: float) -> None:
    """How a run ended, and that its answer adds up what its calls returned."""
    status = run.row.status
    if status == "expired":
        assert now >= run.row.created_at + EXPIRES_AFTER_S
    elif status == "cancelled":
        assert known.is_cancel_wanted
    else:
        assert status == "completed", run.log[-1]
        outputs = {place.call_id: output_of(call) for place, call in known.job.calls()}
        for numbered in run.log:
            if isinstance(numbered.event, ev.CallReturned) and numbered.event.result.output == INTERRUPTED:
                outputs[numbered.event.result.call_id] = INTERRUPTED
        answer = [n.event for n in run.log if isinstance(n.event, ev.MessageCompleted)][-1]
        assert answer.parts == (TextPart(known.job.answer(outputs)),)
