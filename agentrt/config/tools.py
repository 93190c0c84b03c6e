"""[tools.*] → ToolSource: where each function is. Files are parsed for the function's name, nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agentrt.config.document import ToolTable
from agentrt.config.merge import Entry, Merged
from agentrt.config.report import Report
from agentrt.config.schema import HOSTED_TOOLS, ToolSource
from agentrt.suggest import did_you_mean, listed

_IN_FILE = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)")
_IN_MODULE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")


def tool_sources(merged: Merged, report: Report) -> dict[str, ToolSource]:
    """All tools, in the file's order."""
    sources = {name: _source(entry, report) for name, entry in merged.tools.items()}
    return {name: source for name, source in sources.items() if source}


def _source(entry: Entry[ToolTable], report: Report) -> ToolSource | None:
    table = entry.table
    if entry.name in HOSTED_TOOLS:
        what = "this name belongs to the hosted tool"
        report.problem(entry.source, entry.path, what, fix="give the table another name", at="key")
    path = (*entry.path, "python")
    in_file, in_module = _IN_FILE.fullmatch(table.python), _IN_MODULE.fullmatch(table.python)
    match = in_file or in_module
    if match is None:
        fix = '"FILE.py:FUNCTION" or "package.module:FUNCTION", such as "tools/clock.py:current_time"'
        report.problem(entry.source, path, f'"{table.python}" names no function', fix=fix)
        return None
    file = (entry.folder / in_file["file"]).absolute() if in_file else None
    wrong = _missing_function(file, match["function"]) if file else None
    if wrong:
        report.problem(entry.source, path, wrong[0], fix=wrong[1])
    return ToolSource(
        name=entry.name,
        function=match["function"],
        file=file,
        module=None if in_file else match["module"],
        folder=entry.folder.absolute(),
        timeout_s=table.timeout,
        retry=table.retry,
        options=dict(table.options),
    )


def _missing_function(file: Path, function: str) -> tuple[str, str] | None:
    """What is wrong and what would be right if the file does not define the function, None if it does."""
    try:
        module = ast.parse(file.read_bytes(), filename=str(file))
    except FileNotFoundError:
        return f"there is no file {file}", "a relative path starts at the folder of this file"
    except OSError as error:
        return f"{file} cannot be read", (error.strerror or str(error)).lower()
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"{file.name}{line} is not Python", str(error)
    names = set(_top_level_names(module))
    if function in names:
        return None
    public = sorted(name for name in names if not name.startswith("_"))
    otherwise = f"it has {listed(public, last='and')}" if public else "the file has no function"
    return f"{file.name} has no function {function}", did_you_mean(function, public, otherwise=otherwise)


def _top_level_names(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name for alias in aliases)
