"""One Command → its Events. All that can go wrong with a model or a tool becomes an event here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from agentrt.clock import Clock
from agentrt.engine.commands import CallModel, RunTools
from agentrt.engine.events import CallReturned, CallStarted, PromptTooLong, TurnFailed
from agentrt.engine.message import ImageFilePart, ImageUrlPart, Message, TextPart, ToolCall, Usage
from agentrt.engine.prompt import assemble
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool, RunSpec
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


@dataclass(slots=True)
class Performer:
    """Performs the commands of one run.

    context_value: what the embedding program hands to its tools. is_watched: whether anybody wants the answer in
    pieces; without, the model is asked for it whole.
    """

    history: History
    find_model: Callable[[str], Awaitable[ModelClient]]
    tools: ToolRegistry
    clock: Clock
    max_parallel_tools: int = 8
    max_output_bytes: int = 262_144
    context_value: object = None
    is_watched: bool = True
    ratios: TokenRatios = field(default_factory=lambda: TokenRatios())
    _offer: tuple[tuple[FunctionTool, ...], int] | None = field(default=None, init=False)

    def __call__(self, run: Run, command: CallModel | RunTools) -> AsyncGenerator[Batch, None]:
        """See drive.Perform."""
        return self._call_model(run, command) if isinstance(command, CallModel) else self._run_tools(run, command)

    async def _call_model(self, run: Run, command: CallModel) -> AsyncGenerator[Batch, None]:
        turn = Turn()
        try:
            model = await self.find_model(run.spec.model)
            prompt = await self._prompt(run, command, model)
            async with aclosing(model.stream(self._request(run.spec, command, prompt))) as chunks:
                async for chunk in chunks:
                    if isinstance(chunk, EndChunk):
                        yield turn.end(chunk, self._usage(run.spec.model, prompt, turn, chunk))
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

    def _request(self, spec: RunSpec, command: CallModel, prompt: _Prompt) -> ModelRequest:
        if command.tool_choice.mode in ("code_interpreter", "file_search"):
            raise ModelError(f"tool_choice asks for {command.tool_choice.mode}, which this server does not offer yet.")
        return ModelRequest(
            model=spec.model,
            messages=prompt.messages,
            tools=self._offered(spec)[0],
            tool_choice=command.tool_choice,
            parallel_tool_calls=spec.parallel_tool_calls,
            response_format=spec.response_format,
            temperature=spec.temperature,
            top_p=spec.top_p,
            reasoning_effort=spec.reasoning_effort,
            max_completion_tokens=command.completion_tokens_left,
            in_pieces=self.is_watched,
        )

    async def _prompt(self, run: Run, command: CallModel, model: ModelClient) -> _Prompt:
        spec, ratio = run.spec, self.ratios.of(run.spec.model)
        context = model.context_window or _DEFAULT_CONTEXT_TOKENS
        room = context - min(command.completion_tokens_left or _ANSWER_RESERVE_TOKENS, context // 4)
        left = command.prompt_tokens_left
        n_fixed_bytes = size_bytes(spec.instructions) + self._offered(spec)[1]
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

    def _offered(self, spec: RunSpec) -> tuple[tuple[FunctionTool, ...], int]:
        """The functions that the model is shown, and their size in bytes: the same at every call of the run."""
        if self._offer is None:
            tools = tuple(self._shown(tool, spec) for tool in spec.tools if isinstance(tool, FunctionTool))
            self._offer = tools, tools_size_bytes(tools)
        return self._offer

    def _shown(self, function: FunctionTool, spec: RunSpec) -> FunctionTool:
        """A function as the model is shown it: of one of the server's own, a caller need only give the name."""
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
            yield (await self._run_tool(run, command.step_id, index, call),)
            return
        slots = asyncio.Semaphore(self.max_parallel_tools if run.spec.parallel_tool_calls else 1)
        returned: asyncio.Queue[CallReturned] = asyncio.Queue()

        async def run_one(index: int, call: ToolCall) -> None:
            async with slots:
                returned.put_nowait(await self._run_tool(run, command.step_id, index, call))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_one(index, call)) for index, call in command.calls]
            n_open = len(tasks)
            try:
                while n_open:
                    batch = [await returned.get()]
                    while not returned.empty():
                        batch.append(returned.get_nowait())
                    n_open -= len(batch)
                    yield tuple(batch)
            except GeneratorExit:  # nobody wants the rest; the group would raise it on as an error of its own
                for task in tasks:
                    task.cancel()

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
