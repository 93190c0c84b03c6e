"""What an Agent in code talks on, and what a run comes to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from agentrt.engine.events import Event
from agentrt.engine.message import Message, Role, SearchShown, ToolCall, Usage
from agentrt.engine.run import LastError, Run, RunStatus
from agentrt.runtime.file_search.citations import Citation, citations_of
from agentrt.runtime.file_search.markers import find_marks

A = TypeVar("A", contravariant=True)


class Conversation:
    """A thread in memory: hand the same one to several runs, and the model remembers.

    searches: what its runs have found in files; the messages only say which passages these were.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self.messages: list[Message] = list(messages)
        self.searches: list[SearchShown] = []
        self._position = 0

    def next_position(self) -> int:
        """The place of a new run, which its markers begin with: no run has it that left some in these messages."""
        texts = (message.text for message in self.messages if message.role is Role.ASSISTANT)
        marked = (ref[0] for text in texts for mark in find_marks(text) for ref in mark.refs)
        self._position = max(self._position, len(self.messages), *marked) + 1
        return self._position


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. messages: what it added to the conversation, tool calls and their outputs included.

    history: what the conversation held before, up to and with what was said to this run. thread: where the run is
    kept, if that is not this process's memory. searches: what each file_search call found, with every candidate.
    """

    run: Run
    conversation: Conversation
    history: Sequence[Message] = field(default=(), repr=False)
    thread: Thread[Any] | None = field(default=None, repr=False)
    searches: Sequence[SearchShown] = field(default=(), repr=False)

    @property
    def status(self) -> RunStatus:
        return self.run.status

    @property
    def text(self) -> str:
        """The last answer in words; empty when there is none."""
        answer = self._answer
        return "" if answer is None else answer.text

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Where `text` has what it says from, in its order: what it cites of the files that file_search found."""
        answer = self._answer
        return () if answer is None else citations_of(answer, (*self.conversation.searches, *self.searches))

    @property
    def messages(self) -> tuple[Message, ...]:
        return self.run.turns

    @property
    def usage(self) -> Usage:
        return self.run.usage

    @property
    def cost_usd(self) -> float | None:
        """What the model calls cost; None when the model has no price in agents.toml."""
        return self.run.cost_usd

    @property
    def pending(self) -> tuple[ToolCall, ...]:
        """Calls that wait for `Agent.resume`; only with status requires_action."""
        return self.run.pending_calls if self.run.status is RunStatus.REQUIRES_ACTION else ()

    @property
    def last_error(self) -> LastError | None:
        return self.run.last_error

    @property
    def _answer(self) -> Message | None:
        answers = (m for m in reversed(self.run.turns) if m.role is Role.ASSISTANT and m.text)
        return next(answers, None)

    def __str__(self) -> str:
        return self.text


class Stream(Protocol):
    """A run seen from inside: `async with agent.stream(…) as run: async for event in run: …`, then `run.result`."""

    @property
    def result(self) -> Result: ...

    def __aiter__(self) -> AsyncGenerator[Event, None]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Thread(Protocol[A]):
    """A thread that is kept elsewhere, and runs agents (A) itself: `Runtime.thread` gives one."""

    def stream(self, agent: A, message: Message, *, context: object) -> Stream: ...

    def resume(self, agent: A, run: Run, outputs: Mapping[str, str], *, context: object) -> Stream: ...
