"""Agent: the client-side front. The same engine and driver as a server's run, in memory, in the caller's task."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Self, TypeVar

from msgspec.structs import replace

from agentrt.clock import Clock, SystemClock
from agentrt.config.schema import DEFAULT_SANDBOX
from agentrt.engine.commands import Conclude
from agentrt.engine.events import CallReturned, Event, OutputsSubmitted
from agentrt.engine.loop import apply, next_command
from agentrt.engine.message import Message, SearchShown, TextPart, ToolResult, user
from agentrt.engine.run import Run, RunStatus
from agentrt.engine.spec import (
    CodeInterpreterTool,
    FileSearchTool,
    FunctionTool,
    ResponseFormat,
    RunSpec,
    ToolChoice,
    ToolSpec,
)
from agentrt.errors import InvalidRequestError, ToolDefinitionError, ToolOutputsMismatchError
from agentrt.ids import new_id
from agentrt.models.client import ModelClient
from agentrt.runtime.code_interpreter.local import CodeInterpreter
from agentrt.runtime.conversation import Conversation, Result, Stream, Thread
from agentrt.runtime.drive import Interrupt, drive
from agentrt.runtime.file_search.local import FileSearch
from agentrt.runtime.hosted import HostedName, HostedTool
from agentrt.runtime.memory_history import MemoryHistory
from agentrt.runtime.perform import Performer, TokenRatios
from agentrt.toolkit.registry import ToolRegistry
from agentrt.toolkit.tool import Tool

T = TypeVar("T")

_NO_FUNCTIONS = (FunctionTool, CodeInterpreter, FileSearch)


class Agent:
    """Instructions, a model and tools: runs them over and over, with no server and no database.

    model: a client, or a name: of the project's agents.toml if there is one, else of the OpenAI-compatible server that
    OPENAI_BASE_URL and OPENAI_API_KEY name; "demo" is the built-in stand-in. tools: functions (run here),
    FunctionTool values (the run stops for their outputs, see `resume`), a CodeInterpreter and a FileSearch.
    Raises ToolDefinitionError for a function that cannot be a tool.
    """

    def __init__(
        self,
        instructions: str = "",
        *,
        model: str | ModelClient = "demo",
        tools: Sequence[Tool | FunctionTool | CodeInterpreter | FileSearch | Callable[..., object]] = (),
        name: str = "agent",
        tool_choice: ToolChoice | None = None,
        parallel_tool_calls: bool = True,
        response_format: ResponseFormat | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        reasoning_effort: str | None = None,
        max_prompt_tokens: int | None = None,
        max_completion_tokens: int | None = None,
        max_steps: int = 32,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.instructions = instructions
        self.model_name = model if isinstance(model, str) else name
        if CodeInterpreter in tools:
            raise ToolDefinitionError("CodeInterpreter is a class: write tools=[CodeInterpreter()].")
        if FileSearch in tools:
            raise ToolDefinitionError('FileSearch is a class: write tools=[FileSearch("folder/")].')
        self.tools = ToolRegistry(tool for tool in tools if not isinstance(tool, _NO_FUNCTIONS))
        self.code = _only([tool for tool in tools if isinstance(tool, CodeInterpreter)])
        self.files = _only([tool for tool in tools if isinstance(tool, FileSearch)])
        self._model = None if isinstance(model, str) else model
        self._clock = clock or SystemClock()
        self._ratios = TokenRatios()
        specs: list[ToolSpec] = [tool.spec() for tool in self.tools]
        specs += [tool for tool in tools if isinstance(tool, FunctionTool)]
        specs += [CodeInterpreterTool()] if self.code is not None else []
        specs += [FileSearchTool(self.files.options)] if self.files is not None else []
        self._spec = RunSpec(
            id="",
            thread_id="",
            assistant_id=f"asst_{name}",
            created_at=0,
            model=self.model_name,
            instructions=instructions,
            tools=tuple(specs),
            tool_choice=tool_choice or ToolChoice(),
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format or ResponseFormat(),
            temperature=temperature,
            top_p=top_p,
            reasoning_effort=reasoning_effort,
            max_prompt_tokens=max_prompt_tokens,
            max_completion_tokens=max_completion_tokens,
            server_tools=self.tools.names(),
            max_steps=max_steps,
            sandbox=DEFAULT_SANDBOX if self.code is None else self.code.name,
        )

    @property
    def spec(self) -> RunSpec:
        """What every run of this agent is asked to do, without ids and times."""
        return self._spec

    async def run(
        self, said: str | Message, *, thread: Conversation | Thread[Agent] | None = None, context: object = None
    ) -> Result:
        """Say something and run until there is an answer or something only the caller can do.

        thread: what was said before, in memory or in a database; it grows by this run. context: what tools get as
        `Context.value`. A model or tool that fails does not raise: see `Result.status` and `Result.last_error`.
        """
        async with self.stream(said, thread=thread, context=context, is_watched=False) as stream:
            async for _ in stream:
                continue
        return stream.result

    def stream(
        self,
        said: str | Message,
        *,
        thread: Conversation | Thread[Agent] | None = None,
        context: object = None,
        is_watched: bool = True,
    ) -> Stream:
        """The same run, seen from inside: iterate over its events. Leaving early abandons the run.

        is_watched: False asks the model for whole answers instead of pieces.
        """
        message = user(said) if isinstance(said, str) else said
        if thread is not None and not isinstance(thread, Conversation):
            return thread.stream(self, message, context=context)
        conversation = Conversation() if thread is None else thread
        at = self._clock.now()
        spec = replace(
            self._spec,
            id=new_id("run"),
            thread_id=new_id("thread"),
            created_at=int(at),
            position=0 if self.files is None else conversation.next_position(),
        )
        history = (*conversation.messages, message)
        return MemoryStream(
            self, Run(spec=spec), conversation, history, said=(message,), context=context, is_watched=is_watched
        )

    async def resume(self, result: Result, outputs: Mapping[str, str], *, context: object = None) -> Result:
        """Go on with a run that waits, giving it the outputs of its pending calls by call id.

        Raises ToolOutputsMismatchError when the ids are not exactly the pending ones.
        """
        run = result.run
        if run.status is not RunStatus.REQUIRES_ACTION:
            raise InvalidRequestError(f'A run in status "{run.status}" does not wait for outputs.')
        if {call.id for call in run.pending_calls} != outputs.keys():
            raise ToolOutputsMismatchError(expected=[c.id for c in run.pending_calls], got=list(outputs))
        stream: Stream
        if result.thread is not None:
            stream = result.thread.resume(self, run, outputs, context=context)
        else:
            stream = MemoryStream(
                self, _with_outputs(run, outputs), result.conversation, result.history,
                n_known=len(run.turns), context=context, is_watched=False,
            )  # fmt: skip
        async with stream:
            async for _ in stream:
                continue
        return dataclasses.replace(stream.result, searches=(*result.searches, *stream.result.searches))

    async def find_model(self, name: str) -> ModelClient:
        """The agent's model client, made when first needed. Raises ModelNotFoundError, ConfigError."""
        if self._model is not None:
            return self._model
        from agentrt.runtime.default_model import default_model

        return await default_model(name, clock=self._clock)

    async def context_window(self, spec: RunSpec) -> int | None:
        """Of the model, in tokens; None = not known."""
        return (await self.find_model(spec.model)).context_window

    def performer(self, history: Sequence[Message], *, context: object, is_watched: bool) -> Performer:
        """What performs this agent's commands over a conversation in memory."""
        return Performer(
            history=MemoryHistory(history),
            find_model=self.find_model,
            tools=self.tools,
            clock=self._clock,
            context_value=context,
            ratios=self._ratios,
            is_watched=is_watched,
        )


def _only(given: Sequence[T]) -> T | None:
    if len(given) > 1:
        raise ToolDefinitionError(f"An agent has one {type(given[0]).__name__} at most.")
    return given[0] if given else None


def _with_outputs(run: Run, outputs: Mapping[str, str]) -> Run:
    """The run back in the queue."""
    run = apply(run, OutputsSubmitted(results=tuple(ToolResult(i, text) for i, text in outputs.items())))
    command = next_command(run)
    if isinstance(command, Conclude):
        for event in command.events:
            run = apply(run, event)
    return run


class MemoryStream:
    """A Stream of a run that is driven right here, in the task that iterates.

    said, n_known: what the conversation does not hold yet of the history, and how many of the run's turns it does.
    """

    def __init__(
        self,
        agent: Agent,
        run: Run,
        conversation: Conversation,
        history: Sequence[Message],
        *,
        said: Sequence[Message] = (),
        n_known: int = 0,
        context: object,
        is_watched: bool,
    ) -> None:
        self._run = run
        self._conversation = conversation
        self._history = history
        self._said = said
        self._n_known = n_known
        self._performer = agent.performer(history, context=context, is_watched=is_watched)
        self._agent = agent
        self._searches: dict[str, SearchShown] = {}
        self._exits = AsyncExitStack()
        self._events = self._drive()

    @property
    def result(self) -> Result:
        """What the run has come to so far; final when the iteration is over."""
        return Result(self._run, self._conversation, self._history, searches=[*self._searches.values()])

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return self._events

    async def __aenter__(self) -> Self:
        agent, hosted = self._agent, dict[HostedName, HostedTool]()
        async with AsyncExitStack() as exits:
            if agent.code is not None:
                hosted["code_interpreter"] = await exits.enter_async_context(agent.code.of(self._conversation))
            if agent.files is not None:
                searches = [*self._conversation.searches]
                of_run = agent.files.of(self._history, searches, context_window=agent.context_window)
                hosted["file_search"] = await exits.enter_async_context(of_run)
            self._exits = exits.pop_all()
        self._performer.hosted = hosted
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._events.aclose()
        await self._exits.aclose()
        # What the run did stays, also when it was left early: closed turns only, so that the thread can go on.
        # Appended, not put in place of what was there: another run may have grown the conversation meanwhile.
        turns = [self._in_brief(message) for message in self._run.turns[self._n_known :]]
        self._conversation.messages += [*self._said, *turns]
        self._conversation.searches += self._searches.values()

    def _in_brief(self, message: Message) -> Message:
        """What later runs read of it: of a search, which passages there were."""
        shown = self._searches.get(message.call_id or "")
        return message if shown is None or not shown.hits else replace(message, parts=(TextPart(shown.brief),))

    async def _drive(self) -> AsyncGenerator[Event, None]:
        driven = drive(self._run, perform=self._performer, now=self._performer.clock.now, interrupt=Interrupt())
        async with aclosing(driven):
            async for run, batch in driven:
                self._run = run
                for event in batch:
                    if isinstance(event, CallReturned) and isinstance(event.result.shown, SearchShown):
                        self._searches[event.result.call_id] = event.result.shown
                    yield event
