"""[runtime] and [server] → RuntimeSpec and ServerSpec: where the data lies, who may come in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agentrt.config.document import KeyTable, RuntimeTable
from agentrt.config.merge import Entry, Merged
from agentrt.config.report import Report
from agentrt.config.schema import AgentSpec, KeySpec, RetentionSpec, RuntimeLimits, RuntimeSpec, ServerSpec
from agentrt.secret import Secret, hash_key, redact
from agentrt.suggest import did_you_mean, listed

DATABASE_FILE: Final = "agentrt.db"

_SHORTEST_KEY: Final = 16
_DATABASE = re.compile(r"(sqlite|postgres(ql)?)(\+[a-z0-9]+)?:(//.*)?")
_SQLITE_FILE = re.compile(r"(?P<scheme>sqlite[^:]*):///(?P<path>[^?]*)(?P<query>\?.*)?")


def runtime_spec(merged: Merged, agents: Mapping[str, AgentSpec], state_folder: Path, report: Report) -> RuntimeSpec:
    """state_folder is where a relative data_dir and SQLite file start."""
    table = merged.runtime
    _check_runtime(merged, table, agents, report)
    data_dir = (state_folder / table.data_dir).absolute()
    return RuntimeSpec(
        database=database_url(table.database, state_folder=state_folder, data_dir=data_dir),
        data_dir=data_dir,
        default_agent=table.default_agent or next(iter(agents), ""),
        run_expiry_s=table.run_expiry,
        lease_s=table.lease,
        listen_url=None if table.listen_url is None else Secret(table.listen_url, shown=redact(table.listen_url)),
        retention=RetentionSpec(
            threads_s=table.retention.threads,
            files_s=table.retention.files,
            events_s=table.retention.events,
            webhook_deliveries_s=table.retention.webhook_deliveries,
        ),
        limits=RuntimeLimits(
            max_steps=table.limits.max_steps,
            max_parallel_tools=table.limits.max_parallel_tools,
            max_concurrent_runs=table.limits.max_concurrent_runs,
            max_tool_output_bytes=table.limits.max_tool_output,
        ),
    )


def database_url(url: str | None, *, state_folder: Path, data_dir: Path) -> Secret:
    """The database's URL with an absolute file, shown without its password. None is a SQLite file in data_dir."""
    url = url or f"sqlite:///{data_dir / DATABASE_FILE}"
    match = _SQLITE_FILE.fullmatch(url)
    if match and match["path"] not in ("", ":memory:") and not match["path"].startswith("file:"):
        file = (state_folder / match["path"]).absolute()
        url = f"{match['scheme']}:///{file}{match['query'] or ''}"
    return Secret(url, shown=redact(url))


def server_spec(merged: Merged, report: Report) -> ServerSpec:
    table = merged.server
    for index, origin in enumerate(table.cors):
        if not _is_origin(origin):
            path = ("server", "cors", index)
            fix = '"*" or scheme, host and port without a path, such as "http://localhost:3000"'
            report.problem(merged.source_of(path), path, f'"{origin}" is not an origin', fix=fix)
    return ServerSpec(
        host=table.host,
        port=table.port,
        root_path=table.root_path,
        cors=tuple(table.cors),
        unknown_fields=table.unknown_fields,
        keys=tuple(_keys(merged.keys, report)),
    )


def _is_origin(text: str) -> bool:
    if text == "*":
        return True
    parts = urlsplit(text)
    return bool(parts.scheme and parts.netloc) and text == f"{parts.scheme}://{parts.netloc}"


def _check_runtime(merged: Merged, table: RuntimeTable, agents: Mapping[str, AgentSpec], report: Report) -> None:
    names = merged.names["agents"] | agents.keys()
    if table.default_agent is not None and table.default_agent not in names:
        path = ("runtime", "default_agent")
        fix = did_you_mean(table.default_agent, names, otherwise=f"there are {listed(sorted(names), last='and')}")
        report.problem(merged.source_of(path), path, f'there is no agent "{table.default_agent}"', fix=fix)
    if table.database is not None and not _DATABASE.fullmatch(table.database):
        path = ("runtime", "database")
        fix = '"sqlite:///FILE" or "postgresql://USER:PASSWORD@HOST/NAME"'
        report.problem(merged.source_of(path), path, "this is not a database's URL", fix=fix)
    if table.listen_url is not None and not table.listen_url.startswith(("postgres://", "postgresql://")):
        path = ("runtime", "listen_url")
        fix = '"postgresql://USER:PASSWORD@HOST/NAME", of the server that `database` reaches through a pooler'
        report.problem(merged.source_of(path), path, "this is not the URL of a PostgreSQL server", fix=fix)


def _keys(entries: Sequence[Entry[KeyTable]], report: Report) -> list[KeySpec]:
    specs: list[KeySpec] = []
    for entry in entries:
        table = entry.table
        if (table.key is None) == (table.hash is None):
            what = "a key needs one of `key` and `hash`" if table.key is None else "a key has one of `key` and `hash`"
            fix = 'write key = "${NAME}", or hash = "sha256:…" from `agentrt keys create`'
            report.problem(entry.source, entry.path, what, fix=fix)
            continue
        spec = KeySpec(name=table.name, hash=table.hash or hash_key(table.key or ""), project=table.project)
        for other in specs:
            if other.name == spec.name:
                what = f'another key is called "{spec.name}"'
                report.problem(entry.source, (*entry.path, "name"), what, fix="give each key its own name")
            elif other.hash == spec.hash:
                what = f'"{other.name}" is the same key'
                report.problem(entry.source, entry.path, what, fix="make another one: agentrt keys create")
        if table.key is not None and len(table.key) < _SHORTEST_KEY:
            report.warning(entry.source, (*entry.path, "key"), f'the key "{spec.name}" is short enough to be guessed')
        specs.append(spec)
    return specs
