"""Finding tools: `tools/weather.py:get_weather` by path, `package.module:function` by import, or all of a folder.

Files are run as modules of their own, outside of any package: nothing is added to sys.path, and a file that was
edited is read again. agents.toml's [tools.NAME] table ends in `load_tool`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from agentrt.errors import ToolDefinitionError
from agentrt.suggest import perhaps
from agentrt.toolkit.tool import Retry, Tool, as_tool, set_options


@dataclass(frozen=True, slots=True)
class ToolFile:
    """One file of a tools folder. tools: by the function's name, in the file's order; error: why it does not load."""

    path: Path
    tools: Mapping[str, Tool]
    error: ToolDefinitionError | None = None


def load_tool(
    target: str,
    *,
    base: Path,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    retry: Retry | None = None,
    options: Mapping[str, object] | None = None,
) -> Tool:
    """The tool that a target names: `path/to/file.py:function` (from the folder `base`) or `package.module:function`.

    A plain function will do as well as a @tool. What is not None overrides what the decorator said; relative paths in
    options start at `base` too. Raises ToolDefinitionError: what is wrong, where, and what would be right.
    """
    source, colon, attribute = target.rpartition(":")
    if not colon or not source or not attribute:
        raise ToolDefinitionError(
            f"'{target}' names no function. Write `tools/file.py:function` or `package.module:function`."
        )
    module = _load_file(base / source) if _is_path(source) else _import(source)
    tool = _named(module, attribute, target)
    if options:
        tool = set_options(tool, options, base=base)
    return replace(
        tool,
        name=tool.name if name is None else name,
        description=description or tool.description,
        timeout_s=tool.timeout_s if timeout_s is None else timeout_s,
        retry=retry or tool.retry,
    )


def scan_tools(folder: Path) -> list[ToolFile]:
    """Every *.py file of a folder with its @tool functions; sorted, without those that begin with an underscore."""
    files = []
    for path in sorted(folder.glob("*.py")):
        if path.name.startswith("_"):
            continue
        try:
            files.append(ToolFile(path, _own_tools(_load_file(path))))
        except ToolDefinitionError as error:
            files.append(ToolFile(path, {}, error))
    return files


def _is_path(source: str) -> bool:
    return source.endswith(".py") or "/" in source or "\\" in source


def _load_file(path: Path) -> ModuleType:
    try:
        path = path.resolve(strict=True)
        state = path.stat()
    except OSError as error:
        raise ToolDefinitionError(f"{path}: {error.strerror or error}. {_files_nearby(path)}") from None
    # The file's state is part of the name: an edited file is another module, and old tools keep the one they are from.
    key = hashlib.sha256(f"{path}\0{state.st_mtime_ns}\0{state.st_size}".encode()).hexdigest()[:12]
    name = f"agentrt_tools_{path.stem}_{key}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ToolDefinitionError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their own module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _does_not_load(path, error) from error
    return module


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise _does_not_load(name, error) from error


def _does_not_load(source: Path | str, error: BaseException) -> ToolDefinitionError:
    if isinstance(error, ToolDefinitionError):  # says where by itself
        return error
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(source)]
    at = f"{source}:{lines[-1]}" if lines else f"{source}"
    return ToolDefinitionError(f"{at} does not load: {type(error).__name__}: {error}.")


def _named(module: ModuleType, attribute: str, target: str) -> Tool:
    value = getattr(module, attribute, None)
    if value is None:
        names = list(_own_tools(module))
        offer = f"It has: {', '.join(names)}." if names else "It has no @tool functions."
        raise ToolDefinitionError(f"'{target}': there is no '{attribute}'. {perhaps(attribute, names)}{offer}")
    if not callable(value):
        raise ToolDefinitionError(f"'{target}' is not a function. Name a function, with or without @tool.")
    function: Callable[..., object] = value
    return as_tool(function)


def _own_tools(module: ModuleType) -> dict[str, Tool]:
    """Those defined in the module, not those that it imports from another."""
    found = {name: value for name, value in vars(module).items() if isinstance(value, Tool)}
    return {name: tool for name, tool in found.items() if tool.function.__module__ == module.__name__}


def _files_nearby(path: Path) -> str:
    names = [other.name for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
    return f"{perhaps(path.name, names)}Files there: {', '.join(sorted(names)) or 'none'}."
