"""The rules about runs: their ends, answers and logs, what tools and models were asked. Each rule yields complaints.

Nothing here knows which faults there were: the same must hold after any of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import groupby

from agentrt.engine import events as ev
from agentrt.engine.events import TERMINAL_EVENTS
from agentrt.engine.fold import fold
from agentrt.engine.loop import INTERRUPTED
from agentrt.engine.message import TextPart
from agentrt.errors import ForbiddenTransitionError
from tests.acceptance.chaos.effects import effect_name
from tests.acceptance.chaos.evidence import Evidence, StoredRun
from tests.acceptance.chaos.jobs import IDEMPOTENT, NEVER, output_of
from tests.compat.api import TERMINAL


def every_order_is_one_run(evidence: Evidence) -> Iterator[str]:
    """What was accepted is there, once; what was refused is not."""
    per_job = Counter(run.job.number for run in evidence.runs.values())
    for order in evidence.orders:
        n_runs = per_job.pop(order.job.number, 0)
        if n_runs != (not order.is_refused):
            yield f"job {order.job.number} was {'refused' if order.is_refused else 'accepted'} and has {n_runs} runs"
    yield from (f"nobody asked for the run of job {number}" for number in per_job)


def every_run_has_ended(evidence: Evidence) -> Iterator[str]:
    """Completed, or cancelled if and only if somebody wanted that and was not told that it is too late."""
    for order in evidence.orders:
        run = evidence.run_of_job.get(order.job.number)
        if run is None:
            continue
        right = {"no": ["completed"], "accepted": ["cancelled"]}.get(order.cancel, ["completed", "cancelled"])
        if run.status not in right:
            yield f"{run.id} is {run.status}, and should be {' or '.join(right)} (cancel: {order.cancel})"
        if order.status != run.status:
            yield f"{run.id} is {run.status}, and its customer saw it {order.status}"


def every_answer_is_right(evidence: Evidence) -> Iterator[str]:
    """The last message of a completed run adds up what its calls returned."""
    said = defaultdict(list)
    for message in evidence.messages:
        if message.run_id is not None:
            said[message.run_id].append(message.text)
    for run in evidence.runs.values():
        if run.status != "completed":
            continue
        outputs = {place.call_id: output_of(call) for place, call in run.job.calls()}
        for call_id, numbered in run.returned.items():
            if isinstance(numbered.event, ev.CallReturned) and numbered.event.result.output == INTERRUPTED:
                outputs[call_id] = INTERRUPTED
        right = [run.job.aside(turn) for turn in range(len(run.job.turns)) if run.job.is_talkative]
        right.append(run.job.answer(outputs))
        if said[run.id] != right:
            yield f"{run.id} says {said[run.id]}, and should say {right}"


def every_log_is_whole(evidence: Evidence) -> Iterator[str]:
    """Numbers 0, 1, 2 … without a hole; epochs rise; one terminal event, the last, which says what the row says."""
    for run in evidence.runs.values():
        seq, last_epoch = 0, 0
        for first, epoch, n in run.chunks:
            if first != seq or epoch < last_epoch:
                yield f"{run.id}: a chunk begins at {epoch}.{first} where {last_epoch}.{seq} was to come"
            seq, last_epoch = first + n, epoch
        if len(run.events) != seq:
            yield f"{run.id}: {len(run.events)} events, numbered to {seq}"
        ends = [n.event for n in run.events if isinstance(n.event, TERMINAL_EVENTS)]
        if len(ends) != (run.status in TERMINAL) or (ends and run.events[-1].event is not ends[0]):
            yield f"{run.id} ({run.status}): {len(ends)} terminal events, the last event is {run.events[-1].event}"
        yield from _what_the_log_says(run)


def _what_the_log_says(run: StoredRun) -> Iterator[str]:
    try:
        status = fold(numbered.event for numbered in run.events).status
    except ForbiddenTransitionError as error:
        yield f"{run.id}: the log makes no sense: {error}"
        return
    if status != run.status:
        yield f"{run.id}: the row says {run.status}, the log {status}"


def steps_agree_with_the_log(evidence: Evidence) -> Iterator[str]:
    """Steps stand as their last event left them, with the outputs that the log has."""
    ends = {"StepCompleted": "completed", "StepFailed": "failed", "StepCancelled": "cancelled"}
    rows = {step.id: step for step in evidence.steps}
    for run in evidence.runs.values():
        for numbered in run.events:
            event = numbered.event
            if isinstance(event, ev.StepCompleted | ev.StepFailed | ev.StepCancelled):
                row = rows.pop(event.step_id, None)
                if row is None or row.status != ends[type(event).__name__]:
                    yield f"{run.id}: {event} and the row {row}"
        results = {call_id: n.event for call_id, n in run.returned.items()}
        for step in (step for step in evidence.steps if step.run_id == run.id):
            for call_id, output in step.outputs.items():
                result = results.get(call_id)
                if isinstance(result, ev.CallReturned) and result.result.output != output:
                    yield f"{run.id}: {call_id} returned {result.result.output}, and the step says {output}"
    yield from (f"{step.run_id}: step {step.id} is {step.status} and has no end" for step in rows.values())


def no_tool_runs_before_its_start_is_stored(evidence: Evidence) -> Iterator[str]:
    """Write-ahead: what a tool wrote into its own log, the run's log knew before."""
    for line in evidence.tool_lines:
        if line.moment == "start" and line.call_id not in evidence.runs[line.run_id].started:
            yield f"{line.run_id}: {line.tool} ran for {line.call_id}, whose start is not in the log"


def never_means_at_most_once(evidence: Evidence) -> Iterator[str]:
    """A tool declared `never` ran once at most; where the log has its result, exactly once; else it was interrupted."""
    starts = Counter((x.run_id, x.call_id) for x in evidence.tool_lines if x.moment == "start" and x.tool in NEVER)
    for (run_id, call_id), n in starts.items():
        if n > 1:
            yield f"{run_id}: {call_id} ran {n} times"
    for run in evidence.runs.values():
        for place, call in run.job.calls():
            numbered = run.returned.get(place.call_id)
            if call.tool not in NEVER or numbered is None:
                continue
            assert isinstance(numbered.event, ev.CallReturned)
            output = numbered.event.result.output
            if output == INTERRUPTED:
                if numbered.epoch == run.started[place.call_id].epoch:
                    yield f"{run.id}: {place.call_id} was interrupted, and nobody took the run over"
            elif output != output_of(call) or starts[run.id, place.call_id] != 1:
                yield f"{run.id}: {place.call_id} returned {output!r} after {starts[run.id, place.call_id]} runs"


def idempotent_means_at_least_once(evidence: Evidence) -> Iterator[str]:
    """The effect of a call that returned is there; it ran again only after a take-over, and with the same key."""
    starts = Counter((x.run_id, x.call_id) for x in evidence.tool_lines if x.moment == "start" and x.tool in IDEMPOTENT)
    for run in evidence.runs.values():
        for place, call in run.job.calls():
            numbered = run.returned.get(place.call_id)
            if call.tool not in IDEMPOTENT or numbered is None:
                continue
            assert isinstance(numbered.event, ev.CallReturned)
            if numbered.event.result.output != output_of(call):
                yield f"{run.id}: {place.call_id} returned {numbered.event.result.output!r}"
            if evidence.effects.get(effect_name(f"{run.id}:{place.call_id}")) != str(call.amount):
                yield f"{run.id}: the effect of {place.call_id} is lost"
            n_drivers = numbered.epoch - run.started[place.call_id].epoch + 1
            if not 1 <= starts[run.id, place.call_id] <= n_drivers:
                yield f"{run.id}: {place.call_id} ran {starts[run.id, place.call_id]} times under {n_drivers} epochs"


def no_call_runs_after_its_result_was_told(evidence: Evidence) -> Iterator[str]:
    """Once a customer heard a result, nobody runs the call again. (A process that was frozen right before its call
    may: it holds nothing by then, and does not know it yet.)"""
    heard_at: dict[str, float] = {}
    for order in evidence.orders:
        for heard in order.heard:
            if heard.event.name == "thread.run.step.delta":
                for call in heard.event.data["delta"]["step_details"]["tool_calls"]:
                    if call["function"].get("output") is not None:
                        run = evidence.run_of_job[order.job.number]
                        call_id = _call_at(run, heard.event.data["id"], call["index"])
                        heard_at.setdefault(call_id, heard.at)
    for line in evidence.tool_lines:
        at = heard_at.get(line.call_id)
        was_frozen = any(frozen.pid == line.pid and frozen.begin < line.at for frozen in evidence.frozen)
        if line.moment == "start" and at is not None and line.at > at and not was_frozen:
            yield f"{line.run_id}: {line.call_id} ran again after its result had been told"


def _call_at(run: StoredRun, step_id: str, index: int) -> str:
    for numbered in run.events:
        event = numbered.event
        if isinstance(event, ev.CallReturned) and (event.step_id, event.index) == (step_id, index):
            return event.result.call_id
    return ""


def no_answer_is_paid_twice(evidence: Evidence) -> Iterator[str]:
    """A model is asked once for each turn, and once more for each take-over before the turn's answer was stored."""
    asked = Counter((question.job, question.turn) for question in evidence.questions)
    for run in evidence.runs.values():
        first, turn, is_answered = 0, 0, False
        for numbered in run.events:
            if isinstance(numbered.event, ev.TurnFinished):
                n_asked, n_drivers = asked[run.job.number, turn], numbered.epoch - first + 1
                if not 1 <= n_asked <= n_drivers:
                    yield f"{run.id}: turn {turn} was asked for {n_asked} times under {n_drivers} epochs"
                turn, is_answered = turn + 1, True
            elif isinstance(numbered.event, ev.StepCompleted) and is_answered:  # the calls' step: the next turn begins
                first, is_answered = numbered.epoch, False
        if run.status == "completed" and turn != len(run.job.turns) + 1:
            yield f"{run.id}: {turn} answers of the model are in the log, not {len(run.job.turns) + 1}"


def models_are_shown_the_conversation(evidence: Evidence) -> Iterator[str]:
    """Each question shows every earlier run of the thread once, in order, and of this run exactly what is done."""
    for question in evidence.questions:
        run = evidence.run_of_job.get(question.job)
        if run is None:
            yield f"the model was asked about job {question.job}, which has no run"
            continue
        earlier = sorted(
            (r for r in evidence.runs.values() if r.thread_id == run.thread_id and r.position < run.position),
            key=lambda r: r.position,
        )
        segments = _segments(question.shown)
        jobs, right = [job for job, _ in segments], [r.job.number for r in (*earlier, run)]
        if jobs != right:
            yield f"{run.id}: shown the jobs {jobs}, and should be shown {right}"
            continue
        for (_, shown), other in zip(segments[:-1], earlier, strict=True):
            if other.status == "completed" and [*_turns(other, len(other.job.turns)), _last_words(other)] != shown:
                yield f"{run.id}: {other.id} was shown as {shown}"
        if segments[-1][1] != _turns(run, question.turn):
            yield f"{run.id}: before turn {question.turn} it was shown {segments[-1][1]}"


def _segments(shown: tuple[str, ...]) -> list[tuple[int, list[str]]]:
    segments: list[tuple[int, list[str]]] = []
    for word in shown:
        if word.startswith("user "):
            segments.append((int(word.removeprefix("user ")), []))
        else:
            segments[-1][1].append(word)
    return segments


def _turns(run: StoredRun, n: int) -> list[str]:
    shown = []
    for turn, places in groupby((place for place, _ in run.job.calls()), key=lambda place: place.turn):
        if turn < n:
            aside = run.job.aside(turn)
            shown += [f"says {aside}"] if aside else []
            shown += [f"calls {run.job.number}.{turn}", *(f"result {place.call_id}" for place in places)]
    return shown


def _last_words(run: StoredRun) -> str:
    last = run.all_of(ev.MessageCompleted)[-1]
    assert isinstance(last, ev.MessageCompleted)
    return "says " + "".join(part.text for part in last.parts if isinstance(part, TextPart))


RULES = (
    every_order_is_one_run,
    every_run_has_ended,
    every_answer_is_right,
    every_log_is_whole,
    steps_agree_with_the_log,
    no_tool_runs_before_its_start_is_stored,
    never_means_at_most_once,
    idempotent_means_at_least_once,
    no_call_runs_after_its_result_was_told,
    no_answer_is_paid_twice,
    models_are_shown_the_conversation,
)
