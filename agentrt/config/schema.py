"""The frozen configuration: what agents.toml means, after everything was checked, filled in and resolved.

Paths are absolute, times are seconds (`_s`), sizes are bytes, secrets are wrapped. How the file is written and
checked stands in `document.py`; nothing here knows TOML, pydantic or the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from agentrt.config.search_schema import EmbeddingSpec, RerankSpec, SearchSpec
from agentrt.secret import Secret

# The engine has the same shapes; it stands above this package and may not be imported here.
JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"

Provider: TypeAlias = Literal["openai", "azure", "ollama", "compatible", "minilm", "demo"]
OnBusy: TypeAlias = Literal["reject", "enqueue", "interrupt"]
UnknownFields: TypeAlias = Literal["error", "ignore"]
Retry: TypeAlias = Literal["never", "idempotent"]
SandboxDriver: TypeAlias = Literal["auto", "docker", "bubblewrap", "monty", "unsafe-local"]
ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

WebhookEvent: TypeAlias = Literal[
    "run.requires_action", "run.completed", "run.incomplete", "run.failed", "run.cancelled", "run.expired"
]
"""What webhooks can be told: that a run waits for its caller, or has ended and how. That one was created or taken up
is no event: its caller knows the first, and nobody can act on the second."""
DEFAULT_SANDBOX: Final = "python"
"""The sandbox that is there without a table, and that code runs in where nobody says another."""

HOSTED_TOOLS: Final = ("code_interpreter", "file_search")
DEFAULT_PROJECT: Final = "default"
"""Whose what agents.toml declares is: there it may be changed, in every other project it is at most visible."""


class RuntimeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """max_steps: model calls of one run. max_tool_output_bytes: what a model gets to read of one result."""

    max_steps: int = 32
    max_parallel_tools: int = 8
    max_concurrent_runs: int = 64
    max_tool_output_bytes: int = 256 * 1024


class RetentionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is kept: threads since their last message or run, files since their upload, a run's events since
    its end, deliveries of webhooks since theirs. None = for ever."""

    threads_s: float | None = None
    files_s: float | None = None
    events_s: float | None = 14 * 86_400.0
    webhook_deliveries_s: float | None = 30 * 86_400.0


class RuntimeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """database is a URL, with an absolute path if it names a SQLite file; its text without the password is str().

    lease_s: how long a process may give no sign of life until others take over what it drives. listen_url: where
    PostgreSQL itself is, when database leads to a pooler.
    """

    database: Secret
    data_dir: Path
    default_agent: str
    run_expiry_s: float = 600.0
    retention: RetentionSpec = RetentionSpec()
    lease_s: float = 15.0
    listen_url: Secret | None = None
    limits: RuntimeLimits = RuntimeLimits()


class KeySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A key that clients may send; hash is `sha256:` + hex of it."""

    name: str
    hash: str
    project: str = DEFAULT_PROJECT


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """root_path is "" or begins with a slash and ends without one."""

    host: str = "127.0.0.1"
    port: int = 8700
    root_path: str = ""
    cors: tuple[str, ...] = ()
    unknown_fields: UnknownFields = "error"
    keys: tuple[KeySpec, ...] = ()


class S3Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket. prefix is "" or has no slash at its ends. endpoint: None = AWS's own, of the region.

    access_key_id and secret_access_key are both there or both None: then AWS's variables and roles count.
    """

    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None


class FilesSpec(msgspec.Struct, frozen=True, kw_only=True):
    """s3: where the bytes of files are kept; None = in data_dir. max_upload_bytes is of `/v1/uploads`."""

    max_bytes: int = 512 * 1024 * 1024
    max_upload_bytes: int = 8 * 1024 * 1024 * 1024
    s3: S3Spec | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens."""

    input: float
    cached_input: float
    output: float


class ModelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Requests and tokens per minute, requests at once; None = no limit of ours."""

    rpm: int | None = None
    tpm: int | None = None
    concurrent: int | None = None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [models.*] table. name is the table's, model is what the provider is asked for.

    base_url: None = the provider's own. headers: `organization` is among them.
    timeout_s: longest silence of the server. delay_s: of demo, between two pieces of its answer.
    answers_to: globs of further names that this model stands in for.
    embedding, rerank: None, both, for a model that answers. model_dir: where minilm is, None when it is nowhere.
    unavailable: why the model cannot be called (`OPENAI_API_KEY is not set (agents.toml:31:12)`), None if it can.
    """

    name: str
    provider: Provider
    model: str
    base_url: str | None = None
    api_key: Secret | None = None
    api_version: str | None = None
    headers: Mapping[str, Secret] = {}
    timeout_s: float = 60.0
    retries: int = 3
    fallbacks: tuple[str, ...] = ()
    context_window: int | None = None
    takes_images: bool = True
    price: Price | None = None
    limits: ModelLimits = ModelLimits()
    answers_to: tuple[str, ...] = ()
    delay_s: float = 0.0
    embedding: EmbeddingSpec | None = None
    rerank: RerankSpec | None = None
    model_dir: Path | None = None
    unavailable: str | None = None

    @property
    def does(self) -> Literal["answers", "makes embeddings", "judges passages"]:
        if self.rerank is not None:
            return "judges passages"
        return "answers" if self.embedding is None else "makes embeddings"

    @property
    def answers(self) -> bool:
        return self.does == "answers"


class ToolSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a [tools.*] function is: in a file or in an installed module, exactly one of the two.

    timeout_s and retry: None = what the function's own `@tool` says. options go to the function as they are;
    a relative path in them starts at folder.
    """

    name: str
    function: str
    file: Path | None = None
    module: str | None = None
    folder: Path
    timeout_s: float | None = None
    retry: Retry | None = None
    options: JsonObject = {}


class AnswerFormat(msgspec.Struct, frozen=True, kw_only=True):
    """json_schema is the API's object {name, schema, strict…}."""

    type: Literal["auto", "text", "json_object", "json_schema"] = "auto"
    json_schema: JsonObject | None = None


class TruncationSpec(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["auto", "last_messages"] = "auto"
    last_messages: int | None = None


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one run of this agent; None = the runtime's, or none. Tokens count over all its model calls."""

    max_steps: int | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    timeout_s: float | None = None


class AgentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [agents.*] table, `extends` resolved. name is the table's, display_name is the assistant's `name`.

    model: the name of a [models.*] table or one that a model answers to. tools: names of [tools.*] and hosted tools.
    sandbox: the name of a [sandboxes.*] table. vector_stores: the ids of stores that are declared.
    """

    name: str
    id: str
    display_name: str
    model: str
    description: str | None = None
    instructions: str = ""
    tools: tuple[str, ...] = ()
    vector_stores: tuple[str, ...] = ()
    sandbox: str = "python"
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: AnswerFormat = AnswerFormat()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    truncation_strategy: TruncationSpec = TruncationSpec()
    limits: AgentLimits = AgentLimits()
    on_busy: OnBusy = "reject"
    action_ttl_s: float | None = None
    metadata: Mapping[str, str] = {}


class WebhookSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [[webhooks]] table. url shows itself without its password and query. secrets: the newest first.

    events: what it is told, patterns resolved, in the order of WebhookEvent. project: None = what happens in every one.
    unavailable: why nothing can be sent (`CRM_SECRET is not set (agents.toml:31:12)`), None if it can; url and secrets
    may be missing then.
    """

    name: str
    url: Secret
    secrets: tuple[Secret, ...]
    events: tuple[WebhookEvent, ...]
    project: str | None = None
    timeout_s: float = 15.0
    enabled: bool = True
    unavailable: str | None = None

    @property
    def why_off(self) -> str | None:
        """Why nothing is sent to it, as far as this file knows; None when it is on."""
        return self.unavailable if self.enabled else "switched off in agents.toml"


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [schedules.*] table. assistant_id: its agent's id. thread: `new`, `same`, or a thread's id.

    on_busy: None = the thread's or the agent's policy. catch_up_s: how late a missed due time still makes its run.
    """

    name: str
    id: str
    cron: str
    timezone: str
    assistant_id: str
    message: str
    thread: str = "new"
    on_busy: OnBusy | None = None
    catch_up_s: float = 3600.0
    enabled: bool = True
    metadata: Mapping[str, str] = {}


class WatchedFolder(msgspec.Struct, frozen=True):
    """label: as it is written; path: absolute, links followed."""

    label: str
    path: Path


class VectorStoreSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [vector_stores.*] table. name is the table's, display_name is the store's `name`.

    include, ignore: globs of files below folders; an empty include lets all in. max_files: of all folders together.
    expires_after_days: of rest; None = never. attributes: of the files in the folders.
    """

    name: str
    id: str
    display_name: str
    folders: tuple[WatchedFolder, ...] = ()
    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    check_every_s: float = 30.0
    max_files: int = 10_000
    chunk_tokens: int = 800
    overlap_tokens: int = 400
    expires_after_days: int | None = None
    attributes: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}


class SandboxLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one sandbox may use. disk_bytes: of its files in /mnt/data. cpus: cores, a fraction is a share of one."""

    memory_bytes: int = 512 * 1024**2
    cpus: float = 1.0
    processes: int = 128
    disk_bytes: int = 256 * 1024**2


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [sandboxes.*] table: where a model's code runs. name is the table's.

    image: of a container engine; None = built from build, a folder with a Dockerfile. packages: pip's words for what
    is added to the image. timeout_s: of one call. idle_s: how long a session lives unused; life_s: at all (None = for
    ever, both). network: host names that code may reach, `*.` in front allowed; empty = none. pool: how many unclaimed
    ones are kept warm; max_sessions: how many there may be at once. runtime: the engine's, such as `runsc`.
    """

    name: str
    driver: SandboxDriver = "auto"
    image: str | None = None
    build: Path | None = None
    packages: tuple[str, ...] = ()
    limits: SandboxLimits = SandboxLimits()
    timeout_s: float = 60.0
    idle_s: float | None = 3600.0
    life_s: float | None = None
    network: tuple[str, ...] = ()
    environment: Mapping[str, Secret] = {}
    pool: int = 0
    max_sessions: int = 64
    runtime: str | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that agents.toml says, in the file's order. models always has `demo`, sandboxes `python`; agents is
    never empty.

    path: the file, None if there was none. folder: where relative paths start. warnings: ready to print.
    """

    path: Path | None
    folder: Path
    runtime: RuntimeSpec
    server: ServerSpec
    search: SearchSpec = SearchSpec()
    models: Mapping[str, ModelSpec]
    tools: Mapping[str, ToolSource]
    sandboxes: Mapping[str, SandboxSpec]
    agents: Mapping[str, AgentSpec]
    vector_stores: Mapping[str, VectorStoreSpec] = {}
    files: FilesSpec = FilesSpec()
    webhooks: tuple[WebhookSpec, ...] = ()
    schedules: Mapping[str, ScheduleSpec] = {}
    warnings: tuple[str, ...] = ()
