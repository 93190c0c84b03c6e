"""What `agentrt doctor` looks at. Every check is a fact with a state; nothing is changed by looking."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap

import msgspec

from agentrt import __version__
from agentrt.access.keys import check_bind, is_loopback
from agentrt.cli.connect import database_file, lock_holder
from agentrt.cli.explain import explain
from agentrt.cli.file_check import check_files
from agentrt.cli.health_check import Check, State
from agentrt.cli.options import Invocation
from agentrt.cli.probes import probe_models
from agentrt.cli.problems import CliError
from agentrt.cli.screen import Role, Screen
from agentrt.cli.tool_views import find_tools
from agentrt.cli.work_checks import check_work, look_at_work
from agentrt.config.model_folder import INSTALL, MINILM
from agentrt.config.schema import Config, SandboxSpec
from agentrt.errors import AgentrtError, ConfigError, SandboxError, StoreError
from agentrt.runtime.health import search_part, store_part
from agentrt.runtime.pulse import Pulse

_EXTRAS = {"monty": "pydantic_monty", "postgres": "asyncpg", "s3": "obstore", "uvloop": "uvloop"}
_ROLES: dict[State, Role] = {"ok": "ok", "warn": "warn", "fail": "bad"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order in which a person would want to know. pulse: what the database says of the work."""

    checks: Sequence[Check]
    pulse: Pulse | None = None


def check_everything(invocation: Invocation) -> Diagnosis:
    """Look at everything."""
    found = [_python(), _sqlite()]
    try:
        config = invocation.config
    except (AgentrtError, CliError) as error:
        return Diagnosis([*found, _from_problem("config", explain(error))])
    found.append(_extras(config))
    found += _configuration(config)
    found += _tools(config)
    found += [
        Check(f"model {probe.name}", "ok" if probe.is_ok else "warn", probe.text, probe.fix)
        for probe in asyncio.run(probe_models(config))
    ]
    found += [_search(config), *_webhooks(config)]
    found += [asyncio.run(_sandbox(spec)) for spec in config.sandboxes.values()]
    found += [_keys(config), _port(config), *_database(config), check_files(config)]
    pulse = None
    if all(check.state != "fail" for check in found if check.name == "database") and _has_tables(config):
        is_file = database_file(config) is not None
        pulse = look_at_work(config, is_file=is_file)
        found += [*check_work(pulse, is_file=is_file), *_stores(config, pulse)]
    return Diagnosis(found, pulse)


def show_checks(invocation: Invocation, diagnosis: Diagnosis) -> bool:
    """Print them. True: nothing is broken."""
    out, found = invocation.out, diagnosis.checks
    is_well = all(check.state != "fail" for check in found)
    if invocation.is_json:
        work = msgspec.to_builtins(diagnosis.pulse) or dict.fromkeys(("queue", "workers", "vectors", "folders"))
        document = {"ok": is_well, "checks": [asdict(check) for check in found], **work}
        out.line(json.dumps(document, ensure_ascii=False))
        return is_well
    width = max(len(check.name) for check in found)
    for check in found:
        first, *more = _lines(out, check.text, indent=10 + width)
        state = out.paint(f"{check.state:<4}", _ROLES[check.state])
        out.line(f"  {state}  {check.name:<{width}}  {first}")
        for line in more:
            out.line(f"        {'':<{width}}  {line}")
        if check.fix:
            out.line(f"        {'':<{width}}  {out.paint(f'→ {check.fix}', 'accent')}")
    return is_well


def _lines(out: Screen, text: str, *, indent: int) -> list[str]:
    """On a terminal, what is too long goes on below; elsewhere lines stay as they are."""
    if not out.is_live:
        return text.splitlines() or [""]
    room = max(30, out.width - indent - 1)
    broken = (wrap(line, room, break_long_words=False, break_on_hyphens=False) for line in text.splitlines())
    return [line for lines in broken for line in lines] or [""]


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()}, agentrt {__version__}")


def _sqlite() -> Check:
    """WAL needs a file; FTS5 is for keyword search."""
    extras = ["WAL"] + (["FTS5"] if _has_fts5() else [])
    return Check("sqlite", "ok", f"{sqlite3.sqlite_version} ({', '.join(extras)})")


def _has_fts5() -> bool:
    with closing(sqlite3.connect(":memory:")) as connection:
        return any(row[0] == "ENABLE_FTS5" for row in connection.execute("PRAGMA compile_options"))


def _extras(config: Config) -> Check:
    """What is installed beside. A faster event loop is worth a word where others than the person here are served; that
    PostgreSQL's driver is missing is said of the database."""
    there = [extra for extra, module in _EXTRAS.items() if find_spec(module) is not None]
    serves_many = bool(config.server.keys) or not is_loopback(config.server.host)
    if "uvloop" not in there and serves_many and platform.python_implementation() == "CPython":
        fix = "pip install 'agentrt[uvloop]': agentrt serve uses this faster event loop when it is there"
        return Check("extras", "ok", ", ".join([*there, "no uvloop"]), fix)
    return Check("extras", "ok", ", ".join(there) or "none installed, and none needed here")


def _configuration(config: Config) -> Iterator[Check]:
    where = str(config.path) if config.path is not None else "no agents.toml: the demo model and one agent"
    counts = [
        f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
        for things, noun in ((config.agents, "agent"), (config.tools, "tool"), (config.models, "model"))
    ]
    yield Check("config", "ok", f"{where} · {', '.join(counts)}")
    for warning in config.warnings:
        yield Check("config", "warn", warning)


def _tools(config: Config) -> Iterator[Check]:
    known = find_tools(config)
    broken = [found for found in known if found.tool is None]
    n_on = sum(found.is_on for found in known if found.tool is not None)
    n_off = len(known) - len(broken) - n_on
    yield Check("tools", "ok", f"{n_on} on" + (f", {n_off} more in tools/" if n_off else ""))
    for found in broken:
        # A file that nobody names does no harm; a tool that agents.toml names keeps the service from starting.
        yield Check(f"tool {found.name}", "fail" if found.is_on else "warn", found.error)


def _stores(config: Config, pulse: Pulse) -> Iterator[Check]:
    for name, spec in config.vector_stores.items():
        part = store_part(spec, pulse)
        is_troubled = any(state.is_troubled for state in pulse.folders if state.store_id == spec.id)
        yield Check(f"store {name}", "warn" if is_troubled else "ok", part.why or "no folders are watched")


def _search(config: Config) -> Check:
    part = search_part(config)
    fix = INSTALL if config.search.embedding == MINILM and not part.on else ""
    return Check("search", "ok" if part.on else "warn", part.why or "", fix)


def _webhooks(config: Config) -> Iterator[Check]:
    """Whether they could be sent. Whether somebody answers, `agentrt webhooks test` asks."""
    for spec in config.webhooks:
        is_meant = spec.why_off is None or not spec.enabled
        yield Check(f"webhook {spec.name}", "ok" if is_meant else "warn", spec.why_off or str(spec.url))


async def _sandbox(spec: SandboxSpec) -> Check:
    """What would isolate code; no image is made for that."""
    from agentrt.sandbox.choose import look_around

    name = f"sandbox {spec.name}"
    try:
        chosen = await look_around(spec)
    except SandboxError as error:
        return Check(name, "warn", error.message, "without one, calls of code_interpreter fail and say so")
    await chosen.driver.close()
    is_isolated = chosen.driver.capabilities.isolated
    return Check(name, "ok" if is_isolated else "warn", chosen.why)


def _keys(config: Config) -> Check:
    server = config.server
    try:
        check_bind(server.host, server.keys)
    except ConfigError as error:
        return _from_problem("keys", explain(error))
    if server.keys:
        return Check("keys", "ok", f"{len(server.keys)}: {', '.join(spec.name for spec in server.keys)}")
    return Check("keys", "ok", f"none: everybody on this machine may come in at {server.host}, and nobody else")


def _port(config: Config) -> Check:
    host, port = config.server.host, config.server.port
    holder = lock_holder(config)
    if holder is not None and holder.url is not None:
        return Check("server", "ok", f"running at {holder.url} (process {holder.pid})")
    if port == 0:
        return Check("port", "ok", "0: a free one is taken")
    address = "127.0.0.1" if not is_loopback(host) or host == "localhost" else host.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            why = f"{port} cannot be used: {(error.strerror or str(error)).lower()}"
            return Check("port", "warn", why, "agentrt serve --port 0 takes a free one")
    return Check("port", "ok", f"{port} is free")


def _database(config: Config) -> Iterator[Check]:
    shown = str(config.runtime.database)
    file = database_file(config)
    if file is None and not (find_spec("asyncpg") and find_spec("pgqueuer")):
        yield Check("database", "fail", f"{shown}: the driver is missing", "pip install 'agentrt[postgres]'")
        return
    holder = lock_holder(config)
    try:
        yield Check("database", "ok", f"{shown} · {_state_of(config, file)}")
    except StoreError as error:
        yield _from_problem("database", explain(error))
    if holder is not None and holder.url is None:
        fix = "end that process to use the database from here"
        yield Check("database", "warn", f"process {holder.pid} has it open, and serves no HTTP", fix)


def _state_of(config: Config, file: Path | None) -> str:
    """Raises StoreError when the database cannot be opened, or a newer release has written it."""
    from agentrt.store.migrate import needs_migration

    if file is not None and not file.exists():
        return "not there yet; it is made when it is needed"
    if needs_migration(config.runtime.database.reveal()):
        return "has to be migrated, which serve does at its start"
    size = f" · {file.stat().st_size / 1_000_000:.1f} MB" if file is not None else ""
    return f"up to date{size}"


def _has_tables(config: Config) -> bool:
    """Whether the database is there, and this release's."""
    from agentrt.store.migrate import needs_migration

    file = database_file(config)
    return (file is None or file.exists()) and not needs_migration(config.runtime.database.reveal())


def _from_problem(name: str, problem: CliError) -> Check:
    text = "\n".join([problem.what, *problem.details, *([problem.why] if problem.why else [])])
    return Check(name, "fail", text, problem.fix)
