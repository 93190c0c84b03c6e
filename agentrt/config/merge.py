"""Several files as one document: tables are put together, and what is said twice is a problem naming both places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from agentrt.config.document import AgentTable, KeyTable, RuntimeTable, ServerTable, ToolTable
from agentrt.config.explain import NAMED_TABLES
from agentrt.config.fields import Table
from agentrt.config.files import File, has_path
from agentrt.config.files_table import FilesTable
from agentrt.config.model_table import ModelTable
from agentrt.config.positions import KeyPath
from agentrt.config.report import Report
from agentrt.config.sandbox_table import SandboxTable
from agentrt.config.search_tables import SearchTable
from agentrt.config.source import Source
from agentrt.config.store_table import VectorStoreTable
from agentrt.config.timers import ScheduleTable
from agentrt.config.webhook_table import WebhookTable

TableT = TypeVar("TableT", bound=Table)
_MERGED = ("runtime", "server", "files", "search", *NAMED_TABLES)

SingleT = TypeVar("SingleT", RuntimeTable, ServerTable, FilesTable, SearchTable)


class Entry(msgspec.Struct, Generic[TableT], frozen=True):
    """A table among others of its kind, and the file it stands in."""

    path: KeyPath
    table: TableT
    file: File

    @property
    def name(self) -> str:
        return str(self.path[-1])

    @property
    def source(self) -> Source:
        return self.file.source

    @property
    def folder(self) -> Path:
        return self.file.source.folder


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """All files as one document. names also has the tables that are too wrong to be entries."""

    files: Sequence[File]
    runtime: RuntimeTable
    server: ServerTable
    file_settings: FilesTable
    search: SearchTable
    keys: Sequence[Entry[KeyTable]]
    models: Mapping[str, Entry[ModelTable]]
    tools: Mapping[str, Entry[ToolTable]]
    sandboxes: Mapping[str, Entry[SandboxTable]]
    vector_stores: Mapping[str, Entry[VectorStoreTable]]
    agents: Mapping[str, Entry[AgentTable]]
    webhooks: Sequence[Entry[WebhookTable]]
    schedules: Mapping[str, Entry[ScheduleTable]]
    names: Mapping[str, frozenset[str]]

    def source_of(self, path: KeyPath) -> Source:
        """The file in which path is written; agents.toml itself if it is in none."""
        sources = [file.source for file in self.files]
        return next((source for source in sources if has_path(source.tree, path)), sources[0])


def merge(files: Sequence[File], report: Report) -> Merged:
    """Put the files together. A key or a named table that two files have is reported; lists of tables are joined."""
    _check_twice(files, report)
    documents = [file.document for file in files]
    return Merged(
        files=files,
        runtime=_single([document.runtime for document in documents]),
        server=_single([document.server for document in documents]),
        file_settings=_single([document.files for document in documents]),
        search=_single([document.search for document in documents]),
        keys=[
            Entry(("server", "keys", index), table, file)
            for file in files
            for index, table in enumerate(file.document.server.keys)
        ],
        models=_named("models", [(file, file.document.models) for file in files]),
        tools=_named("tools", [(file, file.document.tools) for file in files]),
        sandboxes=_named("sandboxes", [(file, file.document.sandboxes) for file in files]),
        vector_stores=_named("vector_stores", [(file, file.document.vector_stores) for file in files]),
        agents=_named("agents", [(file, file.document.agents) for file in files]),
        webhooks=[
            Entry(("webhooks", index), table, file)
            for file in files
            for index, table in enumerate(file.document.webhooks)
        ],
        schedules=_named("schedules", [(file, file.document.schedules) for file in files]),
        names={kind: _names(files, kind) for kind in NAMED_TABLES},
    )


def why_missing(entry: Entry[TableT]) -> str | None:
    """Which variable the table lacks, so that it is unavailable; None when it has all."""
    missing = entry.file.missing_keys.get(entry.path)
    if missing is None:
        return None
    state = "is not set" if missing.state == "not set" else "is empty"
    return f"{missing.variable} {state} ({entry.source.where(missing.path)})"


def _single(tables: Sequence[SingleT]) -> SingleT:
    written = {key: getattr(table, key) for table in tables for key in table.model_fields_set}
    return tables[0].model_copy(update=written)


def _named(kind: str, tables: Sequence[tuple[File, Mapping[str, TableT]]]) -> dict[str, Entry[TableT]]:
    entries: dict[str, Entry[TableT]] = {}
    for file, named in tables:
        for name, table in named.items():
            entries.setdefault(name, Entry((kind, name), table, file))
    return entries


def _check_twice(files: Sequence[File], report: Report) -> None:
    first: dict[KeyPath, Source] = {}
    for source in (file.source for file in files):
        tables = [(kind, source.tree.get(kind)) for kind in _MERGED]
        for path in [(kind, key) for kind, table in tables if isinstance(table, dict) for key in table]:
            if path in first and path != ("server", "keys"):
                what = f"this is defined in {first[path].where(path, 'key')} as well"
                report.problem(source, path, what, fix="keep one of the two", at="key")
            first.setdefault(path, source)


def _names(files: Sequence[File], kind: str) -> frozenset[str]:
    tables = [file.source.tree.get(kind) for file in files]
    return frozenset(str(name) for table in tables if isinstance(table, dict) for name in table)
