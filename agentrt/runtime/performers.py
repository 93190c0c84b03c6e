"""What performs the runs of this process: the model, the tools and the hosted tools of each run.

They are the runtime's own; of an Agent in code that talks on stored threads, the Agent's. Who drives a run is
driving.py's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from agentrt.clock import Clock
from agentrt.config.schema import RuntimeLimits
from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.run import Run
from agentrt.engine.spec import Price, RunSpec
from agentrt.models.client import ModelClient
from agentrt.runtime.agent import Agent
from agentrt.runtime.code_interpreter.sessions import CodeSessions
from agentrt.runtime.file_search.stored_library import StoredLibrary
from agentrt.runtime.file_search.tool import SearchRunner
from agentrt.runtime.files import Files
from agentrt.runtime.history import StoredHistory
from agentrt.runtime.hosted import HostedName, HostedTool
from agentrt.runtime.models import Models
from agentrt.runtime.perform import Performer, TokenRatios
from agentrt.runtime.vector_stores.search import StoreSearch
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Hold, fence
from agentrt.toolkit.registry import ToolRegistry


class Performers:
    """hosted: what runs code_interpreter or file_search in place of our own. context: what tools get as
    `Context.value`, unless their run has been given another.
    """

    def __init__(
        self,
        limits: RuntimeLimits,
        *,
        store: Store,
        dispatcher: Dispatcher,
        models: Models,
        tools: ToolRegistry,
        files: Files,
        code: CodeSessions,
        store_search: StoreSearch,
        hosted: Mapping[HostedName, HostedTool],
        context: object,
        clock: Clock,
    ) -> None:
        self._limits = limits
        self._store = store
        self._dispatcher = dispatcher
        self._models = models
        self._tools = tools
        self._files = files
        self._code = code
        self._store_search = store_search
        self._hosted_in_code = hosted
        self._context = context
        self._clock = clock
        self._ratios = TokenRatios()
        self._adopted: dict[str, Agent] = {}
        self.contexts: dict[str, object] = {}

    def has(self, agent: Agent) -> bool:
        """Whether the Agent's model and tools serve its runs."""
        return self._adopted.get(agent.spec.assistant_id) is agent

    def adopt(self, agent: Agent) -> None:
        """Let them do it."""
        self._adopted[agent.spec.assistant_id] = agent

    def give_context(self, run_id: str, value: object) -> None:
        """What the tools of one run get as `Context.value`."""
        self.contexts[run_id] = value

    def forget_context(self, run_id: str) -> None:
        """The run has ended, waits for its caller, or was never made."""
        self.contexts.pop(run_id, None)

    def check_model(self, name: str) -> Price | None:
        """What a model costs, if that is known. Raises NotFoundError for one that nobody here has."""
        if any(agent.model_name == name for agent in self._adopted.values()):
            return None
        self._models.check(name)
        return self._models.price(name)

    def tools_of(self, assistant_id: str) -> ToolRegistry:
        """The functions that are run here for an assistant."""
        adopted = self._adopted.get(assistant_id)
        return self._tools if adopted is None else adopted.tools

    def of(self, run: Run, hold: Hold) -> Performer:
        """What performs a run for as long as this hold on it lasts."""

        async def read_image(file_id: str) -> tuple[bytes, str] | None:
            return await self._files.read_image(hold.project, file_id)

        return Performer(
            history=StoredHistory(self._store, run.spec.thread_id, position=run.spec.position, read_image=read_image),
            find_model=self._find_model(run.spec.assistant_id),
            tools=self.tools_of(run.spec.assistant_id),
            clock=self._clock,
            max_parallel_tools=self._limits.max_parallel_tools,
            max_output_bytes=self._limits.max_tool_output_bytes,
            context_value=self.contexts.get(run.spec.id, self._context),
            hosted=self._hosted(run, hold),
            ratios=self._ratios,
        )

    def _hosted(self, run: Run, hold: Hold) -> dict[HostedName, HostedTool]:
        """What runs the API's own tools in a run."""
        hosted = dict(self._hosted_in_code)
        if "code_interpreter" not in hosted and run.spec.tool_type("code_interpreter") == "code_interpreter":

            def check(tx: Tx) -> None:
                fence(tx, hold.job_id, hold.epoch, now=self._clock.now())

            hosted["code_interpreter"] = self._code.runner(
                run.spec, hold.project, max_output_bytes=self._limits.max_tool_output_bytes, check=check
            )
        if "file_search" not in hosted and run.spec.tool_type("file_search") == "file_search":
            library = StoredLibrary(
                self._store,
                self._clock,
                self._store_search,
                project=hold.project,
                thread_id=run.spec.thread_id,
                aside=partial(self._dispatcher.aside, hold.job_id),
            )
            hosted["file_search"] = SearchRunner(library, clock=self._clock, context_window=self._context_window)
        return hosted

    async def _context_window(self, spec: RunSpec) -> int | None:
        return (await self._find_model(spec.assistant_id)(spec.model)).context_window

    def _find_model(self, assistant_id: str) -> Callable[[str], Awaitable[ModelClient]]:
        adopted = self._adopted.get(assistant_id)
        return self._models.find if adopted is None else adopted.find_model
