"""How long a run may wait for its caller, and that the time does not count."""

from __future__ import annotations

from agentrt.engine.events import ActionRequired, DeadlinePassed, OutputsSubmitted, RunExpired, RunQueued, RunStarted
from agentrt.engine.message import ToolResult
from agentrt.engine.run import Run
from tests.engine.runs import calls, concluded, new_run, told

DAY_S = 86_400


def waiting(**fields: object) -> Run:
    """A run that was created at 100 with 600 s to go, and waits since 130."""
    run = told(new_run(**fields), [RunStarted(at=120)])
    run = told(run, calls("remote"))
    return told(run, [ActionRequired(call_ids=tuple(call.id for call in run.pending_calls), at=130)])


def answered(run: Run, at: float) -> Run:
    results = tuple(ToolResult(call_id=call.id, output="4") for call in run.pending_calls)
    return told(run, [OutputsSubmitted(results=results, at=at)])


def test_without_a_word_the_run_keeps_its_deadline_while_it_waits() -> None:
    run = waiting()
    assert run.expires_at == 700
    assert answered(run, 600).expires_at == 700


def test_a_run_that_may_wait_for_days_has_that_deadline_while_it_waits() -> None:
    assert waiting(action_ttl_s=3 * DAY_S).expires_at == 130 + 3 * DAY_S


def test_what_it_waited_does_not_count_afterwards() -> None:
    run = answered(waiting(action_ttl_s=3 * DAY_S), 130 + DAY_S)
    assert run.expires_at == 700 + DAY_S
    run, events = concluded(run)
    assert isinstance(events[-1], RunStarted)
    run = told(run, calls("remote", n=2))
    run = told(run, [ActionRequired(call_ids=tuple(c.id for c in run.pending_calls), at=200 + DAY_S)])
    assert run.expires_at == 200 + DAY_S + 3 * DAY_S
    assert answered(run, 300 + DAY_S).expires_at == 700 + DAY_S + 100


def test_a_wait_may_be_made_shorter_than_the_run() -> None:
    run = waiting(action_ttl_s=60)
    assert run.expires_at == 190
    _, events = concluded(told(run, [DeadlinePassed(at=191)]))
    assert isinstance(events[-1], RunExpired)


def test_a_run_without_a_deadline_can_have_one_for_its_waits() -> None:
    run = waiting(expires_at=None, action_ttl_s=60)
    assert run.expires_at == 190
    assert answered(run, 150).expires_at is None
    assert RunQueued in {type(event) for event in concluded(answered(run, 150))[1]}
