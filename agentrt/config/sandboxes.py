"""[sandboxes.*] → SandboxSpec: presets filled in, folders found, what does not go together reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agentrt.config.merge import Entry, Merged
from agentrt.config.package_index import index_hosts
from agentrt.config.project import bundled_folder
from agentrt.config.report import Report
from agentrt.config.sandbox_table import Preset, SandboxTable
from agentrt.config.schema import DEFAULT_SANDBOX, SandboxLimits, SandboxSpec
from agentrt.secret import Secret

_FOLDER: Final = "sandboxes/python"
_CONTAINERS: Final = ("auto", "docker")
# Keys that have no use without a container engine.
_FOR_CONTAINERS: Final = ("image", "build", "packages", "runtime")
_MB: Final = 1024**2
_PRESETS: Final[Mapping[Preset, Mapping[str, object]]] = {
    "strict": {"memory": 256 * _MB, "cpus": 0.5, "processes": 32, "disk": 64 * _MB, "timeout": 30.0},
    "standard": {},
    "network": {},
}
_STRICT_TTL_S: Final = 900.0


def sandbox_specs(merged: Merged, report: Report) -> dict[str, SandboxSpec]:
    """All sandboxes in the file's order; `python` stands last if the file does not have it."""
    specs = {name: _spec(entry, report) for name, entry in merged.sandboxes.items()}
    if DEFAULT_SANDBOX not in merged.names["sandboxes"]:
        specs[DEFAULT_SANDBOX] = SandboxSpec(name=DEFAULT_SANDBOX, build=_folder(merged.files[0].source.folder))
    return specs


def _spec(entry: Entry[SandboxTable], report: Report) -> SandboxSpec:
    written = entry.table
    preset = {key: value for key, value in _PRESETS[written.preset].items() if key not in written.model_fields_set}
    table = written.model_copy(update=preset)
    _check(entry, report)
    is_strict = written.preset == "strict"
    takes_index = written.preset == "network" and "network" not in written.model_fields_set
    ttl_s = _STRICT_TTL_S if is_strict and "ttl" not in table.pool.model_fields_set else table.pool.ttl
    return SandboxSpec(
        name=entry.name,
        driver=table.driver,
        image=table.image,
        build=None if table.image else _build(entry, report),
        packages=tuple(table.packages),
        limits=SandboxLimits(
            memory_bytes=table.memory, cpus=table.cpus, processes=table.processes, disk_bytes=table.disk
        ),
        timeout_s=table.timeout,
        idle_s=ttl_s or None,
        life_s=table.pool.life or None,
        network=tuple(_index_hosts(entry, report) if takes_index else table.network),
        environment={name: Secret(value) for name, value in table.environment.items()},
        pool=table.pool.warm,
        max_sessions=table.pool.max,
        runtime=table.runtime,
    )


def _check(entry: Entry[SandboxTable], report: Report) -> None:
    table = entry.table
    for key in _FOR_CONTAINERS:
        if key in table.model_fields_set and table.driver not in _CONTAINERS:
            what = f'driver "{table.driver}" has no use for it'
            report.problem(entry.source, (*entry.path, key), what, fix='it is for driver = "docker"', at="key")
    if table.driver == "unsafe-local":
        what = "code that a model writes runs with all rights of this user, nothing isolates it"
        report.warning(entry.source, (*entry.path, "driver"), what)
    if table.image and table.build:
        what = "a sandbox has one of `image` and `build`"
        report.problem(entry.source, (*entry.path, "build"), what, fix="keep one of the two", at="key")
    if table.preset == "strict" and table.network:
        what = 'preset "strict" has no network'
        report.problem(entry.source, (*entry.path, "network"), what, fix='write preset = "network"', at="key")
    if table.disk >= table.memory and "disk" in table.model_fields_set:
        what = "/mnt/data is memory, and there is not more of it than `memory`"
        report.problem(entry.source, (*entry.path, "disk"), what, fix="raise `memory`, or lower `disk`")
    if table.pool.warm > table.pool.max:
        what = "more warm sandboxes than there may be at all"
        report.problem(entry.source, (*entry.path, "pool", "warm"), what, fix="raise `max`, or lower `warm`")


def _index_hosts(entry: Entry[SandboxTable], report: Report) -> list[str]:
    """Those that pip asks inside, where it sees the table's variables and none of ours."""
    hosts = index_hosts(entry.table.environment)
    if not hosts:
        what = 'preset "network" reaches the index that pip asks, and it is not known here which that is'
        fix = 'list its hosts: network = ["packages.example.com"]'
        report.problem(entry.source, (*entry.path, "preset"), what, fix=fix)
    return hosts


def _build(entry: Entry[SandboxTable], report: Report) -> Path | None:
    if entry.table.build is None:
        return _folder(entry.folder)
    folder = (entry.folder / entry.table.build).absolute()
    if not (folder / "Dockerfile").is_file():
        what = f"there is no Dockerfile in {folder}"
        fix = "a relative path starts at the folder of this file"
        report.problem(entry.source, (*entry.path, "build"), what, fix=fix)
    return folder


def _folder(project: Path) -> Path | None:
    """The project's own sandboxes/python, else the one that comes with agentrt."""
    own = project / _FOLDER
    return own.absolute() if (own / "Dockerfile").is_file() else bundled_folder(_FOLDER)
