"""What is on, what is off and why: for /healthz, `agentrt serve` and `agentrt doctor`. Holds no secrets."""

from __future__ import annotations

import msgspec

from agentrt.config.schema import Config
from agentrt.runtime.pulse import Pulse, Queue, WorkerState
from agentrt.toolkit.registry import ToolRegistry

NOT_YET = "not part of this release; the configuration is stored, and the tool is not offered to models"


class Part(msgspec.Struct, frozen=True):
    """One thing that can be on or off; why is said when it is off, or when there is something to know."""

    on: bool
    why: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A running service. queue, workers: of the whole database, at most a second old."""

    status: str
    version: str
    database: str
    models: dict[str, Part]
    tools: dict[str, Part]
    webhooks: dict[str, Part]
    agents: list[str]
    queue: Queue
    workers: list[WorkerState]
    warnings: list[str]


def make_health(config: Config, tools: ToolRegistry, pulse: Pulse) -> Health:
    """The health of an open runtime."""
    from agentrt.version import __version__

    models = {
        name: Part(on=spec.unavailable is None, why=spec.unavailable or _about(spec.provider))
        for name, spec in config.models.items()
    }
    known = {tool.name: Part(on=True) for tool in tools}
    hosted = {name: Part(on=False, why=NOT_YET) for name in ("code_interpreter", "file_search")}
    return Health(
        status="ok",
        version=__version__,
        database=str(config.runtime.database),
        models=models,
        tools=known | hosted,
        webhooks={spec.name: Part(on=spec.why_off is None, why=spec.why_off) for spec in config.webhooks},
        agents=[spec.id for spec in config.agents.values()],
        queue=pulse.queue,
        workers=pulse.workers,
        warnings=list(config.warnings),
    )


def _about(provider: str) -> str | None:
    return "a scripted stand-in, not a language model" if provider == "demo" else None
