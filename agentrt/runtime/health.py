"""What is on, what is off and why: for /healthz, `agentrt serve` and `agentrt doctor`. Holds no secrets."""

from __future__ import annotations

import msgspec

from agentrt.config.schema import DEFAULT_SANDBOX, Config, ModelSpec, VectorStoreSpec
from agentrt.runtime.code_interpreter.sandboxes import Sandboxes, SandboxState
from agentrt.runtime.pulse import Pulse, Queue, WorkerState
from agentrt.store.embedded_files import EmbeddingProgress
from agentrt.toolkit.registry import ToolRegistry

NOT_TRIED = "tried out when it is first wanted"
BEING_TRIED = "being made ready"
ON_WORKERS = "code runs on the workers: their /healthz says what isolates it"


class Part(msgspec.Struct, frozen=True):
    """One thing that can be on or off; why is said when it is off, or when there is something to know."""

    on: bool
    why: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A running service. queue, workers, vectors: of the whole database; see PulseReader. sandboxes: what isolates
    each here, or why nothing does. vector_stores: those that agents.toml declares."""

    status: str
    version: str
    database: str
    models: dict[str, Part]
    search: Part
    tools: dict[str, Part]
    sandboxes: dict[str, Part]
    webhooks: dict[str, Part]
    agents: list[str]
    queue: Queue
    workers: list[WorkerState]
    vectors: EmbeddingProgress | None
    vector_stores: dict[str, Part]
    warnings: list[str]


def make_health(
    config: Config,
    tools: ToolRegistry,
    sandboxes: Sandboxes,
    pulse: Pulse,
    *,
    drives_runs: bool,
) -> Health:
    """The health of an open runtime. drives_runs: code runs here, and not only elsewhere."""
    from agentrt.version import __version__

    models = {
        name: Part(on=spec.unavailable is None, why=spec.unavailable or _about(spec))
        for name, spec in config.models.items()
    }
    known, search = {tool.name: Part(on=True) for tool in tools}, search_part(config)
    elsewhere = Part(on=True, why=ON_WORKERS)
    boxes = {name: _sandbox(sandboxes.state(name)) if drives_runs else elsewhere for name in sandboxes.names()}
    hosted = {
        "code_interpreter": boxes[DEFAULT_SANDBOX],
        "file_search": Part(on=True, why=search.why),
    }
    return Health(
        status="ok",
        version=__version__,
        database=str(config.runtime.database),
        models=models,
        search=search,
        tools=known | {name: part for name, part in hosted.items() if name not in known},  # ours goes before it
        sandboxes=boxes,
        webhooks={spec.name: Part(on=spec.why_off is None, why=spec.why_off) for spec in config.webhooks},
        agents=[spec.id for spec in config.agents.values()],
        queue=pulse.queue,
        workers=pulse.workers,
        vectors=pulse.vectors,
        vector_stores={name: store_part(spec, pulse) for name, spec in config.vector_stores.items()},
        warnings=list(config.warnings),
    )


def search_part(config: Config) -> Part:
    """How files are searched. on: whether all that is configured of it can be used."""
    finding, judging = _finding(config), config.search.rerank
    if judging is None:
        return finding
    unavailable = config.models[judging].unavailable
    if unavailable is not None:
        return Part(on=False, why=f"{finding.why}; not reranked: the model {judging} is not available: {unavailable}")
    return Part(on=finding.on, why=f"{finding.why}; reranked by {judging}")


def _finding(config: Config) -> Part:
    name = config.search.embedding
    if name is None:
        return Part(on=True, why="by words; [search] names no embedding model")
    unavailable = config.models[name].unavailable
    if unavailable is not None:
        return Part(on=False, why=f"by words alone: the embedding model {name} is not available: {unavailable}")
    return Part(on=True, why=f"by words and by the vectors of {name}")


def store_part(spec: VectorStoreSpec, pulse: Pulse) -> Part:
    """A declared store and its folders. on: whether it can be searched: something in it is found or will be soon, or
    there is nothing that could be. What of its folders is not found stands in why."""
    if not spec.folders:
        return Part(on=True)
    state = next((one for one in pulse.folders if one.store_id == spec.id), None)
    if state is None or state.checked_at is None:
        return Part(on=True, why="its folders were not looked through yet")
    files = f"{state.files:,} file{'' if state.files == 1 else 's'} from folders"
    coming = f"{state.pending:,} being indexed" if state.pending else ""
    bad = f"{state.failed:,} not indexed as they are" if state.failed else ""
    odd = "something is wrong with the folders" if state.problems else ""
    more = f"agentrt stores show {spec.name} says which and why" if bad or odd else ""
    is_on = bool(state.found or state.pending or not state.is_troubled)
    return Part(on=is_on, why=" · ".join(filter(None, (files, coming, bad, odd, more))))


def _sandbox(state: SandboxState) -> Part:
    match state.state:
        case "open":
            return Part(on=True, why=state.detail)
        case "failed":
            return Part(on=False, why=state.detail)
        case "opening":
            return Part(on=True, why=BEING_TRIED)
        case "unknown":
            return Part(on=True, why=NOT_TRIED)


def _about(spec: ModelSpec) -> str | None:
    if not spec.answers:
        return "for embeddings" if spec.rerank is None else "for reranking"
    return "a scripted stand-in, not a language model" if spec.provider == "demo" else None
