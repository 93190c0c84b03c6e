"""[vector_stores.*] → VectorStoreSpec: folders made absolute, chunks checked, and that no two stores share an id."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agentrt.config.merge import Entry, Merged
from agentrt.config.report import Report
from agentrt.config.schema import VectorStoreSpec, WatchedFolder
from agentrt.config.store_table import VectorStoreTable

PATH_ATTRIBUTE: Final = "path"
"""The attribute that every watched file has."""

_DAY_S: Final = 86_400
_MOST_DAYS: Final = 365


def vector_store_specs(merged: Merged, report: Report) -> dict[str, VectorStoreSpec]:
    """All declared stores, in the file's order."""
    specs = {name: _spec(entry, report) for name, entry in merged.vector_stores.items()}
    first: dict[str, str] = {}
    for name, spec in specs.items():
        if spec.id in first:
            entry = merged.vector_stores[name]
            what = f'vector store "{first[spec.id]}" has the id "{spec.id}" as well'
            report.problem(entry.source, (*entry.path, "id"), what, fix="give each store its own id", at="key")
        first.setdefault(spec.id, name)
    return specs


def _spec(entry: Entry[VectorStoreTable], report: Report) -> VectorStoreSpec:
    table = entry.table
    overlap = table.chunk_tokens // 2 if table.overlap_tokens is None else table.overlap_tokens
    if overlap > table.chunk_tokens // 2:
        what = f"two chunks of {table.chunk_tokens} tokens can share {table.chunk_tokens // 2} at most"
        report.problem(entry.source, (*entry.path, "overlap_tokens"), what, fix="lower it, or raise `chunk_tokens`")
    if PATH_ATTRIBUTE in table.attributes:
        what = f"every file has the attribute `{PATH_ATTRIBUTE}` already"
        report.problem(entry.source, (*entry.path, "attributes"), what, fix="give yours another name")
    return VectorStoreSpec(
        name=entry.name,
        id=table.id or f"vs_{entry.name}",
        display_name=table.name or entry.name,
        folders=_folders(entry, report),
        include=tuple(table.include),
        ignore=tuple(table.ignore),
        check_every_s=table.check_every,
        max_files=table.max_files,
        chunk_tokens=table.chunk_tokens,
        overlap_tokens=overlap,
        expires_after_days=_days(entry, report),
        attributes=dict(table.attributes),
        metadata=dict(table.metadata),
    )


def _folders(entry: Entry[VectorStoreTable], report: Report) -> tuple[WatchedFolder, ...]:
    found: list[WatchedFolder] = []
    for index, text in enumerate(entry.table.folders):
        path = (entry.folder / Path(text).expanduser()).resolve()
        at = (*entry.path, "folders", index)
        if any(other.path == path for other in found):
            report.problem(entry.source, at, "this folder stands in the list twice", fix="take one out")
            continue
        around = next((o for o in found if path.is_relative_to(o.path) or o.path.is_relative_to(path)), None)
        if around is not None:
            what = f'"{around.label}" and this folder contain one another'
            report.problem(entry.source, at, what, fix="name the outer one alone")
            continue
        if path.is_file():
            report.problem(entry.source, at, f"{path} is a file", fix="name its folder, and the file in `include`")
        elif not path.is_dir():
            report.warning(entry.source, at, f"there is no folder {path}; it is watched from when it is there")
        found.append(WatchedFolder(label=text.rstrip("/") or "/", path=path))
    return tuple(found)


def _days(entry: Entry[VectorStoreTable], report: Report) -> int | None:
    seconds = entry.table.expires_after
    if seconds is None:
        return None
    days, rest = divmod(seconds, _DAY_S)
    if rest or not 1 <= days <= _MOST_DAYS:
        what = "stores expire after whole days, 1 to 365"
        report.problem(entry.source, (*entry.path, "expires_after"), what, fix='"30d", or "forever"')
    return int(days)
