"""Search the text files of one folder, which the operator chooses and the search cannot leave.

Set it in agents.toml: `[tools.search] python = "tools/text_search.py:search_text"`, `options = { folder = "docs" }`;
`time_limit_s` is the other option, in seconds, to be kept below the tool's timeout.
"""

from __future__ import annotations

import fnmatch
import inspect
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agentrt import Option, tool

_MAX_FILES = 20_000
_MAX_FILE_BYTES = 4_000_000
_MAX_QUERY = 500
_SHOWN_LINE = 300

Match = tuple[str, int, str]


@tool(timeout_s=20, retry="idempotent")
def search_text(
    query: str,
    files: str = "*",
    regex: bool = False,
    match_case: bool = False,
    max_matches: int = 30,
    *,
    folder: Option[Path],
    time_limit_s: Option[int] = 10,
) -> str:
    """Search the text files of the project's folder for a word or phrase, and show the lines that have it.

    query: the words to look for, exactly as they stand in one line of the text.
    files: only look in files whose name or path is like this, such as `*.md` or `guides/*`.
    regex: take the query as a Python regular expression.
    match_case: tell upper and lower case apart.
    max_matches: how many lines to show, at most 200.
    """
    if not query or len(query) > _MAX_QUERY:
        raise ValueError(f"the query must have 1 to {_MAX_QUERY} characters")
    limit = max(1, min(max_matches, 200))
    paths = list(_candidates(folder, files))
    named = [(path.relative_to(folder).as_posix(), str(path)) for path in paths]
    if regex:
        matches = _search_in_child(query, match_case, named, limit, time_limit_s)
    else:
        wanted = query if match_case else query.casefold()
        matches = _scan(named, lambda line: wanted in (line if match_case else line.casefold()), limit, time_limit_s)
    if not matches:
        return f"No line with {query!r} in {len(paths)} files."
    lines = [f"{name}:{number}: {line}" for name, number, line in matches]
    more = " (there may be more)" if len(matches) >= limit else ""
    return "\n".join((f"{len(matches)} lines found in {len(paths)} files{more}:", *lines))


def _candidates(folder: Path, pattern: str) -> Iterator[Path]:
    """Files below the folder, sorted, as far as _MAX_FILES go. Hidden ones are left out: keys are kept in such."""
    root = folder.resolve(strict=True)
    n_seen = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            n_seen += 1
            if n_seen > _MAX_FILES:
                return
            path = Path(parent, name)
            is_wanted = fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(path.relative_to(folder).as_posix(), pattern)
            if is_wanted and path.is_file() and _is_open(path, root):
                yield path


def _is_open(path: Path, root: Path) -> bool:
    """Whether the file, and what it leads to if it is a link, is in the root and not hidden."""
    target = path.resolve()
    if path.name.startswith(".") or not target.is_relative_to(root):
        return False
    return not any(part.startswith(".") for part in target.relative_to(root).parts)


def _search_in_child(
    query: str, match_case: bool, files: list[tuple[str, str]], limit: int, time_limit_s: int
) -> list[Match]:
    """Match in a process of its own: an expression that explodes holds the interpreter, and no thread can stop it."""
    try:
        re.compile(query)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{query!r} is not a regular expression: {error}") from None
    request = json.dumps([query, match_case, files, limit, time_limit_s])
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own code; the query travels as data
            [sys.executable, "-I", "-S", "-c", _CHILD],
            input=request,
            capture_output=True,
            text=True,
            timeout=time_limit_s,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"the expression took longer than {time_limit_s} s; make it simpler") from None
    if done.returncode != 0:
        raise ValueError("the expression could not be searched for; make it simpler")
    found: list[Match] = [(name, number, line) for name, number, line in json.loads(done.stdout)]
    return found


def _scan(files: list[tuple[str, str]], fits: Callable[[str], object], limit: int, time_limit_s: int) -> list[Match]:
    """The first `limit` lines that fit. Binary and very large files are passed over. Runs in the child too."""
    found: list[Match] = []
    deadline = time.monotonic() + time_limit_s
    for name, path in files:
        if time.monotonic() > deadline:
            raise ValueError(f"the search took longer than {time_limit_s} s; narrow `files`")
        try:
            if Path(path).stat().st_size > _MAX_FILE_BYTES:
                continue
            data = Path(path).read_bytes()
        except OSError:
            continue
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
            if fits(line):
                found.append((name, number, line.strip()[:_SHOWN_LINE]))
                if len(found) >= limit:
                    return found
    return found


def _child() -> None:
    import signal

    query, match_case, files, limit, time_limit_s = json.load(sys.stdin)
    if hasattr(signal, "alarm"):
        signal.alarm(time_limit_s + 1)  # ends this process even if its parent is gone
    expression = re.compile(query, 0 if match_case else re.IGNORECASE)
    json.dump(_scan(files, expression.search, limit, time_limit_s), sys.stdout)


_CHILD = "\n".join(
    (
        "from __future__ import annotations",
        "import json, re, sys, time",
        "from pathlib import Path",
        f"_MAX_FILE_BYTES, _SHOWN_LINE = {_MAX_FILE_BYTES}, {_SHOWN_LINE}",
        inspect.getsource(_scan),
        inspect.getsource(_child),
        "_child()",
    )
)
