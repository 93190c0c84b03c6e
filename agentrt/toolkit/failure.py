"""An exception of a tool → the text that the model reads: type and message, no traceback, no path of this machine."""

from __future__ import annotations

import re
from pathlib import Path

from agentrt.toolkit.complaint import shorten

_READ_CHARS = 10_000
_SHOWN_CHARS = 1000
_SHOWN_LEAVES = 3
_PATH = re.compile(
    r"""(?P<quote>['"])(?P<quoted>(?:/|[A-Za-z]:\\)[^'"\n]*)(?P=quote)"""
    r"""|(?<![\w/.:])(?:file://)?(?P<bare>(?:/|[A-Za-z]:\\)[^\s'",;:)>\]]+)"""
)
_SEPARATOR = re.compile(r"[/\\]")


def describe(error: BaseException) -> str:
    """`ValueError: no such city`; of an exception group, its leaves."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(leaf) for leaf in error.exceptions[:_SHOWN_LEAVES])
    try:
        message = str(error)[:_READ_CHARS]
    except Exception:
        message = ""
    name = type(error).__name__
    return shorten(f"{name}: {_PATH.sub(_last_part, message)}" if message else name, _SHOWN_CHARS)


def _last_part(match: re.Match[str]) -> str:
    """A path's last part when the path could be one of this machine: `/v1/items` of an address stays."""
    path = match["quoted"] or match["bare"]
    if path.startswith("/") and not Path("/", path.split("/")[1]).exists():
        return match[0]
    quote = match["quote"] or ""
    return f"{quote}{_SEPARATOR.split(path.rstrip('/'))[-1]}{quote}"
