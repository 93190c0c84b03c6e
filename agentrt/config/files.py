"""The files of one configuration: agents.toml and what it includes, read, overridden, filled in and validated."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from pydantic import ValidationError

from agentrt.config.document import Document
from agentrt.config.environment import actual_key, overrides
from agentrt.config.explain import explain
from agentrt.config.interpolate import Missing, interpolate
from agentrt.config.positions import KeyPath
from agentrt.config.report import Report
from agentrt.config.source import Source, read_source
from agentrt.errors import ConfigError


class File(msgspec.Struct, frozen=True):
    """A validated file. missing_keys: table (`("models", "fast")`) → the variable without which it is unavailable."""

    source: Source
    document: Document
    missing_keys: Mapping[KeyPath, Missing]


def read_files(path: Path | None, environ: Mapping[str, str], report: Report) -> list[File]:
    """Read agents.toml and its includes; the first file is agents.toml itself, empty if there is no path.

    What is wrong in a file is reported and left out of its document. Raises ConfigError if a file is not readable TOML.
    """
    main = read_source(path, shown=_shown(path)) if path else Source(shown="agents.toml", folder=Path.cwd(), text="")
    if _is_dotagents(main.tree):
        raise ConfigError([_DOTAGENTS.format(main.shown)])
    sources = [main, *_included(main, report)]
    _override(sources, environ, report)
    return [_file(source, environ, report) for source in sources]


def has_path(tree: object, path: KeyPath) -> bool:
    """Whether something is written at path."""
    for part in path:
        match tree:
            case dict() if part in tree:
                tree = tree[part]
            case list() if isinstance(part, int) and part < len(tree):
                tree = tree[part]
            case _:
                return False
    return True


_DOTAGENTS = """\
{0}: this looks like a file of Sentry's dotagents, which has the same name
  fix: give agentrt's file another one: agentrt.toml beside it, --config FILE, or AGENTRT_CONFIG=FILE"""


def _is_dotagents(tree: Mapping[str, object]) -> bool:
    return isinstance(tree.get("agents"), list) or isinstance(tree.get("skills"), list) or "trust" in tree


def _shown(path: Path) -> str:
    """The path as people know it: from where they stand if it is below."""
    full, here = path.absolute(), Path.cwd()
    return str(full.relative_to(here) if full.is_relative_to(here) else full)


def _included(main: Source, report: Report) -> list[Source]:
    patterns = main.tree.get("include")
    if not isinstance(patterns, list):
        return []  # absent, or of a wrong type, which the validation reports
    paths: dict[Path, None] = {}
    for index, pattern in enumerate(patterns):
        found = sorted(_matching(main.folder, pattern)) if isinstance(pattern, str) else []
        if not found and isinstance(pattern, str) and not set(pattern) & set("*?["):
            report.problem(
                main, ("include", index), f'there is no file "{pattern}"', fix=f"paths start at {main.folder}"
            )
        paths.update(dict.fromkeys(found))
    sources: list[Source] = []
    broken: list[str] = []
    for number, path in enumerate(paths, start=1):
        try:
            sources.append(read_source(path, shown=_shown(path), number=number))
        except ConfigError as error:
            broken.extend(error.problems)
    if broken:
        raise ConfigError(broken)
    for source in sources:
        if "include" in source.tree:
            what = "an included file cannot include others"
            report.problem(source, ("include",), what, fix=f"name them in {main.shown}", at="key")
    return sources


def _matching(folder: Path, pattern: str) -> Iterable[Path]:
    if Path(pattern).is_absolute():
        folder, pattern = Path(Path(pattern).anchor), str(Path(pattern).relative_to(Path(pattern).anchor))
    return (path for path in folder.glob(pattern) if path.is_file())


def _override(sources: Sequence[Source], environ: Mapping[str, str], report: Report) -> None:
    """Put the values of AGENTRT__… variables into the trees, each into the file that has the table."""
    for variable, (words, value) in overrides(environ).items():
        source = next((each for each in sources if has_path(each.tree, _actual(each.tree, words)[:2])), sources[0])
        path = _actual(source.tree, words)
        source.overridden[path] = variable
        here: dict[str, object] = source.tree
        for part in path[:-1]:
            below = here.setdefault(str(part), {})
            if not isinstance(below, dict):
                what = "a variable can set a key of a table, and this is none"
                report.problem(source, path, what, fix=f"unset {variable}, or give the whole list: ['…']")
                break
            here = below
        else:
            here[str(path[-1])] = value


def _actual(tree: Mapping[str, object], words: KeyPath) -> KeyPath:
    path: list[str | int] = []
    here: object = tree
    for word in words:
        key = actual_key(here, str(word)) if isinstance(here, dict) else str(word)
        path.append(key)
        here = here.get(key) if isinstance(here, dict) else None
    return tuple(path)


def _file(source: Source, environ: Mapping[str, str], report: Report) -> File:
    filled = interpolate(source.tree, environ)
    missing_keys: dict[KeyPath, Missing] = {}
    for missing in filled.missing:
        match missing.path:
            case ("models", str(), "api_key") | ("webhooks", int(), "url" | "secret" | "previous_secret"):
                missing_keys.setdefault(missing.path[:-1], missing)
                _drop(filled.tree, missing.path)
            case _ if missing.state == "not set":
                fix = f"export {missing.variable}=…, or write ${{{missing.variable}:-default}}"
                report.problem(source, missing.path, f"{missing.variable} is not set", fix=fix)
    for malformed in filled.malformed:
        fix = "${NAME} or ${NAME:-default without braces}; a literal ${ is written $${"
        report.problem(source, malformed.path, f"{malformed.text} is no variable", fix=fix)
    return File(source, _validated(source, filled.tree, report), missing_keys)


def _validated(source: Source, tree: dict[str, object], report: Report) -> Document:
    """The document without its errors: they are taken out until the rest is valid, so that the rest is checked too."""
    tree = copy.deepcopy(tree)
    is_first = True
    while True:
        try:
            return Document.model_validate(tree)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        if is_first:
            explain(report, source, errors)
        for path in {_written_part(tree, error["loc"]) for error in errors}:
            _drop(tree, path)
        is_first = False


def _written_part(tree: object, loc: KeyPath) -> KeyPath:
    """The key to take out for an error at loc; loc may end in a key that is missing or in pydantic's own words."""
    length = 0
    for depth, part in enumerate(loc, start=1):
        if not has_path(tree, loc[:depth]):
            break
        length = depth if isinstance(part, str) else length
    return loc[:length]


def _drop(tree: object, path: KeyPath) -> None:
    for part in path[:-1]:
        if not has_path(tree, (part,)):
            return  # an error above took it out already
        tree = tree[part]  # type: ignore[index] # has_path has seen that it is there
    if isinstance(tree, dict):
        tree.pop(path[-1], None)
