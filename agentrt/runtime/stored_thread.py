"""StoredThread: a thread in a runtime's database, for an Agent in code to talk on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Literal, Protocol, Self

from agentrt.engine.events import Event, RunCreated
from agentrt.engine.fold import apply, fold
from agentrt.engine.message import Message, Role
from agentrt.engine.run import Run
from agentrt.errors import InvalidRequestError
from agentrt.ids import new_id
from agentrt.runtime.agent import Agent, Conversation, Result
from agentrt.runtime.requests import NewMessage, NewRun
from agentrt.runtime.runs import Runs


class Host(Protocol):
    """The runtime whose worker drives the runs."""

    @property
    def runs(self) -> Runs: ...

    async def adopt(self, agent: Agent) -> None: ...

    def give_context(self, run_id: str, value: object) -> None: ...


class StoredThread:
    """A thread that outlives the process: `await agent.run("…", thread=runtime.thread(thread_id))`."""

    def __init__(self, runtime: Host, thread_id: str, *, project: str) -> None:
        self._runtime = runtime
        self.id = thread_id
        self.project = project

    def stream(self, agent: Agent, message: Message, *, context: object) -> StoredStream:
        """Put the message on the thread and run the agent on it, durably; see Agent.stream."""
        return StoredStream(self._runtime, self, agent, message, context=context)


class StoredStream:
    """A Stream of a run that the runtime's worker drives. Leaving early leaves the run to it."""

    def __init__(self, runtime: Host, thread: StoredThread, agent: Agent, message: Message, *, context: object) -> None:
        self._runtime = runtime
        self._thread = thread
        self._agent = agent
        self._message = message
        self._context = context
        self._run: Run | None = None
        self._events = self._follow()

    @property
    def result(self) -> Result:
        """What the run has come to so far; final when the iteration is over."""
        if self._run is None:
            raise InvalidRequestError("The run has not begun: iterate over the stream first.")
        return Result(self._run, Conversation(self._run.turns))

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._events.aclose()

    async def _follow(self) -> AsyncGenerator[Event, None]:
        spec, thread = self._agent.spec, self._thread
        await self._runtime.adopt(self._agent)
        role: Literal["user", "assistant"] = "assistant" if self._message.role is Role.ASSISTANT else "user"
        new = NewRun(
            assistant_id=spec.assistant_id,
            messages=(NewMessage(role, self._message.parts),),
            tool_choice=spec.tool_choice,
            parallel_tool_calls=spec.parallel_tool_calls,
            max_prompt_tokens=spec.max_prompt_tokens,
            max_completion_tokens=spec.max_completion_tokens,
        )
        run_id = new_id("run")
        self._runtime.give_context(run_id, self._context)
        await self._runtime.runs.create(thread.project, thread.id, new, run_id=run_id)
        async with aclosing(self._runtime.runs.follow(run_id)) as bursts:
            async for burst in bursts:
                for numbered in burst:
                    event = numbered.event
                    if isinstance(event, RunCreated):
                        self._run = fold([event])
                    elif self._run is not None:
                        self._run = apply(self._run, event)
                    yield event
