"""The rules about what the outside sees: streams, threads, and what is left behind. Each rule yields complaints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from agentrt.engine import events as ev
from agentrt.engine.message import TextPart
from tests.acceptance.chaos.customers import is_provisional
from tests.acceptance.chaos.evidence import Evidence, StoredRun
from tests.compat.story import StoryError, StreamEvent, check_story

_MOST_TASKS = 24
"""A process has 16 of its own at all times, the web server's besides, and those of a sweep that is just going on. What
leaks leaks once for each run or stream, of which there are many more."""
_MOST_FILES = 64
_MAY_BE_LOGGED = frozenset({"job.store_failed", "node.not_started"})
"""Errors that a database without an answer explains."""


def streams_are_what_is_stored(evidence: Evidence) -> Iterator[str]:
    """What a customer heard over all its streams is the log, apart from attempts that a crash cut off."""
    for order in evidence.orders:
        run = evidence.run_of_job.get(order.job.number)
        if run is None or not order.heard:
            continue
        heard = [h.event for h in order.heard]
        places = [event.place for event in heard]
        if sorted(set(places)) != places:
            yield f"{run.id}: events were heard twice or out of order: {places}"
        lost = _lost_attempts(run)
        unstored = {_subject(e) for e in heard} - {_subject(e) for e in run.stream}
        if wrong := [e for e in heard if _subject(e) in unstored and not is_provisional(e)]:
            yield f"{run.id}: {wrong[0].name} was heard, and is not stored"
        told, stored = _without(heard, lost | unstored), _without(run.stream, lost)
        if told != stored:
            yield f"{run.id}: {_difference(told, stored)}"
        else:
            yield from _no_story(run, told)


def every_node_tells_the_same(evidence: Evidence) -> Iterator[str]:
    """A stream that is read from the beginning when all is over is the log, on every API node."""
    for run_id, replays in evidence.replays.items():
        for number, replay in enumerate(replays):
            if list(replay) != evidence.runs[run_id].stream:
                yield f"{run_id} on API node {number}: {_difference(replay, evidence.runs[run_id].stream)}"


def no_message_is_lost_or_doubled(evidence: Evidence) -> Iterator[str]:
    """A thread holds what its customer said, once each, and what its runs said and did not take back."""
    found = Counter((m.thread_id, m.run_id, m.role, m.status, m.text) for m in evidence.messages)
    right = Counter[tuple[str, str | None, str, str, str]]()
    for run in evidence.runs.values():
        right[run.thread_id, None, "user", "completed", run.job.text] += 1
        for event in run.all_of(ev.MessageCompleted, ev.MessageIncomplete):
            if isinstance(event, ev.MessageCompleted | ev.MessageIncomplete):
                if isinstance(event, ev.MessageIncomplete) and event.is_discarded:
                    continue
                status = "completed" if isinstance(event, ev.MessageCompleted) else "incomplete"
                text = "".join(part.text for part in event.parts if isinstance(part, TextPart))
                right[run.thread_id, run.id, "assistant", status, text] += 1
    yield from (f"lost, {n} times: {message}" for message, n in (right - found).items())
    yield from (f"doubled or made up, {n} times: {message}" for message, n in (found - right).items())
    places = Counter((m.thread_id, m.pos) for m in evidence.messages)
    yield from (f"{n} messages stand at {place}" for place, n in places.items() if n > 1)


def outputs_are_accepted_once(evidence: Evidence) -> Iterator[str]:
    """Outputs that were accepted are refused when they are given again."""
    yield from (f"job {o.job.number}: outputs were accepted twice" for o in evidence.orders if o.n_accepted_twice)


def one_run_at_a_time(evidence: Evidence) -> Iterator[str]:
    """No thread was ever seen with two active runs."""
    yield from (f"{thread_id} had two active runs" for thread_id in evidence.crowded)


def nothing_is_left(evidence: Evidence) -> Iterator[str]:
    """Queues are empty, every process stops when it is asked to, and holds no more than at its start."""
    yield from (f"{n} rows are left in {table}" for table, n in evidence.left.items() if n)
    yield from (f"a process that was asked to stop ended with {code}" for code in evidence.exit_codes if code)
    for name, farewell in evidence.farewells.items():
        if len(farewell.tasks) > _MOST_TASKS or farewell.n_files > _MOST_FILES:
            yield f"{name} held {farewell.n_files} files and the tasks {farewell.tasks} with nothing to do"


def nothing_went_wrong_inside(evidence: Evidence) -> Iterator[str]:
    """No node logged an error that the faults do not explain."""
    for line in evidence.log_lines:
        is_explained = line["event"] in _MAY_BE_LOGGED or line["logger"].startswith("sqlalchemy.pool")
        if line["level"] in ("error", "critical") and not is_explained:
            yield f"{line['node']} logged {line['event']}: {line}"


def _lost_attempts(run: StoredRun) -> set[str]:
    """Ids of the steps and messages that a crash cut off: they end as failed, and the run went on."""
    lost = set()
    for event in run.stream:
        if event.name == "thread.run.step.failed":
            lost |= {event.data["id"], event.data["step_details"].get("message_creation", {}).get("message_id")}
    return lost


def _subject(event: StreamEvent) -> str:
    """The run, step or message that an event is about."""
    return str(event.data["id"])


def _without(events: Sequence[StreamEvent], subjects: Collection[str]) -> list[StreamEvent]:
    return [event for event in events if _subject(event) not in subjects]


def _difference(told: Sequence[StreamEvent], stored: Sequence[StreamEvent]) -> str:
    """Where two streams begin to differ."""
    for ours, theirs in zip(told, stored, strict=False):
        if ours != theirs:
            return f"heard {ours.id} {ours.name} {ours.data}, stored is {theirs.id} {theirs.name} {theirs.data}"
    return f"{len(told)} events were heard, {len(stored)} are stored; the first ones are the same"


def _no_story(run: StoredRun, told: Sequence[StreamEvent]) -> Iterator[str]:
    try:
        check_story([*told, StreamEvent("done", "[DONE]")])
    except StoryError as error:
        yield f"{run.id}: {error}"


RULES = (
    streams_are_what_is_stored,
    every_node_tells_the_same,
    no_message_is_lost_or_doubled,
    outputs_are_accepted_once,
    one_run_at_a_time,
    nothing_is_left,
    nothing_went_wrong_inside,
)
