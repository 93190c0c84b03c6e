"""StoredThread: a thread in a runtime's database, for an Agent in code to talk on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Literal, Protocol, Self

from agentrt.engine.events import CallReturned, Event, RunCreated
from agentrt.engine.fold import apply, fold
from agentrt.engine.message import Message, Role, SearchShown
from agentrt.engine.run import Run
from agentrt.errors import InvalidRequestError
from agentrt.ids import new_id
from agentrt.runtime.agent import Agent
from agentrt.runtime.conversation import Conversation, Result
from agentrt.runtime.feed import Place
from agentrt.runtime.requests import NewMessage, NewRun
from agentrt.runtime.runs import Runs
from agentrt.store.run_events import NumberedEvent


class Host(Protocol):
    """The runtime whose worker drives the runs."""

    @property
    def runs(self) -> Runs: ...

    async def adopt(self, agent: Agent) -> None: ...

    def give_context(self, run_id: str, value: object) -> None: ...

    def forget_context(self, run_id: str) -> None: ...


class StoredThread:
    """A thread that outlives the process: `await agent.run("…", thread=runtime.thread(thread_id))`."""

    def __init__(self, runtime: Host, thread_id: str, *, project: str) -> None:
        self._runtime = runtime
        self.id = thread_id
        self.project = project

    def stream(self, agent: Agent, message: Message, *, context: object) -> StoredStream:
        """Put the message on the thread and run the agent on it, durably; see Agent.stream."""
        return StoredStream(self, self._start(agent, message, context))

    def resume(self, agent: Agent, run: Run, outputs: Mapping[str, str], *, context: object) -> StoredStream:
        """Give a run that waits its outputs, durably, and see it go on; see Agent.resume."""
        return StoredStream(self, self._go_on(agent, run, outputs, context), run)

    def follow(self, run_id: str, *, after: Place | None) -> AsyncGenerator[list[NumberedEvent], None]:
        """See Runs.follow."""
        return self._runtime.runs.follow(run_id, after=after)

    async def _start(self, agent: Agent, message: Message, context: object) -> tuple[str, Place | None]:
        """A new run, and the place after which it is to be followed."""
        await self._runtime.adopt(agent)
        spec = agent.spec
        role: Literal["user", "assistant"] = "assistant" if message.role is Role.ASSISTANT else "user"
        new = NewRun(
            assistant_id=spec.assistant_id,
            messages=(NewMessage(role, message.parts),),
            tool_choice=spec.tool_choice,
            parallel_tool_calls=spec.parallel_tool_calls,
            max_prompt_tokens=spec.max_prompt_tokens,
            max_completion_tokens=spec.max_completion_tokens,
        )
        run_id = new_id("run")
        with self._context(run_id, context):
            await self._runtime.runs.create(self.project, self.id, new, run_id=run_id)
        return run_id, None

    async def _go_on(
        self, agent: Agent, run: Run, outputs: Mapping[str, str], context: object
    ) -> tuple[str, Place | None]:
        await self._runtime.adopt(agent)
        with self._context(run.spec.id, context):
            submitted = await self._runtime.runs.submit(self.project, self.id, run.spec.id, list(outputs.items()))
        return run.spec.id, submitted.after

    @contextmanager
    def _context(self, run_id: str, value: object) -> Iterator[None]:
        # Before the run is made: a driver may have it before the caller has its answer.
        self._runtime.give_context(run_id, value)
        try:
            yield
        except BaseException:
            self._runtime.forget_context(run_id)
            raise


class StoredStream:
    """A Stream of a run that the runtime's worker drives. Leaving early leaves the run to it.

    started: makes the run, or has it go on. run: what it was before, None for a new one.
    """

    def __init__(
        self, thread: StoredThread, started: Coroutine[None, None, tuple[str, Place | None]], run: Run | None = None
    ) -> None:
        self._thread = thread
        self._started = started
        self._run = run
        self._searches: list[SearchShown] = []
        self._events = self._follow()

    @property
    def result(self) -> Result:
        """What the run has come to so far; final when the iteration is over."""
        if self._run is None:
            raise InvalidRequestError("The run has not begun: iterate over the stream first.")
        return Result(self._run, Conversation(self._run.turns), thread=self._thread, searches=[*self._searches])

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._events

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._events.aclose()
        self._started.close()  # where nobody has looked, nothing was begun

    async def _follow(self) -> AsyncGenerator[Event, None]:
        run_id, after = await self._started
        async with aclosing(self._thread.follow(run_id, after=after)) as bursts:
            async for burst in bursts:
                for numbered in burst:
                    event = numbered.event
                    if isinstance(event, RunCreated):
                        self._run = fold([event])
                    elif self._run is not None:
                        self._run = apply(self._run, event)
                    if isinstance(event, CallReturned) and isinstance(event.result.shown, SearchShown):
                        self._searches.append(event.result.shown)
                    yield event
