"""Short words for the transcripts below: ask a model, collect what it says, look at the error it ends with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from agentrt.engine.message import ToolCall, user
from agentrt.errors import ModelError
from agentrt.models.client import CallChunk, Chunk, EndChunk, ModelClient, ModelRequest, TextChunk

HELLO = ModelRequest(model="any", messages=(user("Hello"),))


async def answer(client: ModelClient, request: ModelRequest = HELLO) -> list[Chunk]:
    return [chunk async for chunk in client.stream(request)]


async def until_failure(client: ModelClient, request: ModelRequest = HELLO) -> tuple[list[Chunk], ModelError]:
    """What came before the error, and the error. Fails the test when there is none."""
    chunks: list[Chunk] = []
    try:
        async for chunk in client.stream(request):
            chunks.append(chunk)  # noqa: PERF401 - what came before the error is wanted
    except ModelError as error:
        return chunks, error
    raise AssertionError(f"the answer did not fail: {chunks}")


async def failure(client: ModelClient, request: ModelRequest = HELLO) -> ModelError:
    chunks, error = await until_failure(client, request)
    assert not chunks
    return error


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def calls_of(chunks: list[Chunk]) -> list[ToolCall]:
    """The tool calls put together as the engine does it. Fails when a piece breaks the port's promise."""
    calls: dict[int, ToolCall] = {}
    for chunk in chunks:
        if not isinstance(chunk, CallChunk):
            continue
        if chunk.index not in calls:
            assert chunk.id, "the first piece names its call"
            assert chunk.name is not None
            calls[chunk.index] = ToolCall(chunk.id, chunk.name, chunk.arguments)
        else:
            assert chunk.id is None, "an id comes once"
            assert chunk.name is None, "a name comes once"
            call = calls[chunk.index]
            calls[chunk.index] = msgspec.structs.replace(call, arguments=call.arguments + chunk.arguments)
    assert list(calls) == list(range(len(calls)))
    return list(calls.values())


def end_of(chunks: list[Chunk]) -> EndChunk:
    """The EndChunk, which is there once and last."""
    ends = [chunk for chunk in chunks if isinstance(chunk, EndChunk)]
    assert ends == chunks[-1:]
    return ends[0]


class NotingClock:
    """A clock whose sleep takes no time but moves it, and is noted in `slept`."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now = 1_760_000_000.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds


class StandIn:
    """A model that plays its turns one by one: chunks to yield, an error to raise in place of one."""

    def __init__(
        self, *turns: Sequence[Chunk | ModelError], takes_images: bool = True, context_window: int | None = None
    ) -> None:
        self.requests: list[ModelRequest] = []
        self.n_closed = 0
        self._turns = list(turns)
        self._takes_images = takes_images
        self._context_window = context_window

    @property
    def takes_images(self) -> bool:
        return self._takes_images

    @property
    def context_window(self) -> int | None:
        return self._context_window

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        turn = self._turns.pop(0)
        try:
            for step in turn:
                if isinstance(step, ModelError):
                    raise step
                yield step
        finally:
            self.n_closed += 1
