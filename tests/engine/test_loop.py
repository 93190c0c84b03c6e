"""The loop as transcripts: what the engine wants next, and what it concludes."""

from __future__ import annotations

import pytest

from agentrt.engine import events as ev
from agentrt.engine.commands import CallModel, RunTools
from agentrt.engine.fold import fold
from agentrt.engine.loop import INTERRUPTED, apply, next_command, recover
from agentrt.engine.message import Role, ToolResult, Usage
from agentrt.engine.run import Run, RunStatus
from agentrt.engine.spec import Price, ToolChoice
from agentrt.errors import ForbiddenTransitionError
from tests.engine.runs import calls, command_name, concluded, kinds, new_run, opens_message, says, told


def in_progress(**fields: object) -> Run:
    run, _ = concluded(new_run(**fields))
    return run


def returned(run: Run, call_id: str, output: str = "4 °C") -> Run:
    assert run.tool_step is not None
    result = ToolResult(call_id, output)
    return told(
        run, [ev.CallStarted(call_id=call_id), ev.CallReturned(step_id=run.tool_step.id, index=0, result=result)]
    )


def test_an_answer_in_words_completes_the_run() -> None:
    run, events = concluded(told(in_progress(), says("Hello")))

    assert kinds(events) == ["MessageCompleted", "StepCompleted", "RunCompleted"]
    assert run.status is RunStatus.COMPLETED
    assert [m.text for m in run.turns] == ["Hello"]
    assert run.usage == Usage(10, 5)
    assert command_name(run) == "Done"


def test_a_run_knows_what_it_cost_when_its_model_has_a_price() -> None:
    usage = Usage(1_000_000, 100_000, cached_tokens=400_000)
    price = Price(input=1.0, cached_input=0.5, output=10.0)
    run, _ = concluded(told(in_progress(price=price), says("Hello", usage=usage)))

    assert run.cost_usd == pytest.approx(0.6 + 0.2 + 1.0)
    assert concluded(told(in_progress(), says("Hello")))[0].cost_usd is None


def test_the_servers_own_function_runs_without_a_stop() -> None:
    run = told(in_progress(), calls("local"))
    command = next_command(run)

    assert isinstance(command, RunTools)
    assert [call.name for _, call in command.calls] == ["local"]
    run, events = concluded(returned(run, "call_1_0"))
    assert kinds(events) == ["StepCompleted"]
    assert isinstance(next_command(run), CallModel)
    assert [m.role for m in run.turns] == [Role.ASSISTANT, Role.TOOL]


def test_what_a_model_says_after_its_calls_is_a_message_once_they_have_their_outputs() -> None:
    run, events = concluded(told(in_progress(), calls("remote", late="I look it up.")))
    assert kinds(events) == ["ActionRequired"], "their step is open: a second one may not open beside it"

    run, events = concluded(apply(run, ev.OutputsSubmitted(results=(ToolResult("call_1_0", "4 °C"),))))

    assert kinds(events) == [
        "StepCompleted", "RunQueued", "RunStarted",
        "StepCreated", "StepStarted", "MessageCreated", "MessageStarted", "TextDelta", "MessageCompleted",
        "StepCompleted",
    ]  # fmt: skip
    assert isinstance(next_command(run), CallModel)
    assert [m.text for m in run.turns] == ["I look it up.", "4 °C"]


def test_the_callers_function_stops_the_run_until_its_output_is_there() -> None:
    run, events = concluded(told(in_progress(), calls("remote")))

    assert kinds(events) == ["ActionRequired"]
    assert run.status is RunStatus.REQUIRES_ACTION
    assert command_name(run) == "Wait"
    run = apply(run, ev.OutputsSubmitted(results=(ToolResult("call_1_0", ""),)))
    run, events = concluded(run)
    assert kinds(events) == ["StepCompleted", "RunQueued", "RunStarted"]
    assert command_name(run) == "CallModel"


def test_in_a_mixed_turn_the_servers_calls_finish_first_and_only_the_callers_are_asked_for() -> None:
    run = told(in_progress(), calls("remote", "local"))

    assert command_name(run) == "RunTools"
    run, events = concluded(returned(run, "call_1_1"))
    assert kinds(events) == ["ActionRequired"]
    assert [call.id for call in run.pending_calls] == ["call_1_0"]


def test_a_forced_tool_choice_binds_the_first_call_only() -> None:
    run = in_progress(tool_choice=ToolChoice("function", "local"))
    first = next_command(run)
    run, _ = concluded(returned(told(run, calls("local")), "call_1_0"))
    second = next_command(run)

    assert isinstance(first, CallModel)
    assert first.tool_choice.mode == "function"
    assert isinstance(second, CallModel)
    assert second.tool_choice.mode == "auto"


def test_tool_choice_none_stays_none() -> None:
    run = in_progress(tool_choice=ToolChoice("none"))
    run, _ = concluded(returned(told(run, calls("local")), "call_1_0"))
    command = next_command(run)

    assert isinstance(command, CallModel)
    assert command.tool_choice.mode == "none"


def test_token_limits_count_over_all_model_calls_of_the_run() -> None:
    run = in_progress(max_prompt_tokens=300, max_completion_tokens=256)
    run, _ = concluded(returned(told(run, calls("local", usage=Usage(120, 200))), "call_1_0"))
    command = next_command(run)

    assert isinstance(command, CallModel)
    assert (command.prompt_tokens_left, command.completion_tokens_left) == (180, 56)


@pytest.mark.parametrize(
    ("usage", "limit"), [(Usage(400, 1), "max_prompt_tokens"), (Usage(1, 300), "max_completion_tokens")]
)
def test_a_used_up_token_limit_ends_the_run_as_incomplete(usage: Usage, limit: str) -> None:
    run = in_progress(max_prompt_tokens=300, max_completion_tokens=256)
    run, events = concluded(returned(told(run, calls("local", usage=usage)), "call_1_0"))

    assert kinds(events) == ["StepCompleted", "RunIncomplete"]
    assert (run.status, run.limit) == (RunStatus.INCOMPLETE, limit)


def test_an_answer_cut_by_the_token_limit_is_kept_and_the_run_is_incomplete() -> None:
    run, events = concluded(told(in_progress(), says("Once upon", finish="length")))

    assert kinds(events) == ["MessageIncomplete", "StepCompleted", "RunIncomplete"]
    assert isinstance(events[0], ev.MessageIncomplete)
    assert events[0].reason == "max_tokens"
    assert run.limit == "max_completion_tokens"


def test_a_model_that_never_stops_calling_ends_with_what_it_did() -> None:
    run = in_progress(max_steps=3)
    for n in range(1, 4):
        run, _ = concluded(returned(told(run, calls("local", n=n)), f"call_{n}_0"))

    assert run.status is RunStatus.INCOMPLETE
    assert run.limit == "max_steps"
    assert len(run.turns) == 6


def test_a_failing_model_fails_the_run_with_what_really_happened() -> None:
    run = told(in_progress(), [*opens_message(), ev.TextDelta(message_id="msg_1", text="I thi")])
    run, events = concluded(apply(run, ev.TurnFailed(code="rate_limit_exceeded", message="429 from upstream")))

    assert kinds(events) == ["MessageIncomplete", "StepFailed", "RunFailed"]
    assert run.last_error is not None
    assert run.last_error.message == "429 from upstream"


def test_a_cancel_closes_the_open_message_before_its_step() -> None:
    run = told(in_progress(), [*opens_message(), ev.TextDelta(message_id="msg_1", text="Half")])
    run, events = concluded(apply(run, ev.CancelRequested()))

    assert kinds(events) == ["MessageIncomplete", "StepCancelled", "RunCancelled"]
    assert isinstance(events[0], ev.MessageIncomplete)
    assert (events[0].reason, events[0].is_discarded) == ("run_cancelled", False)
    assert run.status is RunStatus.CANCELLED


@pytest.mark.parametrize("stage", ["queued", "in_progress", "requires_action"])
def test_a_deadline_expires_a_run_wherever_it_is(stage: str) -> None:
    run = new_run()
    if stage != "queued":
        run, _ = concluded(run)
    if stage == "requires_action":
        run, _ = concluded(told(run, calls("remote")))
    run, events = concluded(apply(run, ev.DeadlinePassed()))

    assert kinds(events)[-1] == "RunExpired"
    assert run.status is RunStatus.EXPIRED


def test_a_function_that_nobody_offered_is_answered_by_the_server() -> None:
    run = told(in_progress(), calls("made_up"))

    assert command_name(run) == "RunTools"


def test_a_text_beside_calls_joins_the_conversation_with_them() -> None:
    run = told(in_progress(), [*opens_message(7), ev.TextDelta(message_id="msg_7", text="Let me look.")])
    *opening, finished = calls("local")
    assert isinstance(finished, ev.TurnFinished)
    closing: list[ev.Event] = [
        ev.MessageCompleted(message_id="msg_7", parts=()),
        ev.StepCompleted(step_id="step_7", usage=Usage()),
    ]
    finished = ev.TurnFinished(finish="tool_calls", text="Let me look.", calls=finished.calls, usage=Usage(1, 1))
    run = told(told(told(run, closing), opening), [finished])
    run, _ = concluded(returned(run, "call_1_0"))

    assert run.turns[0].text == "Let me look."
    assert [call.name for call in run.turns[0].tool_calls] == ["local"]


def test_a_model_call_that_a_crash_cut_off_is_closed_and_made_again() -> None:
    run = told(in_progress(), [*opens_message(), ev.TextDelta(message_id="msg_1", text="Half")])
    events = recover(run)
    run = told(run, events)

    assert kinds(events) == ["MessageIncomplete", "StepFailed", "TurnLost"]
    assert isinstance(events[0], ev.MessageIncomplete)
    assert events[0].is_discarded
    assert run.turns == ()
    assert command_name(run) == "CallModel"


def test_a_call_that_a_crash_cut_off_has_an_unknown_outcome_unless_it_is_repeatable() -> None:
    run = apply(told(in_progress(), calls("local")), ev.CallStarted(call_id="call_1_0"))
    events = recover(run)

    assert kinds(events) == ["CallReturned"]
    assert isinstance(events[0], ev.CallReturned)
    assert events[0].result.output == INTERRUPTED
    assert recover(run, repeatable={"local"}) == ()
    assert command_name(run) == "RunTools"


def test_a_call_that_had_not_started_is_simply_made_after_a_crash() -> None:
    run = told(in_progress(), calls("local"))

    assert recover(run) == ()
    assert command_name(run) == "RunTools"


@pytest.mark.parametrize(
    "event",
    [
        ev.RunStarted(),
        ev.RunCompleted(),
        ev.CancelRequested(),
        ev.DeadlinePassed(),
        ev.OutputsSubmitted(results=()),
        ev.TurnFailed(code="server_error", message=""),
        ev.StepCreated(step_id="step_9", type="tool_calls"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nothing_happens_to_a_finished_run(event: ev.Event) -> None:
    run, _ = concluded(told(in_progress(), says("Done")))

    with pytest.raises(ForbiddenTransitionError):
        apply(run, event)


def test_outputs_for_other_calls_are_refused() -> None:
    run, _ = concluded(told(in_progress(), calls("remote", "remote")))

    with pytest.raises(ForbiddenTransitionError):
        apply(run, ev.OutputsSubmitted(results=(ToolResult("call_1_0", "x"),)))


def test_a_stored_log_folds_to_the_same_run() -> None:
    start = new_run()
    log: list[ev.Event] = [ev.RunCreated(spec=start.spec), ev.RunQueued(), ev.RunStarted(at=3.0), *says("Hi", n=4)]
    run, closing = concluded(fold(log))

    assert fold([*log, *closing]) == run
    assert fold(ev.decode_events(ev.encode_events([*log, *closing]))) == run
