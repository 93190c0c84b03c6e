"""[agents.*] → AgentSpec: `extends` resolved, files read, names of models and tools checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from agentrt.config.answers import ResponseFormatTable
from agentrt.config.document import AgentTable
from agentrt.config.merge import Entry, Merged
from agentrt.config.report import Report
from agentrt.config.resolve import answering, find_model
from agentrt.config.schema import (
    DEFAULT_SANDBOX,
    HOSTED_TOOLS,
    AgentLimits,
    AgentSpec,
    AnswerFormat,
    JsonObject,
    ModelSpec,
    TruncationSpec,
    VectorStoreSpec,
)
from agentrt.suggest import did_you_mean, listed

DEFAULT_AGENT: Final = "helper"
DEFAULT_INSTRUCTIONS: Final = "You are a helpful assistant. Use your tools when they help."

_NOT_INHERITED: Final = {"id", "name", "extends"}
_OWN_TOOL_CHOICES: Final = ("auto", "none", "required")
_MAX_INSTRUCTIONS: Final = 256_000
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")


def agent_specs(
    merged: Merged, models: Mapping[str, ModelSpec], stores: Mapping[str, VectorStoreSpec], report: Report
) -> dict[str, AgentSpec]:
    """All agents in the file's order; without any, one that talks to the first model."""
    if not merged.names["agents"]:
        return {DEFAULT_AGENT: default_agent(next(iter(answering(models))))}
    specs = {
        line.entries[0].name: _Agent(line, merged, models, stores, report).spec() for line in _lines(merged, report)
    }
    _check_ids(specs, merged, report)
    return specs


def default_agent(model: str) -> AgentSpec:
    return AgentSpec(
        name=DEFAULT_AGENT,
        id=f"asst_{DEFAULT_AGENT}",
        display_name=DEFAULT_AGENT.capitalize(),
        model=model,
        instructions=DEFAULT_INSTRUCTIONS,
    )


def _check_ids(specs: Mapping[str, AgentSpec], merged: Merged, report: Report) -> None:
    first: dict[str, str] = {}
    for name, spec in specs.items():
        entry = merged.agents[name]
        if spec.id in first:
            what = f'agent "{first[spec.id]}" has the id "{spec.id}" as well'
            report.problem(entry.source, (*entry.path, "id"), what, fix="give each agent its own id", at="key")
        first.setdefault(spec.id, name)


class _Line(NamedTuple):
    """An agent and those it extends, nearest first; not whole if one of them is not there."""

    entries: list[Entry[AgentTable]]
    is_whole: bool


def _lines(merged: Merged, report: Report) -> list[_Line]:
    lines, in_circles = [], set[str]()
    for entry in merged.agents.values():
        names = [entry.name]
        while (above := merged.agents[names[-1]].table.extends) is not None:
            if above not in merged.agents or above in names:
                break
            names.append(above)
        if above is not None:
            if not in_circles.intersection(names):
                _report_extends(merged.agents[names[-1]], [*names, above], merged, report)
            in_circles.update(names)
        lines.append(_Line([merged.agents[name] for name in names], above is None))
    return lines


def _report_extends(last: Entry[AgentTable], walk: list[str], merged: Merged, report: Report) -> None:
    path = (*last.path, "extends")
    if walk[-1] in merged.agents:
        what = f"the agents extend each other: {' → '.join(walk)}"
        report.problem(last.source, path, what, fix="take one `extends` out")
    elif walk[-1] not in merged.names["agents"]:
        others = merged.names["agents"] - {last.name}
        fix = did_you_mean(walk[-1], others, otherwise=f"there are {listed(sorted(others), last='and')}")
        report.problem(last.source, path, f'there is no agent "{walk[-1]}"', fix=fix)


class _Agent:
    """One agent while its tables are put together: where a key came from decides where its relative path starts."""

    def __init__(
        self,
        line: _Line,
        merged: Merged,
        models: Mapping[str, ModelSpec],
        stores: Mapping[str, VectorStoreSpec],
        report: Report,
    ) -> None:
        self._own = line.entries[0]
        self._name = self._own.name
        self._is_whole = line.is_whole
        self._merged = merged
        self._models = models
        self._stores = stores
        self._report = report
        self._origin: dict[str, Entry[AgentTable]] = {}
        for entry in reversed(line.entries):
            written = entry.table.model_fields_set
            if entry is not self._own:
                written = written - _NOT_INHERITED
            if written & {"instructions", "instructions_file"}:
                self._origin.pop("instructions", None)
                self._origin.pop("instructions_file", None)
            self._origin.update(dict.fromkeys(written, entry))

    def spec(self) -> AgentSpec:
        table = AgentTable.model_construct(**{key: getattr(entry.table, key) for key, entry in self._origin.items()})
        self._check_model(table)
        self._check_tools(table)
        self._check_sandbox(table)
        self._check_stores(table)
        truncation = table.truncation_strategy
        limits = table.limits
        return AgentSpec(
            name=self._name,
            id=table.id or f"asst_{self._name}",
            display_name=table.name or self._name,
            description=table.description,
            model=table.model or "",
            instructions=self._instructions(table),
            tools=tuple(table.tools),
            vector_stores=tuple(self._stores[name].id for name in table.vector_stores if name in self._stores),
            sandbox=table.sandbox,
            temperature=table.temperature,
            top_p=table.top_p,
            reasoning_effort=table.reasoning_effort,
            response_format=self._answer_format(table.response_format),
            tool_choice=table.tool_choice,
            parallel_tool_calls=table.parallel_tool_calls,
            truncation_strategy=TruncationSpec(type=truncation.type, last_messages=truncation.last_messages),
            limits=AgentLimits(
                max_steps=limits.max_steps,
                max_prompt_tokens=limits.max_prompt_tokens,
                max_completion_tokens=limits.max_completion_tokens,
                timeout_s=limits.timeout,
            ),
            on_busy=table.on_busy,
            action_ttl_s=table.action_ttl,
            metadata=dict(table.metadata),
        )

    def _problem(self, key: str, what: str, fix: str, *below: str | int) -> None:
        entry = self._origin.get(key, self._own)
        self._report.problem(entry.source, (*entry.path, key, *below), what, fix=fix)

    def _check_model(self, table: AgentTable) -> None:
        names = self._merged.names["models"] | self._models.keys()
        if table.model is None and not self._is_whole:
            return  # it would have come from the agent that is not there
        if table.model is None:
            entry = self._own
            fix = f'add model = "{sorted(names)[0]}"'
            self._report.missing(entry.source, (*entry.path, "model"), fix=fix)
        elif (spec := self._models.get(table.model)) is not None and not spec.answers:
            what = f'the model "{table.model}" {spec.does}; it cannot answer'
            self._problem("model", what, f"name one of {listed(sorted(answering(self._models)))}")
        elif table.model not in names and find_model(self._models, table.model) is None:
            fix = did_you_mean(table.model, names, otherwise=f"there are {listed(sorted(names), last='and')}")
            self._problem("model", f'there is no model "{table.model}"', fix)

    def _check_tools(self, table: AgentTable) -> None:
        names = self._merged.names["tools"] | set(HOSTED_TOOLS)
        for index, name in enumerate(table.tools):
            if name not in names:
                fix = did_you_mean(name, names, otherwise=f"add a table [tools.{name}] or take the name out")
                self._problem("tools", f'there is no tool "{name}"', fix, index)
            elif name in table.tools[:index]:
                self._problem("tools", f'"{name}" stands in the list twice', "take one out", index)
        choices = [*_OWN_TOOL_CHOICES, *table.tools]
        if table.tool_choice not in choices:
            fix = did_you_mean(table.tool_choice, choices, otherwise=f"one of {listed(choices)}")
            self._problem("tool_choice", f'the agent has no tool "{table.tool_choice}"', fix)
        truncation = table.truncation_strategy
        if (truncation.type == "last_messages") != (truncation.last_messages is not None):
            fix = 'write { type = "last_messages", last_messages = 20 } or { type = "auto" }'
            self._problem("truncation_strategy", "`last_messages` goes with type last_messages, and only with it", fix)

    def _check_sandbox(self, table: AgentTable) -> None:
        names = self._merged.names["sandboxes"] | {DEFAULT_SANDBOX}
        if table.sandbox not in names:
            fix = did_you_mean(table.sandbox, names, otherwise=f"add a table [sandboxes.{table.sandbox}]")
            self._problem("sandbox", f'there is no sandbox "{table.sandbox}"', fix)

    def _check_stores(self, table: AgentTable) -> None:
        names = self._merged.names["vector_stores"]
        for index, name in enumerate(table.vector_stores):
            if name not in names:
                fix = did_you_mean(name, names, otherwise=f"add a table [vector_stores.{name}]")
                self._problem("vector_stores", f'there is no vector store "{name}"', fix, index)
        if table.vector_stores and "file_search" not in table.tools:
            fix = f"tools = {json.dumps([*table.tools, 'file_search'])}"
            self._problem("vector_stores", "the agent cannot search it without the tool file_search", fix)

    def _instructions(self, table: AgentTable) -> str:
        if table.instructions is not None and table.instructions_file is not None:
            self._problem("instructions_file", "`instructions` is there as well", "keep one of the two")
        if table.instructions_file is None:
            return table.instructions or ""
        text = self._read("instructions_file", table.instructions_file) or ""
        if len(text) > _MAX_INSTRUCTIONS:
            self._problem("instructions_file", "the text is too long", f"at most {_MAX_INSTRUCTIONS:,} characters")
        return text

    def _answer_format(self, table: ResponseFormatTable | None) -> AnswerFormat:
        if table is None:
            return AnswerFormat()
        n_ways = sum([table.file is not None, table.json_schema is not None, table.type not in (None, "json_schema")])
        entry = self._origin["response_format"]
        if n_ways != 1 and self._report.has_problem(entry.source, (*entry.path, "response_format")):
            return AnswerFormat()  # what was meant is lost with the key that was wrong
        if n_ways != 1:
            fix = '"text", "json_object", { file = "schema.json" } or { type = "json_schema", json_schema = {…} }'
            self._problem("response_format", "this is not one response format", fix)
            return AnswerFormat()
        if table.file is not None:
            return AnswerFormat(type="json_schema", json_schema=self._schema_file(table.file))
        if table.json_schema is not None:
            self._check_schema(table.json_schema)
            return AnswerFormat(type="json_schema", json_schema=table.json_schema)
        return AnswerFormat(type=table.type or "auto")

    def _schema_file(self, name: str) -> JsonObject:
        """The API's json_schema object: the file is that, or the schema alone, which is then called as the file is."""
        text = self._read("response_format", name)
        if text is None:
            return {}
        try:
            content = json.loads(text)
        except ValueError as error:
            self._problem("response_format", f"{name} is not JSON: {error}", "a JSON Schema of the answer")
            return {}
        if not isinstance(content, dict):
            self._problem("response_format", f"{name} holds no JSON object", "a JSON Schema of the answer")
            return {}
        if isinstance(content.get("schema"), dict) and "name" in content:
            self._check_schema(content)
            return content
        return {"name": _NOT_IN_NAMES.sub("_", Path(name).stem)[:64], "schema": content}

    def _check_schema(self, json_schema: JsonObject) -> None:
        name, schema = json_schema.get("name"), json_schema.get("schema")
        is_named = isinstance(name, str) and 0 < len(name) <= 64 and not _NOT_IN_NAMES.search(name)
        if not is_named or not isinstance(schema, dict):
            fix = 'json_schema = { name = "answer", schema = {…}, strict = true }'
            self._problem("response_format", "json_schema needs a name and a schema", fix)

    def _read(self, key: str, name: str) -> str | None:
        """The text of the file that key names, None if it cannot be read."""
        path = self._origin[key].folder / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._problem(key, f"there is no file {path}", "a relative path starts at the folder of this file")
        except UnicodeDecodeError:
            self._problem(key, f"{path} is not UTF-8", "save the file as UTF-8")
        except OSError as error:
            self._problem(key, f"{path} cannot be read", (error.strerror or str(error)).lower())
        return None
