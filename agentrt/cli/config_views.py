"""The configuration as people and scripts see it, with every secret masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agentrt.cli.options import Invocation
from agentrt.config.explain import NAMED_TABLES, toml_value
from agentrt.config.schema import Config
from agentrt.config.source import format_path
from agentrt.secret import Secret

_TABLES = ("runtime", "server", "files", "search", "models", "tools", "agents", "schedules")


def show_check(invocation: Invocation) -> None:
    """Say that all is well, and what to look at. Raises ConfigError when it is not."""
    config, project = invocation.config, invocation.project
    out = invocation.out
    if invocation.is_json:
        document = {
            "ok": True,
            "path": str(config.path) if config.path else None,
            "found_by": project.found_by,
            "agents": list(config.agents),
            "models": {name: spec.unavailable is None for name, spec in config.models.items()},
            "tools": list(config.tools),
            "webhooks": {spec.name: spec.unavailable is None for spec in config.webhooks},
            "schedules": list(config.schedules),
            "warnings": list(config.warnings),
        }
        out.line(json.dumps(document, ensure_ascii=False))
        return
    how = {"flag": "--config", "variable": "AGENTRT_CONFIG", "folder": "the working folder", "bundled": "bundled"}
    out.line(f"{out.paint('ok', 'ok')}  {config.path or 'no agents.toml'} ({how[project.found_by]})")
    out.line(f"    agents {', '.join(config.agents)}")
    out.line(f"    models {', '.join(config.models)}")
    out.line(f"    tools  {', '.join(config.tools) or 'none'}")
    if config.webhooks:
        out.line(f"    hooks  {', '.join(spec.name for spec in config.webhooks)}")
    if config.schedules:
        out.line(f"    schedules {', '.join(config.schedules)}")
    for spec in config.models.values():
        if spec.unavailable is not None:
            out.line(f"{out.paint('warn', 'warn')}  model {spec.name}: {spec.unavailable}")
    for hook in config.webhooks:
        if hook.unavailable is not None:
            out.line(f"{out.paint('warn', 'warn')}  webhook {hook.name}: {hook.unavailable}")
    for warning in config.warnings:
        out.line(f"{out.paint('warn', 'warn')}  {warning}")


def show_whole(invocation: Invocation) -> None:
    """Everything that counts, as TOML or JSON."""
    out, whole = invocation.out, plain(invocation.config)
    if invocation.is_json:
        out.line(json.dumps(whole, ensure_ascii=False))
        return
    out.line(out.paint("# as agentrt understands it: paths whole, times in seconds (_s), sizes in bytes", "dim"))
    for name in _TABLES:
        for line in _toml(whole[name], (name,)):
            out.line(line)
    for hook in whole["webhooks"]:
        for line in ("", "[[webhooks]]", *_own_lines(hook)):
            out.line(line)


def plain(config: Config) -> dict[str, Any]:
    """The configuration in JSON's types."""
    found: dict[str, Any] = msgspec.to_builtins(config, enc_hook=_plain_value)
    return found


def _plain_value(value: object) -> object:
    if isinstance(value, Secret | Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _toml(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """The table's lines, its own values first. TOML has no null: what is not set is left out."""
    said = {key: _without_nulls(value) for key, value in table.items() if not _is_table(value, path)}
    own = {key: value for key, value in said.items() if value not in (None, {}, [])}
    if own:
        yield ""
        yield f"[{format_path(path)}]"
        yield from _own_lines(own)
    for key, value in table.items():
        if _is_table(value, path):
            yield from _toml(value, (*path, key))


def _own_lines(table: Mapping[str, Any]) -> Iterator[str]:
    said = {key: value for key, value in table.items() if value is not None}
    width = max(map(len, said))
    for key, value in said.items():
        yield f"{key:<{width}} = {toml_value(value)}"


def _is_table(value: object, path: tuple[str, ...]) -> bool:
    """Whether the value gets a heading of its own: the named tables do, small ones inside them stand on one line."""
    return isinstance(value, dict) and len(path) == 1 and path[0] in NAMED_TABLES


def _without_nulls(value: object) -> object:
    match value:
        case dict():
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
        case list() | tuple():
            return [_without_nulls(item) for item in value]
        case _:
            return value
