"""Tools as people and scripts see them; one call by hand, checked and limited as a model's would be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agentrt.cli.options import Invocation, start_logging
from agentrt.cli.problems import CliError
from agentrt.cli.tables import show_table
from agentrt.config.schema import Config, ToolSource
from agentrt.engine.message import ToolCall
from agentrt.errors import ToolDefinitionError
from agentrt.ids import new_id
from agentrt.runtime.declared import load_tools
from agentrt.toolkit.context import Context
from agentrt.toolkit.discover import scan_tools
from agentrt.toolkit.invoke import invoke
from agentrt.toolkit.tool import Tool


@dataclass(frozen=True, slots=True)
class Found:
    """A tool, or why there is none. is_on: agents.toml switches it on under this name."""

    name: str
    where: str
    is_on: bool
    tool: Tool | None = None
    error: str = ""


def find_tools(config: Config) -> list[Found]:
    """The tools of agents.toml, then those in the folder tools/ beside it that it does not name."""
    found = [_load(config, source) for source in config.tools.values()]
    taken = {(source.file, source.function) for source in config.tools.values()}
    for file in scan_tools(config.folder / "tools"):
        shown = _relative(file.path, config.folder)
        if file.error is not None:
            found.append(Found(file.path.stem, shown, is_on=False, error=file.error.message))
        for function, tool in file.tools.items():
            if (file.path, function) not in taken:
                found.append(Found(tool.name, f"{shown}:{function}", is_on=False, tool=tool))
    return found


def find_tool(invocation: Invocation, name: str) -> Found:
    """The tool of that name. Raises CliError, also when it cannot be loaded."""
    known = find_tools(invocation.config)
    for found in known:
        if found.name == name and found.tool is not None:
            return found
    for found in known:
        if found.name == name:
            raise CliError("E202", f'the tool "{name}" cannot be loaded', why=found.error)
    close = get_close_matches(name, [found.name for found in known], 1)
    fix = f"did you mean {close[0]}?   agentrt tools lists them" if close else "agentrt tools lists them"
    raise CliError("E303", f'there is no tool "{name}"', fix=fix)


def show_tools(invocation: Invocation) -> None:
    """The list."""
    out, err = invocation.screens
    known = find_tools(invocation.config)
    if invocation.is_json:
        out.line(json.dumps([_as_json(found) for found in known], ensure_ascii=False))
        return
    if not known:
        err.line("no tools; put @tool functions into tools/ and name them in agents.toml: [tools.NAME]")
        return
    cells = [(found.name, _state(found), found.where, found.error or _first_line(found.tool)) for found in known]
    show_table(out, ("tool", "", "function", "does"), cells, roles=("strong", "dim", "dim", "plain"))
    off = next((found for found in known if not found.is_on and found.tool is not None), None)
    if off is not None:
        hint = f'switch one on in agents.toml: [tools.{off.name}] python = "{off.where}"'
        err.line(err.paint(hint, "dim"))


def print_tool(invocation: Invocation, found: Found) -> None:
    """One tool. find_tool has made sure that it is loaded."""
    assert found.tool is not None, "loaded"
    out, tool = invocation.out, found.tool
    if invocation.is_json:
        out.line(json.dumps(_as_json(found), ensure_ascii=False))
        return
    out.line(f"{out.paint(found.name, 'strong')}  {out.paint(_state(found), 'dim')}")
    out.line(f"  {tool.description}")
    out.line()
    for name, text in _parameter_lines(tool.parameters):
        out.line(f"  {out.paint(name, 'accent')}  {text}")
    limit = "no limit" if tool.timeout_s is None else f"{tool.timeout_s:g} s"
    facts = [found.where, f"timeout {limit}", f"retry {tool.retry}"]
    facts += [f"{name} = {value}" for name, value in tool.options.items()]
    out.line(out.paint(f"  {' · '.join(facts)}", "dim"))


def print_call(invocation: Invocation, found: Found, words: Sequence[str]) -> None:
    """Call the tool and print what it returns. Raises CliError when it fails."""
    assert found.tool is not None, "loaded"
    start_logging(invocation)
    call = ToolCall(new_id("call"), found.name, json.dumps(_arguments(found.tool.parameters, words)))
    result = asyncio.run(invoke(found.tool, call, Context(None)))
    if invocation.is_json:
        invocation.out.line(json.dumps({"output": result.output, "error": result.error}, ensure_ascii=False))
    if result.error is not None:
        fix = f"agentrt tools show {found.name}"
        raise CliError("E102", f'the tool "{found.name}" failed: {result.error}', why=result.output, fix=fix)
    if not invocation.is_json:
        invocation.out.line(result.output)


def _load(config: Config, source: ToolSource) -> Found:
    where = f"{_relative(source.file, source.folder) if source.file else source.module}:{source.function}"
    try:
        registry = load_tools(replace(config, tools={source.name: source}), ())
        return Found(source.name, where, is_on=True, tool=registry.get(source.name))
    except ToolDefinitionError as error:
        return Found(source.name, where, is_on=True, error=error.message)


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _state(found: Found) -> str:
    if found.tool is None:
        return "broken"
    return "on" if found.is_on else "off"


def _first_line(tool: Tool | None) -> str:
    return tool.description.partition("\n")[0] if tool is not None else ""


def _as_json(found: Found) -> dict[str, Any]:
    tool = found.tool
    return {
        "name": found.name,
        "state": _state(found),
        "function": found.where,
        "description": tool.description if tool is not None else None,
        "parameters": tool.parameters if tool is not None else None,
        "error": found.error or None,
    }


def _parameter_lines(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`city: string (required)` with its description."""
    lines = []
    for name, schema in parameters.get("properties", {}).items():
        kind = schema.get("type") or "any"
        shown = f"{name}: {kind if isinstance(kind, str) else ' or '.join(kind)}"
        about = [schema["description"]] if schema.get("description") else []
        if "enum" in schema:
            about.append(f"one of {', '.join(map(str, schema['enum']))}")
        if name not in parameters.get("required", ()):
            about.append(f"default {json.dumps(schema['default'])}" if "default" in schema else "optional")
        lines.append((shown, " · ".join(about)))
    return lines


def _arguments(parameters: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Pairs, or one JSON object. Raises CliError."""
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            whole: dict[str, Any] = json.loads(words[0])
        except ValueError as error:
            raise CliError("E200", "the arguments are not JSON", why=str(error)) from None
        return whole
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise CliError("E200", f'"{word}" is no argument', fix="write NAME=VALUE, or one JSON object: '{\"…\": …}'")
        found[name] = _value(parameters.get("properties", {}).get(name, {}), text)
    return found


def _value(schema: Mapping[str, Any], text: str) -> Any:
    """Text where the tool wants text; JSON where it wants something else and the text is that."""
    kind = schema.get("type")
    if kind == "string" or (isinstance(kind, list) and "string" in kind):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
