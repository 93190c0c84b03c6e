"""agents.toml → Config, or all its problems at once. pydantic is imported when a file is read, not with this module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agentrt.config.environment import FromText, process_environment
from agentrt.config.schema import Config
from agentrt.secret import looks_like_secret

if TYPE_CHECKING:
    from agentrt.config.files import File
    from agentrt.config.positions import KeyPath
    from agentrt.config.report import Report


def load_config(
    path: Path | None, *, environ: Mapping[str, str] | None = None, state_folder: Path | None = None
) -> Config:
    """Read the configuration; None is a project without a file: the demo model, one agent, no tools.

    environ: variables for `${VAR}` and `AGENTRT__…`, None = the process's. state_folder: where a relative `data_dir`
    and SQLite file start, None = the file's folder (or, without a file, the working folder).
    Raises ConfigError with every problem of the file and its includes; a variable that an `api_key` lacks is none.
    """
    from agentrt.config.agents import agent_specs
    from agentrt.config.files import read_files
    from agentrt.config.files_table import files_spec
    from agentrt.config.merge import merge
    from agentrt.config.models import model_specs
    from agentrt.config.report import Report
    from agentrt.config.sandboxes import sandbox_specs
    from agentrt.config.schedules import schedule_specs
    from agentrt.config.search import search_spec
    from agentrt.config.service import runtime_spec, server_spec
    from agentrt.config.stores import vector_store_specs
    from agentrt.config.tools import tool_sources
    from agentrt.config.webhooks import webhook_specs

    report = Report()
    files = read_files(path, process_environment() if environ is None else environ, report)
    folder = files[0].source.folder.absolute()
    merged = merge(files, report)
    models = model_specs(merged, report)
    tools = tool_sources(merged, report)
    sandboxes = sandbox_specs(merged, report)
    stores = vector_store_specs(merged, report)
    agents = agent_specs(merged, models, stores, report)
    schedules = schedule_specs(merged, agents, report)
    runtime = runtime_spec(merged, agents, state_folder or folder, report)
    server = server_spec(merged, report)
    search = search_spec(merged, models, report)
    webhooks = webhook_specs(merged, report)
    settings = files_spec(merged.file_settings, merged.source_of(("files", "s3")), report)
    report.raise_problems()
    for file in files:
        _warn_of_literal_keys(file, report)
    return Config(
        path=path.absolute() if path else None,
        folder=folder,
        runtime=runtime,
        server=server,
        search=search,
        models=models,
        tools=tools,
        sandboxes=sandboxes,
        vector_stores=stores,
        agents=agents,
        files=settings,
        webhooks=webhooks,
        schedules=schedules,
        warnings=tuple(report.warnings),
    )


def _warn_of_literal_keys(file: File, report: Report) -> None:
    """A key that stands in the file ends up in backups and repositories."""
    from agentrt.config.source import format_path

    for path, text in _texts(file.source.tree):
        is_vendor_key = path[0] == "models" and path[-1] == "api_key" and _is_vendors(file, str(path[1]))
        is_own_key = path[:2] == ("server", "keys") and path[-1] == "key"
        is_webhooks = path[0] == "webhooks" and path[-1] in ("secret", "previous_secret")
        is_buckets = path[:2] == ("files", "s3") and path[-1] in ("secret_access_key", "session_token")
        is_literal = "${" not in text and not isinstance(text, FromText)
        if is_literal and (is_vendor_key or is_own_key or is_webhooks or is_buckets or looks_like_secret(text)):
            what = f'{format_path(path)} holds a key; put it into a variable and write "${{NAME}}"'
            report.warning(file.source, path, what)


def _is_vendors(file: File, model: str) -> bool:
    return file.document.models[model].provider in ("openai", "azure")


def _texts(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for key, item in value.items():
                yield from _texts(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _texts(item, (*path, index))
