"""The run behind `agentrt run`: one question, one answer, in text or JSON."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from agentrt.cli.choose import check_model, choose_agent, choose_thread
from agentrt.cli.connect import open_engine
from agentrt.cli.options import Invocation, start_logging
from agentrt.cli.outcome import problem_of
from agentrt.cli.port import Engine, Happening, OutputsWanted, RunEnded
from agentrt.cli.problems import CliError
from agentrt.cli.schedule_views import choose_schedule
from agentrt.cli.screen import Screen
from agentrt.cli.transcript import SilentTranscript, Transcript, open_transcript
from agentrt.cli.turns import Turn, play
from agentrt.clock import SystemClock

_METADATA: Final = {"source": "agentrt run"}
_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")

Form: TypeAlias = Literal["text", "json", "jsonl"]


@dataclass(frozen=True, slots=True)
class Question:
    """What `agentrt run` was asked to do. timeout_s None: as long as it takes."""

    agent: str
    text: str
    thread: str | None = None
    model: str | None = None
    timeout_s: float | None = None
    form: Form = "text"


def ask_once(invocation: Invocation, question: Question, *, key: str | None) -> None:
    """Ask, and print the answer. Raises CliError unless the run completed, KeyboardInterrupt after Ctrl-C."""
    start_logging(invocation)
    asyncio.run(_ask(invocation, question, key))


def fire_once(invocation: Invocation, schedule: str, *, key: str | None) -> None:
    """Make a schedule's run now, and print the answer. Raises as ask_once does."""
    start_logging(invocation)
    asyncio.run(_fire(invocation, schedule, key))


async def _ask(invocation: Invocation, question: Question, key: str | None) -> None:
    config = invocation.config
    async with open_engine(config, key=key) as engine:
        agent = choose_agent(await engine.shelf.agents(), question.agent, config.runtime.default_agent)
        if engine.url is None:
            check_model(config, agent, question.model)
        if question.thread is not None:
            thread_id = await choose_thread(engine.shelf, question.thread)
        else:
            thread_id = await engine.new_thread(_METADATA)
        asking = engine.run(thread_id, agent.id, question.text, model=question.model)
        turn = Turn(thread_id=thread_id)
        seen = _Seen(agent.id, question.form, turn, _Watch(engine, turn, question.timeout_s))
        await _see(invocation, seen, asking)
    _end(invocation, seen)


async def _fire(invocation: Invocation, text: str, key: str | None) -> None:
    async with open_engine(invocation.config, key=key) as engine:
        schedule = choose_schedule(await engine.shelf.schedules.all(), text)
        turn = Turn()
        form: Form = "json" if invocation.is_json else "text"
        seen = _Seen(schedule.assistant_id, form, turn, _Watch(engine, turn, None))
        await _see(invocation, seen, engine.fire(schedule.id))
    _end(invocation, seen)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A run that is seen to its end, and how it is shown."""

    agent_id: str
    form: Form
    turn: Turn
    watch: _Watch


async def _see(invocation: Invocation, seen: _Seen, happenings: AsyncGenerator[Happening, None]) -> None:
    transcript, tell = _shown_on(seen.form, *invocation.screens, is_verbose=invocation.verbosity > 0)
    await seen.watch.over(play(happenings, seen.turn, transcript, clock=SystemClock(), tell=tell))


def _end(invocation: Invocation, seen: _Seen) -> None:
    """Raises CliError unless the run completed, KeyboardInterrupt after Ctrl-C."""
    turn, (out, err) = seen.turn, invocation.screens
    if seen.form == "json":
        out.line(json.dumps(_result(turn, seen.agent_id), ensure_ascii=False))
    if invocation.verbosity and isinstance(turn.rest, RunEnded):
        err.line(err.paint(f"{turn.rest.spent.total_tokens} tokens · {turn.run_id} · {turn.thread_id}", "dim"))
    seen.watch.raise_why()
    problem = problem_of(turn)
    if problem is not None:
        raise problem


class _Watch:
    """Watches over a run: Ctrl-C and the timeout cancel it, and it is seen to its end."""

    def __init__(self, engine: Engine, turn: Turn, timeout_s: float | None) -> None:
        self._engine = engine
        self._turn = turn
        self._timeout_s = timeout_s
        self._why: Literal["interrupt", "timeout"] | None = None

    async def over(self, playing: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(playing)

            def stop(why: Literal["interrupt", "timeout"]) -> None:
                if self._why is None and self._turn.run_id:
                    group.create_task(self._engine.cancel(self._turn.thread_id, self._turn.run_id))
                else:  # there is no run yet, or the person insists
                    task.cancel()
                self._why = self._why or why

            loop.add_signal_handler(signal.SIGINT, stop, "interrupt")
            timer = loop.call_later(self._timeout_s, stop, "timeout") if self._timeout_s is not None else None
            try:
                await asyncio.wait([task])
            finally:
                loop.remove_signal_handler(signal.SIGINT)
                if timer is not None:
                    timer.cancel()

    def raise_why(self) -> None:
        """Raises KeyboardInterrupt or CliError if the run was stopped from here before it was completed."""
        rest = self._turn.rest
        if self._why is None or (isinstance(rest, RunEnded) and rest.status == "completed"):
            return
        if self._why == "interrupt":
            raise KeyboardInterrupt
        text = f"the run took longer than {self._timeout_s:g} s and was cancelled"
        raise CliError("E701", text, fix="a longer --timeout, or none")


def _shown_on(
    form: Form, out: Screen, err: Screen, *, is_verbose: bool
) -> tuple[Transcript, Callable[[Happening], None] | None]:
    if form == "text":
        return open_transcript(out, err, clock=SystemClock(), is_verbose=is_verbose), None
    if form == "json":
        return SilentTranscript(), None
    return SilentTranscript(), lambda happening: out.line(_line(happening))


def _line(happening: Happening) -> str:
    """`{"event": "text_piece", "text": "…"}`"""
    name = _WORDS.sub("_", type(happening).__name__).lower()
    return json.dumps({"event": name, **asdict(happening)}, ensure_ascii=False)


def _result(turn: Turn, agent_id: str) -> dict[str, Any]:
    rest = turn.rest
    ended = rest if isinstance(rest, RunEnded) else RunEnded("failed")
    return {
        "answer": turn.answer,
        "status": "requires_action" if isinstance(rest, OutputsWanted) else ended.status,
        "agent": agent_id,
        "thread_id": turn.thread_id,
        "run_id": turn.run_id,
        "calls": [
            {"name": call.name, "arguments": call.arguments, "output": turn.results[call_id].output}
            for call_id, call in turn.calls.items()
            if call_id in turn.results
        ],
        "pending_calls": [asdict(call) for call in rest.calls] if isinstance(rest, OutputsWanted) else [],
        "usage": {
            "prompt_tokens": ended.spent.prompt_tokens,
            "completion_tokens": ended.spent.completion_tokens,
            "total_tokens": ended.spent.total_tokens,
        },
    }
