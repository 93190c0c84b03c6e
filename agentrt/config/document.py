"""agents.toml as it is written: one pydantic table per TOML table, each field with its meaning and an example.

Descriptions and examples are what editors show and what the reference in docs/ and the errors' `fix` lines are made
of. Checks that need more than one key, another table or the disk stand in `references.py`; what the values mean in
`build.py`. This module and `fields.py` need pydantic, so `load.py` imports them only when a file is read.
"""

# ruff: noqa: RUF012 - pydantic copies a mutable default for every table

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from agentrt.config.answers import ResponseFormat
from agentrt.config.fields import (
    Bool,
    Duration,
    Float,
    Int,
    KeyHash,
    ModelName,
    Name,
    PathPrefix,
    Size,
    Table,
    Text,
    whole_number,
)
from agentrt.config.files_table import FilesTable
from agentrt.config.model_table import ModelTable
from agentrt.config.sandbox_table import SandboxTable
from agentrt.config.schema import OnBusy, ReasoningEffort, Retry, UnknownFields
from agentrt.config.search_tables import SearchTable
from agentrt.config.store_table import VectorStoreTable
from agentrt.config.timers import RetentionTable, ScheduleTable
from agentrt.config.webhook_table import WebhookTable


class RuntimeLimitsTable(Table):
    """What one run and one process may use."""

    max_steps: Annotated[Int, Field(ge=1, description="Model calls of one run.", examples=[32])] = 32
    max_parallel_tools: Annotated[Int, Field(ge=1, description="Tool calls of one run at once.", examples=[8])] = 8
    max_concurrent_runs: Annotated[
        Int, Field(ge=1, description="Runs that one process works on at once; further ones wait.", examples=[64])
    ] = 64
    max_tool_output: Annotated[
        Size,
        Field(
            description="How much of one tool's result the model gets to read.",
            examples=["256KB"],
            json_schema_extra={"default": "256KB"},
        ),
    ] = 256 * 1024


class RuntimeTable(Table):
    """Storage and the bounds of all runs."""

    LATER = ("telemetry",)

    database: Annotated[
        Text | None,
        Field(
            description="Where everything is stored: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`. "
            "Default: `agentrt.db` in `data_dir`.",
            examples=["sqlite:///.agentrt/agentrt.db"],
        ),
    ] = None
    data_dir: Annotated[Text, Field(description="Folder for files and other data.", examples=[".agentrt"])] = ".agentrt"
    default_agent: Annotated[
        Text | None,
        Field(description="The agent that answers when none is named. Default: the first one.", examples=["helper"]),
    ] = None
    run_expiry: Annotated[
        Duration,
        Field(
            description="How long a run may take, waiting for the caller's tools included.",
            examples=["10m"],
            json_schema_extra={"default": "10m"},
        ),
    ] = 600.0
    lease: Annotated[
        Duration,
        Field(
            ge=1,
            description="PostgreSQL: how long a process may give no sign of life until others take over its runs.",
            examples=["15s"],
            json_schema_extra={"default": "15s"},
        ),
    ] = 15.0
    listen_url: Annotated[
        Text | None,
        Field(
            description="PostgreSQL's own address, when `database` is that of a pooler such as PgBouncer: hints "
            "between processes need a connection of their own.",
            examples=["postgresql://agentrt@db.internal/agentrt"],
        ),
    ] = None
    retention: RetentionTable = RetentionTable()
    limits: RuntimeLimitsTable = RuntimeLimitsTable()


class KeyTable(Table):
    """An API key that clients may send; it sees the objects of its own project only."""

    LATER = ("scopes", "limits")

    name: Annotated[Name, Field(description="What logs and `agentrt keys` call this key.", examples=["web-app"])]
    key: Annotated[Text | None, Field(description="The key itself, from a variable.", examples=["${WEB_APP_KEY}"])] = (
        None
    )
    hash: Annotated[
        KeyHash | None,
        Field(description="Instead of `key`: its SHA-256, as `agentrt keys create` prints it.", examples=["sha256:…"]),
    ] = None
    project: Annotated[Name, Field(description="Whose objects it may see.", examples=["default"])] = "default"


class ServerTable(Table):
    """The HTTP API."""

    LATER = ("ui", "mcp")

    host: Annotated[
        Text,
        Field(
            description="Address to listen on. One that others can reach needs `[[server.keys]]`.",
            examples=["127.0.0.1"],
        ),
    ] = "127.0.0.1"
    port: Annotated[Int, Field(ge=0, le=65535, description="Port; 0 takes a free one.", examples=[8700])] = 8700
    root_path: Annotated[
        PathPrefix,
        Field(description="The path prefix that a proxy in front takes away.", examples=["/ai"]),
    ] = ""
    cors: Annotated[
        list[Text],
        Field(description='Origins whose web pages may call; "*" is any.', examples=[["http://localhost:3000"]]),
    ] = []
    unknown_fields: Annotated[
        UnknownFields,
        Field(
            description="What becomes of an unknown field in a request: a 400, as in the original API, or nothing.",
            examples=["error"],
        ),
    ] = "error"
    keys: Annotated[list[KeyTable], Field(description="The keys that clients may send.")] = []


class ToolTable(Table):
    """A Python function that the server runs when a model calls it. The table's name is the function's for models."""

    LATER = ("mcp", "allow", "approval", "approve_when", "env", "run_in")

    python: Annotated[
        Text,
        Field(
            description="`FILE.py:FUNCTION`, or `package.module:FUNCTION` for an installed package.",
            examples=["tools/clock.py:current_time"],
        ),
    ]
    timeout: Annotated[
        Duration | None, Field(description="Longest time of one call. Default: the function's own.", examples=["20s"])
    ] = None
    retry: Annotated[
        Retry | None,
        Field(
            description="What happens to a call that a crash cut off. Default: the function's own.", examples=["never"]
        ),
    ] = None
    options: Annotated[
        dict[str, JsonValue], Field(description="Settings that the function takes.", examples=[{"folder": "docs"}])
    ] = {}


class TruncationTable(Table):
    """Which part of a long thread the model reads."""

    type: Annotated[
        Literal["auto", "last_messages"], Field(description="`auto` keeps what fits.", examples=["last_messages"])
    ] = "auto"
    last_messages: Annotated[
        Int | None, Field(ge=1, description="How many of the newest messages to keep.", examples=[20])
    ] = None


class AgentLimitsTable(Table):
    """Bounds of one run; for what is not said the runtime's hold."""

    LATER = ("usd_per_run",)

    max_steps: Annotated[Int | None, Field(ge=1, description="Model calls.", examples=[12])] = None
    max_prompt_tokens: Annotated[
        Int | None, Field(ge=256, description="Prompt tokens over all model calls.", examples=[60_000])
    ] = None
    max_completion_tokens: Annotated[
        Int | None, Field(ge=256, description="Completion tokens over all model calls.", examples=[4_000])
    ] = None
    timeout: Annotated[Duration | None, Field(description="Time from its creation to its end.", examples=["2m"])] = None


class AgentTable(Table):
    """An assistant that this file declares. The table's name is what `agentrt chat NAME` takes."""

    LATER = ("handoffs", "agents_as_tools", "approval", "mcp")

    id: Annotated[
        Name | None,
        Field(
            description="The assistant's id, if your app already stores one. Default: `asst_` and the table's name.",
            examples=["asst_helper"],
        ),
    ] = None
    extends: Annotated[
        Text | None, Field(description="An agent to copy all keys from, except `id` and `name`.", examples=["helper"])
    ] = None
    name: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=256)] | None,
        Field(description="The assistant's name. Default: the table's.", examples=["Helper"]),
    ] = None
    description: Annotated[
        Annotated[str, StringConstraints(max_length=512)] | None,
        Field(description="What it is for, shown in lists.", examples=["Answers questions."]),
    ] = None
    model: Annotated[
        Text | None, Field(description="A `[models.*]` name, or a name that a model answers to.", examples=["fast"])
    ] = None
    instructions: Annotated[
        Annotated[str, StringConstraints(max_length=256_000)] | None,
        Field(description="The system prompt.", examples=["You answer briefly."]),
    ] = None
    instructions_file: Annotated[
        Text | None, Field(description="Instead of `instructions`: a text file.", examples=["prompts/helper.md"])
    ] = None
    tools: Annotated[
        list[Text],
        Field(
            max_length=128,
            description="Names of `[tools.*]`, `code_interpreter`, `file_search`.",
            examples=[["current_time", "code_interpreter"]],
        ),
    ] = []
    vector_stores: Annotated[
        list[Text],
        Field(
            max_length=1,
            description="The `[vector_stores.*]` that file_search looks in, beside the thread's own: one at most.",
            examples=[["handbook"]],
        ),
    ] = []
    sandbox: Annotated[
        Text, Field(description="The `[sandboxes.*]` that code_interpreter runs its code in.", examples=["python"])
    ] = "python"
    temperature: Annotated[Float | None, Field(ge=0, le=2, description="Randomness, 0 to 2.", examples=[0.2])] = None
    top_p: Annotated[Float | None, Field(ge=0, le=1, description="Nucleus sampling, 0 to 1.", examples=[0.9])] = None
    reasoning_effort: Annotated[
        ReasoningEffort | None, Field(description="For models that think.", examples=["low"])
    ] = None
    response_format: Annotated[
        ResponseFormat | None,
        Field(
            description='`"text"`, `"json_object"`, `{ file = "schema.json" }`, or the API\'s `json_schema` object.',
            examples=["json_object"],
        ),
    ] = None
    tool_choice: Annotated[
        Text, Field(description='`"auto"`, `"none"`, `"required"`, or the one tool to call first.', examples=["auto"])
    ] = "auto"
    parallel_tool_calls: Annotated[
        Bool, Field(description="Whether the model may call several tools in one turn.", examples=[True])
    ] = True
    truncation_strategy: TruncationTable = TruncationTable()
    limits: AgentLimitsTable = AgentLimitsTable()
    on_busy: Annotated[
        OnBusy,
        Field(
            description="What happens to a message or run that comes while a run is active: it is refused, kept "
            "for later, or the active run is cancelled for it.",
            examples=["reject"],
        ),
    ] = "reject"
    action_ttl: Annotated[
        Duration | None,
        Field(
            description="How long a run may wait for the caller's tools, instead of the time that a run has; what it "
            "waits does not count then.",
            examples=["3d"],
        ),
    ] = None
    metadata: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
        Field(max_length=16, description="Up to 16 pairs of texts that clients see.", examples=[{"team": "support"}]),
    ] = {}


class Document(Table):
    """The configuration of agentrt: the service, and the models, tools and agents that it offers."""

    version: Annotated[Literal[1], whole_number, Field(description="The format of the file.", examples=[1])] = 1
    include: Annotated[
        list[Text],
        Field(
            description="Further files with `[models.*]`, `[tools.*]`, `[agents.*]`, …; `*` and `?` allowed.",
            examples=[["agents.d/*.toml"]],
        ),
    ] = []
    runtime: RuntimeTable = RuntimeTable()
    server: ServerTable = ServerTable()
    files: FilesTable = FilesTable()
    search: SearchTable = SearchTable()
    models: Annotated[dict[ModelName, ModelTable], Field(description="Models by the names that agents use.")] = {}
    tools: Annotated[dict[Name, ToolTable], Field(description="Python functions that the server runs.")] = {}
    sandboxes: Annotated[
        dict[Name, SandboxTable], Field(description="Where code that a model writes runs; `python` is always there.")
    ] = {}
    vector_stores: Annotated[
        dict[Name, VectorStoreTable], Field(description="Files to search, from folders that are watched.")
    ] = {}
    agents: Annotated[dict[Name, AgentTable], Field(description="Assistants that this file declares.")] = {}
    webhooks: Annotated[list[WebhookTable], Field(description="Addresses that are told what happens to runs.")] = []
    schedules: Annotated[
        dict[Name, ScheduleTable], Field(description="Messages that agents get again and again, at set times.")
    ] = {}
