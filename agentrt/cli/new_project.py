"""Writing a new project: a template's files, some of the bundled tools, the model that this machine has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from agentrt.cli.found_models import FoundModels, find_models
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.config.editor_schema import write_schema
from agentrt.config.environment import process_environment
from agentrt.config.load import load_config
from agentrt.config.project import FILE_NAMES, bundled_file

Template: TypeAlias = Literal["minimal", "support"]

_TEMPLATES: Final = Path(__file__).with_name("templates")
_BUNDLED_TOOLS: Final[Mapping[Template, tuple[str, ...]]] = {
    "minimal": ("clock.py", "calculator.py"),
    "support": ("dates.py",),
}
_IGNORED: Final = ".agentrt/\n__pycache__/\n"


def create_project(invocation: Invocation, folder: Path, template: Template) -> None:
    """Write the project and say what was found and what to type next. Raises CliError."""
    for name in FILE_NAMES:
        if (folder / name).exists():
            why = "agentrt init never overwrites a file"
            raise CliError("E203", f"{folder / name} is there already", why=why, fix="agentrt init NEW-FOLDER")
    found = find_models(process_environment())
    created, kept = _write(folder, dict(_files(template, found)))
    write_schema(folder.resolve())
    config = load_config(folder.resolve() / "agents.toml")
    out = invocation.out
    noun = "file" if len(created) == 1 else "files"
    out.line(f"created {', '.join(created)} ({len(created)} {noun})")
    if kept:
        out.line(out.paint(f"kept    {', '.join(kept)}", "warn"))
    out.line(f"model   {out.paint(found.name, 'strong')} ({found.why})")
    out.line()
    here = folder.resolve() == Path.cwd()
    agent = config.runtime.default_agent
    for command, about in (
        *(() if here else ((f"cd {folder}", ""),)),
        ("agentrt chat", f"talk to {agent} in the terminal"),
        ("agentrt serve", "the Assistants API, for apps"),
        ("agentrt doctor", "what works and what is missing"),
    ):
        out.line(f"  {out.paint(f'{command:<16}', 'accent')}{out.paint(about, 'dim')}".rstrip())


def _files(template: Template, found: FoundModels) -> Iterator[tuple[str, str]]:
    """Every file as (path in the project, text)."""
    source = _TEMPLATES / template
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            text = path.read_text(encoding="utf-8")
            text = text.replace("{{models}}", found.toml).replace("{{model}}", found.name)
            yield path.relative_to(source).as_posix(), text
    bundled = bundled_file()
    if bundled is None:
        raise CliError("E100", "this installation lacks its bundled project", fix="install agentrt again")
    for name in _BUNDLED_TOOLS[template]:
        yield f"tools/{name}", (bundled.parent / "tools" / name).read_text(encoding="utf-8")
    yield ".gitignore", _IGNORED


def _write(folder: Path, files: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write what is not there yet. Returns the created ones and the ones that were there. Raises CliError."""
    created: list[str] = []
    kept: list[str] = []
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
                created.append(name)
            except FileExistsError:
                kept.append(name)
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        raise CliError(
            "E203", f"the project cannot be written to {folder}", why=why, fix="name another folder"
        ) from None
    return created, kept
