"""Ask the engine, do it, feed back: the only driver, of server-managed runs and of the client-side agent alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from agentrt.engine.commands import CallModel, Conclude, Done, RunTools, Wait
from agentrt.engine.events import CancelRequested, DeadlinePassed, Event
from agentrt.engine.loop import apply, next_command
from agentrt.engine.run import Run, RunStatus

Batch: TypeAlias = tuple[Event, ...]
"""Events that belong together: stored in one transaction, published in one go."""


class Perform(Protocol):
    """Does what a command says and tells what happened, batch by batch."""

    def __call__(self, run: Run, command: CallModel | RunTools) -> AsyncGenerator[Batch, None]: ...


class Interrupt:
    """A word from outside to a driver: cancel, or time is up. It ends what the driver waits for, at once."""

    def __init__(self) -> None:
        self._word: CancelRequested | DeadlinePassed | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._has_cancelled = False
        self._is_resting = False

    def rest(self) -> None:
        """Begin nothing more: what is under way may end, and the run goes on elsewhere."""
        self._is_resting = True

    @property
    def is_resting(self) -> bool:
        return self._is_resting

    def send(self, word: CancelRequested | DeadlinePassed) -> None:
        """Interrupt. The first word counts, but a cancel replaces a deadline that was not yet noticed."""
        if self._word is None or isinstance(word, CancelRequested):
            self._word = word
        if self._waiting is not None and not self._has_cancelled:
            self._has_cancelled = True
            self._waiting.cancel()

    def take(self, run: Run) -> CancelRequested | DeadlinePassed | None:
        """The word, if it can still be obeyed in the run's state; each is taken once."""
        word, self._word = self._word, None
        if run.status.is_terminal or run.status is RunStatus.CANCELLING:
            return None
        return word

    async def next_of(
        self, batches: AsyncGenerator[Batch, None], *, waiting: asyncio.Task[object] | None
    ) -> Batch | None:
        """The next batch; None at the end, or as soon as there is a word. waiting: the task that this runs in."""
        if self._word is not None:
            return None
        self._waiting = waiting
        try:
            return await anext(batches, None)
        except asyncio.CancelledError:
            if self._has_cancelled and self._waiting is not None and self._waiting.uncancel() == 0:
                return None
            raise  # somebody else cancelled the whole task
        finally:
            self._waiting = None
            self._has_cancelled = False


async def drive(
    run: Run, *, perform: Perform, now: Callable[[], float], interrupt: Interrupt
) -> AsyncGenerator[tuple[Run, Batch], None]:
    """Drive a run until it waits for its caller, is done, or shall rest. Yields (run after the batch, batch).

    The batch must be recorded before the next one is asked for. Raises what perform raises: it turns all that can
    go wrong with a model or a tool into events, so that this is a bug.
    """
    while True:
        if (word := interrupt.take(run)) is not None:
            run, batch = settle(run, (word,), at=now())
            yield run, batch
            continue
        match next_command(run):
            case Done() | Wait():
                return
            case Conclude(events):
                run, batch = settle(run, events, at=now())
                yield run, batch
            case CallModel() | RunTools() as command:
                if interrupt.is_resting:
                    return
                batches = perform(run, command)
                task = asyncio.current_task()
                try:
                    while (found := await interrupt.next_of(batches, waiting=task)) is not None:
                        run, batch = settle(run, found, at=now())
                        yield run, batch
                finally:
                    await batches.aclose()


def settle(run: Run, events: Sequence[Event], *, at: float) -> tuple[Run, Batch]:
    """Apply events, and then all that the engine concludes from them without anything being done.

    The events come back stamped with the time.
    """
    stamped: list[Event] = []
    is_provisional = True
    for event in events:
        if not event.is_delta:
            event = replace(event, at=at)
        is_provisional = is_provisional and event.may_wait
        run = apply(run, event)
        stamped.append(event)
    if not is_provisional:
        while isinstance(command := next_command(run), Conclude):
            for event in command.events:
                if not event.is_delta:
                    event = replace(event, at=at)
                run = apply(run, event)
                stamped.append(event)
    return run, tuple(stamped)
