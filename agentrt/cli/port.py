"""What the command line needs from an engine, in this process or behind a server: one port, two ways through it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args

if TYPE_CHECKING:
    from agentrt.engine.events import Event

from agentrt.cli.schedule_port import ScheduleShelf

RunEnd: TypeAlias = Literal["completed", "failed", "incomplete", "cancelled", "expired"]
ENDED: Final = get_args(RunEnd)
STATUSES: Final = ("queued", "in_progress", "requires_action", "cancelling", *ENDED)


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An assistant. name: what agents.toml calls it, or else its `name`; origin: `toml` or `api`."""

    id: str
    name: str
    model: str
    tools: tuple[str, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """created_at: Unix seconds."""

    id: str
    created_at: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MessageRow:
    """text: all its text parts; what is no text stands in it by name (`[image]`)."""

    id: str
    created_at: int
    role: str
    text: str
    status: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A function call. arguments: as the model wrote them."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of a run."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run. Times are Unix seconds; ended_at is None also for one that expired, whose end the API does not tell.

    error_code, error: why it failed, or what more there is to say of a limit. limit: which one ended it.
    waits_for: the calls that it waits for its caller to answer. spent, cost_usd: once it has ended.
    retry_of: the run that it repeats.
    """

    id: str
    thread_id: str
    assistant_id: str
    status: str
    model: str
    created_at: int
    started_at: int | None = None
    ended_at: int | None = None
    expires_at: int | None = None
    error_code: str | None = None
    error: str | None = None
    limit: str | None = None
    waits_for: tuple[CallRow, ...] = ()
    spent: Spent | None = None
    cost_usd: float | None = None
    retry_of: str | None = None

    @property
    def is_over(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class RunsWanted:
    """Which runs to list; what is empty or None does not narrow. since: created in this second or later."""

    statuses: tuple[str, ...] = ()
    assistant_id: str | None = None
    thread_id: str | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of a run with its place in the log."""

    epoch: int
    seq: int
    event: Event


# What happens in a run, as far as a person wants to see it --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunBegan:
    run_id: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class TextPiece:
    """More of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The message is whole, or was cut off. is_discarded: what was shown of it does not count."""

    is_discarded: bool = False


@dataclass(frozen=True, slots=True)
class CallBegan:
    """The engine runs a function of its own."""

    call: CallRow


@dataclass(frozen=True, slots=True)
class CallEnded:
    """seconds: how long it took, None when the engine does not say. error: a short code when it failed."""

    call_id: str
    output: str
    error: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class OutputsWanted:
    """The run waits: these calls are the caller's."""

    calls: tuple[CallRow, ...]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """error_code, error: why it failed; limit: which one ended it."""

    status: RunEnd
    error_code: str | None = None
    error: str | None = None
    limit: str | None = None
    spent: Spent = field(default_factory=Spent)


Happening: TypeAlias = RunBegan | TextPiece | MessageEnded | CallBegan | CallEnded | OutputsWanted | RunEnded
"""A run's stream of these ends with OutputsWanted or RunEnded."""


class Shelf(Protocol):
    """Reads what is stored, deletes it and cancels, in the project `default`. Drives nothing."""

    async def has_drivers(self) -> bool:
        """Whether some process drives runs now."""
        ...

    @property
    def schedules(self) -> ScheduleShelf: ...

    async def agents(self) -> list[AgentRow]:
        """Every assistant, the declared ones first."""
        ...

    async def threads(
        self, *, limit: int, after: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> list[ThreadRow]:
        """Newest first; with metadata, those that have all its pairs. after: the last id of the page before."""
        ...

    async def thread(self, thread_id: str) -> ThreadRow | None: ...

    async def messages(
        self, thread_id: str, *, limit: int | None = None, newest_first: bool = False
    ) -> list[MessageRow]:
        """In the order asked for; limit: only so many of them."""
        ...

    async def calls(self, thread_id: str) -> Mapping[str, Sequence[CallRow]]:
        """The function calls of the thread's runs, by run id, in their order."""
        ...

    async def delete_thread(self, thread_id: str) -> None:
        """Raises NotFoundError."""
        ...

    async def runs(self, only: RunsWanted, *, limit: int, after: str | None = None) -> list[RunRow]:
        """Of all threads, newest first. after: the last id of the page before. Raises NotFoundError."""
        ...

    async def run(self, run_id: str) -> RunRow | None: ...

    async def run_ids(self, prefix: str, *, limit: int) -> list[str]:
        """Ids of runs that begin so."""
        ...

    async def run_events(self, run_id: str, *, after: tuple[int, int] | None = None) -> list[LoggedEvent]:
        """What is stored of a run's events behind a place, deltas that follow each other as one."""
        ...

    async def cancel_run(self, run_id: str) -> RunRow:
        """Ask a run to stop, and end it here if nobody is there to hear. Raises CliError for one that has ended."""
        ...


class Engine(Protocol):
    """Makes runs, in the project `default`. url: the server's, None when the runs are made in this process."""

    @property
    def url(self) -> str | None: ...

    @property
    def shelf(self) -> Shelf: ...

    async def new_thread(self, metadata: Mapping[str, str]) -> str: ...

    def run(
        self, thread_id: str, assistant_id: str, text: str, *, model: str | None = None
    ) -> AsyncGenerator[Happening, None]:
        """Add the person's words to the thread and run the assistant on it. Raises AgentrtError, CliError."""
        ...

    def submit(self, thread_id: str, run_id: str, outputs: Mapping[str, str]) -> AsyncGenerator[Happening, None]:
        """Answer a waiting run's calls (call id → output); the run goes on."""
        ...

    async def cancel(self, thread_id: str, run_id: str) -> None:
        """Ask a run to stop; one that has ended is left alone."""
        ...

    async def active_run(self, thread_id: str) -> str | None:
        """The id of the run that keeps the thread busy."""
        ...

    async def retry(self, run_id: str) -> RunRow:
        """A new run with the parameters of one that did not complete. Raises AgentrtError, CliError."""
        ...

    def fire(self, schedule_id: str) -> AsyncGenerator[Happening, None]:
        """Make a schedule's run now. Raises AgentrtError, CliError."""
        ...

    def follow(self, thread_id: str, run_id: str) -> AsyncGenerator[Happening, None]:
        """A run from its start, and live from there on."""
        ...
