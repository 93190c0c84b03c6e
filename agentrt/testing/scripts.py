"""ScriptedModel: a model client that says what the test wrote, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import msgspec

from agentrt.engine.message import Usage
from agentrt.errors import ModelError
from agentrt.models.client import CallChunk, Chunk, EndChunk, FinishReason, ModelRequest, TextChunk


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: text, calls, or both. pause: an event to wait for before the end, to hold the run in mid-answer."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: FinishReason | None = None
    usage: Usage = field(default_factory=lambda: Usage(10, 5))
    error: ModelError | None = None
    pause: asyncio.Event | None = None

    def __add__(self, other: Answer) -> Answer:
        """Both in one turn."""
        return Answer(self.text + other.text, self.calls + other.calls, pause=self.pause or other.pause)


def text(value: str, *, finish: FinishReason | None = None, pause: asyncio.Event | None = None) -> Answer:
    """An answer in words."""
    return Answer(text=value, finish=finish, pause=pause)


def call(name: str, /, **arguments: object) -> Answer:
    """An answer that calls a function. Add answers for several calls in one turn."""
    return Answer(calls=((name, msgspec.json.encode(arguments).decode()),))


def raw_call(name: str, arguments: str) -> Answer:
    """A call whose arguments are just this text, JSON or not."""
    return Answer(calls=((name, arguments),))


def failure(error: ModelError) -> Answer:
    """The model server fails."""
    return Answer(error=error)


class ScriptedModel:
    """A ModelClient. Each call of `stream` gives the next answer; past the last one it fails the test."""

    def __init__(self, *answers: Answer, context_window: int | None = None, takes_images: bool = True) -> None:
        self._answers = list(answers)
        self.requests: list[ModelRequest] = []
        self._context_window = context_window
        self._takes_images = takes_images
        self._n_calls = 0

    @property
    def context_window(self) -> int | None:
        return self._context_window

    @property
    def takes_images(self) -> bool:
        return self._takes_images

    def add(self, *answers: Answer) -> None:
        """More answers, behind the others."""
        self._answers.extend(answers)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """See ModelClient.stream. Text comes word by word, arguments in two pieces."""
        self.requests.append(request)
        if not self._answers:
            raise ModelError("The script has no more answers.")
        answer = self._answers.pop(0)
        if answer.error is not None:
            raise answer.error
        for word in _words(answer.text):
            yield TextChunk(word)
        for index, (name, arguments) in enumerate(answer.calls):
            self._n_calls += 1
            middle = len(arguments) // 2
            yield CallChunk(index, f"call_{self._n_calls}", name, arguments[:middle])
            yield CallChunk(index, arguments=arguments[middle:])
        if answer.pause is not None:
            await answer.pause.wait()
        yield EndChunk(answer.finish or ("tool_calls" if answer.calls else "stop"), answer.usage)


def _words(value: str) -> list[str]:
    return [word + " " for word in value.split(" ")[:-1]] + value.split(" ")[-1:] if value else []
