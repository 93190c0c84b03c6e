"""One Command → its Events. All that can go wrong with a model or a tool becomes an event here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from agentrt.clock import Clock
from agentrt.engine.commands import CallModel, RunTools
from agentrt.engine.events import CallOutput, CallReturned, CallStarted, PromptTooLong, TurnFailed
from agentrt.engine.message import Annotation, ImageFilePart, ImageUrlPart, Message, TextPart, ToolCall, Usage
from agentrt.engine.prompt import assemble
from agentrt.engine.run import Run
from agentrt.engine.spec import CodeInterpreterTool, FileSearchTool, FunctionTool, RunSpec, ToolChoice, ToolSpec
from agentrt.engine.tokens import (
    BYTES_PER_TOKEN,
    MESSAGE_OVERHEAD_TOKENS,
    estimate_tokens,
    size_bytes,
    tools_size_bytes,
)
from agentrt.engine.window import ContextTooLongError, Window
from agentrt.errors import AgentrtError, ModelError
from agentrt.models.client import EndChunk, ModelClient, ModelRequest
from agentrt.runtime.drive import Batch
from agentrt.runtime.hosted import HostedName, HostedTool, Piece
from agentrt.runtime.turn import Turn, storable
from agentrt.toolkit.context import Context
from agentrt.toolkit.invoke import invoke
from agentrt.toolkit.registry import ToolRegistry

log = logging.getLogger(__name__)

_DEFAULT_CONTEXT_TOKENS = 128_000
_ANSWER_RESERVE_TOKENS = 4_096


class History(Protocol):
    """The conversation before a run."""

    async def fill(self, window: Window) -> None:
        """Offer entries to the window, newest first, until it is full or there are no more."""
        ...

    async def images(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with stored images turned into `data:` URLs; an image that is gone becomes a text saying so."""
        ...


class _Prompt(NamedTuple):
    """What a model is shown; about how many tokens it has, tools included; the bytes per token of that estimate."""

    messages: tuple[Message, ...]
    n_tokens: int
    ratio: float


class _Offer(NamedTuple):
    """The functions that a model is shown, and their size."""

    tools: tuple[FunctionTool, ...]
    n_bytes: int


@dataclass(slots=True)
class Performer:
    """Performs the commands of one run.

    hosted: the API's own tools, as far as this server has them. context_value: what the embedding program hands to its
    tools. is_watched: whether anybody wants the answer in pieces; without, the model is asked for it whole.
    """

    history: History
    find_model: Callable[[str], Awaitable[ModelClient]]
    tools: ToolRegistry
    clock: Clock
    max_parallel_tools: int = 8
    max_output_bytes: int = 262_144
    context_value: object = None
    is_watched: bool = True
    hosted: Mapping[HostedName, HostedTool] = field(default_factory=dict)
    ratios: TokenRatios = field(default_factory=lambda: TokenRatios())
    _offer: _Offer | None = field(default=None, init=False)

    def __call__(self, run: Run, command: CallModel | RunTools) -> AsyncGenerator[Batch, None]:
        """See drive.Perform."""
        return self._call_model(run, command) if isinstance(command, CallModel) else self._run_tools(run, command)

    async def _call_model(self, run: Run, command: CallModel) -> AsyncGenerator[Batch, None]:
        turn = Turn(images=run.unshown_images)
        try:
            model = await self.find_model(run.spec.model)
            offer = await self._offered(run.spec)
            prompt = await self._prompt(run, command, model, offer)
            async with aclosing(model.stream(_request(run.spec, command, prompt, offer, self.is_watched))) as chunks:
                async for chunk in chunks:
                    if isinstance(chunk, EndChunk):
                        usage = self._usage(run.spec.model, prompt, turn, chunk)
                        yield turn.end(chunk, usage, await self._annotations(run, turn.text))
                        return
                    if events := turn.take(chunk):
                        yield events
            yield (TurnFailed(code="server_error", message="The model server ended its answer without a word."),)
        except ContextTooLongError as error:
            if command.prompt_tokens_left is not None and error.is_run_limit:
                yield (PromptTooLong(message=str(error)),)
            else:
                yield (TurnFailed(code="invalid_prompt", message=str(error)),)
        except ModelError as error:
            yield (TurnFailed(code=error.reason, message=error.message),)
        except AgentrtError as error:
            yield (TurnFailed(code="server_error", message=error.message),)

    async def _prompt(self, run: Run, command: CallModel, model: ModelClient, offer: _Offer) -> _Prompt:
        spec, ratio = run.spec, self.ratios.of(run.spec.model)
        context = model.context_window or _DEFAULT_CONTEXT_TOKENS
        room = context - min(command.completion_tokens_left or _ANSWER_RESERVE_TOKENS, context // 4)
        left = command.prompt_tokens_left
        n_fixed_bytes = size_bytes(spec.instructions) + offer.n_bytes
        n_fixed = int(n_fixed_bytes / ratio) + MESSAGE_OVERHEAD_TOKENS
        window = Window(
            budget_tokens=(room if left is None else min(room, left)) - n_fixed,
            last_messages=spec.truncation.last_messages,
            bytes_per_token=ratio,
            is_run_limit=left is not None and left < room,
        )
        window.add_turns(run.turns)
        await self.history.fill(window)
        shown = await self.history.images(window.messages())
        n_tokens = n_fixed + window.cost_tokens
        if not model.takes_images:
            shown = tuple(_without_images(message, spec.model) for message in shown)
            n_tokens = n_fixed + sum(estimate_tokens(message, bytes_per_token=ratio) for message in shown)
        return _Prompt(assemble(spec.instructions, shown), n_tokens, ratio)

    async def _offered(self, spec: RunSpec) -> _Offer:
        """What the model may call: the same at every call of the run."""
        if self._offer is None:
            shown = [await self._shown(tool, spec) for tool in spec.tools]
            tools = tuple(tool for tool in shown if tool is not None)
            self._offer = _Offer(tools, tools_size_bytes(tools))
        return self._offer

    async def _shown(self, tool: ToolSpec, spec: RunSpec) -> FunctionTool | None:
        """A tool as the model is shown it; None for one that is not offered here."""
        match tool:
            case FunctionTool():
                return self._shown_function(tool, spec)
            case CodeInterpreterTool():
                name: HostedName = "code_interpreter"
            case FileSearchTool():
                name = "file_search"
        hosted = self.hosted.get(name) if spec.tool_type(name) == name else None
        return None if hosted is None else await hosted.offer(spec)

    def _shown_function(self, function: FunctionTool, spec: RunSpec) -> FunctionTool:
        """Of one of the server's own functions, a caller need only give the name."""
        if function.description and function.parameters:
            return function
        tool = self.tools.get(function.name) if function.name in spec.server_tools else None
        if tool is None:
            return function
        return replace(
            function,
            description=function.description or tool.description,
            parameters=function.parameters or tool.parameters,
        )

    async def _annotations(self, run: Run, text: str) -> tuple[Annotation, ...]:
        found: list[Annotation] = []
        for name, tool in self.hosted.items():
            if text and run.spec.tool_type(name) == name:
                found += await tool.annotate(run, text)
        return tuple(sorted(found, key=lambda annotation: annotation.start))

    def _usage(self, model: str, prompt: _Prompt, turn: Turn, chunk: EndChunk) -> Usage:
        """What the server counted, and a lesson for our estimates; else the estimates."""
        if chunk.usage is not None:
            self.ratios.learn(model, ratio=prompt.ratio, estimated=prompt.n_tokens, counted=chunk.usage.prompt_tokens)
            return chunk.usage
        n_bytes = sum(size_bytes(text) for text in turn.answer_texts)
        return Usage(prompt_tokens=prompt.n_tokens, completion_tokens=int(n_bytes / prompt.ratio) + 1)

    async def _run_tools(self, run: Run, command: RunTools) -> AsyncGenerator[Batch, None]:
        yield tuple(CallStarted(call_id=call.id) for _, call in command.calls)
        if len(command.calls) == 1:
            index, call = command.calls[0]
            async with aclosing(self._call(run, command.step_id, index, call)) as pieces:
                async for piece in pieces:
                    yield (piece,)
            return
        slots = asyncio.Semaphore(self.max_parallel_tools if run.spec.parallel_tool_calls else 1)
        happened: asyncio.Queue[CallOutput | CallReturned] = asyncio.Queue()

        async def run_one(index: int, call: ToolCall) -> None:
            async with slots, aclosing(self._call(run, command.step_id, index, call)) as pieces:
                async for piece in pieces:
                    happened.put_nowait(piece)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_one(index, call)) for index, call in command.calls]
            n_open = len(tasks)
            try:
                while n_open:
                    batch = [await happened.get()]
                    while not happened.empty():
                        batch.append(happened.get_nowait())
                    n_open -= sum(isinstance(piece, CallReturned) for piece in batch)
                    yield tuple(batch)
            except GeneratorExit:  # nobody wants the rest; the group would raise it on as an error of its own
                for task in tasks:
                    task.cancel()

    async def _call(
        self, run: Run, step_id: str, index: int, call: ToolCall
    ) -> AsyncGenerator[CallOutput | CallReturned, None]:
        """What a call shows while it runs, and at last what it returned."""
        type_ = run.spec.tool_type(call.name)
        hosted = None if type_ == "function" else self.hosted.get(type_)
        if hosted is None:
            yield await self._run_tool(run, step_id, index, call)
            return
        started = self.clock.monotonic()
        async with aclosing(hosted.run(run, call)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Piece):
                    yield CallOutput(step_id=step_id, index=index, position=piece.position, output=piece.output)
                else:
                    result = replace(piece, output=storable(piece.output))
                    duration_ms = round((self.clock.monotonic() - started) * 1000, 3)
                    yield CallReturned(step_id=step_id, index=index, result=result, duration_ms=duration_ms)

    async def _run_tool(self, run: Run, step_id: str, index: int, call: ToolCall) -> CallReturned:
        spec = run.spec
        context: Context[object] = Context(
            value=self.context_value,
            run_id=spec.id,
            thread_id=spec.thread_id,
            call_id=call.id,
            metadata=spec.metadata,
        )
        started = self.clock.monotonic()
        # Only what this run offers: a model must not reach the server's other tools by guessing a name.
        tool = self.tools.get(call.name) if call.name in spec.server_tools else None
        offered = () if tool else [offer.name for offer in spec.tools if isinstance(offer, FunctionTool)]
        result = await invoke(tool, call, context, max_output_bytes=self.max_output_bytes, known_names=offered)
        result = replace(result, output=storable(result.output))
        duration_ms = round((self.clock.monotonic() - started) * 1000, 3)
        log.debug("tool.returned", extra={"run": spec.id, "tool": call.name, "ms": duration_ms, "error": result.error})
        return CallReturned(step_id=step_id, index=index, result=result, duration_ms=duration_ms)


def _request(spec: RunSpec, command: CallModel, prompt: _Prompt, offer: _Offer, is_watched: bool) -> ModelRequest:
    """Raises ModelError when a tool that this server does not offer is to be called."""
    choice = command.tool_choice
    if choice.mode in ("code_interpreter", "file_search"):
        if choice.mode not in (tool.name for tool in offer.tools) or spec.tool_type(choice.mode) != choice.mode:
            raise ModelError(f"tool_choice asks for {choice.mode}, which this server does not offer.")
        choice = ToolChoice("function", choice.mode)
    return ModelRequest(
        model=spec.model,
        messages=prompt.messages,
        tools=offer.tools,
        tool_choice=choice,
        parallel_tool_calls=spec.parallel_tool_calls,
        response_format=spec.response_format,
        temperature=spec.temperature,
        top_p=spec.top_p,
        reasoning_effort=spec.reasoning_effort,
        max_completion_tokens=command.completion_tokens_left,
        in_pieces=is_watched,
    )


class TokenRatios:
    """Bytes per prompt token of each model, learnt from the usage that servers report."""

    def __init__(self) -> None:
        self._ratios: dict[str, float] = {}

    def of(self, model: str) -> float:
        return self._ratios.get(model, BYTES_PER_TOKEN)

    def learn(self, model: str, *, ratio: float, estimated: int, counted: int) -> None:
        """Correct the ratio a little towards what the server counted. ratio: what `estimated` was reckoned with."""
        if estimated < 64 or counted < 1:  # too short to tell: fixed overheads dominate
            return
        wanted = ratio * estimated / counted
        self._ratios[model] = min(max(0.8 * self.of(model) + 0.2 * wanted, 1.0), 8.0)


def _without_images(message: Message, model: str) -> Message:
    if not any(isinstance(part, ImageUrlPart | ImageFilePart) for part in message.parts):
        return message
    note = TextPart(f"[an image was left out: {model} does not take images]")
    parts = tuple(note if isinstance(part, ImageUrlPart | ImageFilePart) else part for part in message.parts)
    return replace(message, parts=parts)
