"""CodeInterpreter: lets an Agent in your process run Python in a sandbox. What it takes is imported when it is used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

from agentrt.config.schema import DEFAULT_SANDBOX, SandboxDriver, SandboxSpec
from agentrt.errors import UnavailableError
from agentrt.runtime.hosted import HostedTool

if TYPE_CHECKING:
    from agentrt.runtime.code_interpreter.local_sessions import LocalSessions
    from agentrt.runtime.code_interpreter.memory_shelf import CodeFile, MemoryShelf

MAX_OUTPUT_BYTES = 262_144


class CodeInterpreter:
    """The tool: `Agent(tools=[CodeInterpreter()])`.

        async with CodeInterpreter(files=["sales.csv"]) as code:
            agent = Agent("You analyse data.", model="gpt-5-mini", tools=[code])
            result = await agent.run("Which month was best? Plot it.")
            pictures = [file.data for file in code.files.values() if file.name.endswith(".png")]

    Inside of the block each conversation keeps its sandbox, with variables and files; it ends with the block. Without
    one a sandbox lives for a run, and the next run of the conversation finds the files again, not the variables.

    sandbox: the name of a [sandboxes.*] table (`python` is always there), or a spec of one's own. driver: instead of
    its own. config: the agents.toml, None = found as by the command line. files: of this machine, for code to read.
    max_output_bytes: what the model gets of one call's output.
    On a thread of a Runtime the runtime's sandbox of that name runs the code, and its files are the API's.
    """

    def __init__(
        self,
        sandbox: str | SandboxSpec = DEFAULT_SANDBOX,
        *,
        driver: SandboxDriver | None = None,
        config: Path | str | None = None,
        files: Iterable[Path | str] = (),
        max_output_bytes: int = MAX_OUTPUT_BYTES,
    ) -> None:
        self.sandbox = sandbox
        self.driver: SandboxDriver | None = driver
        self.config = None if config is None else Path(config)
        self.inputs = tuple(Path(file) for file in files)
        self.max_output_bytes = max_output_bytes
        self.files: dict[str, CodeFile] = {}
        self.shelves: WeakKeyDictionary[object, MemoryShelf] = WeakKeyDictionary()
        self._sessions: LocalSessions | None = None

    @property
    def name(self) -> str:
        """Of the sandbox."""
        return self.sandbox if isinstance(self.sandbox, str) else self.sandbox.name

    async def __aenter__(self) -> Self:
        """Raises ConfigError; what does not work in the sandbox itself is told to the model."""
        from agentrt.runtime.code_interpreter.local_sessions import LocalSessions

        if self._sessions is not None:
            raise UnavailableError("This CodeInterpreter is open already.")
        self._sessions = await LocalSessions(self).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            await sessions.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def of(self, conversation: object) -> AsyncGenerator[HostedTool, None]:
        """The tool for one run on a conversation."""
        from agentrt.runtime.code_interpreter.local_sessions import LocalSessions

        if self._sessions is not None:
            yield self._sessions.runner(conversation)
            return
        async with LocalSessions(self) as sessions:
            yield sessions.runner(conversation)
