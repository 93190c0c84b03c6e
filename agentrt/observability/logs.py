"""How log records are written: one JSON object or one readable line each, with secrets masked.

A record is a fixed event name and fields: `log.info("run.claimed", extra={"run": run.id, "wait_ms": waited})`. Ids and
sizes only, never message text, tool arguments, file names or keys; masking is the net below that rule. Set up by entry
points (`agentrt serve`, …), never on import: a program that embeds agentrt has a logging of its own.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

from agentrt.secret import MASK, is_secret_name, redact

Level: TypeAlias = Literal["debug", "info", "warning", "error"]

# What logging itself puts on a record; everything else came by `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
_COLOURS: Final[Mapping[int, str]] = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}
_MAX_DEPTH: Final = 4


def set_up_logging(
    *,
    level: Level = "info",
    form: Literal["console", "json"] = "console",
    stream: TextIO | None = None,
    is_coloured: bool = False,
) -> None:
    """Write all log records of this process to stream (None: stderr), replacing what was set up before.

    level holds for agentrt; other libraries are heard from `warning` on, at `debug` from `info` on.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter(is_coloured=is_coloured))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO if level == "debug" else logging.WARNING)
    logging.getLogger("agentrt").setLevel(level.upper())


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, logger, the fields, and `error` with `trace` for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": redact(record.getMessage()),
            "logger": record.name,
        }
        line |= {name: value for name, value in _fields(record).items() if name not in line}
        if record.exc_info:
            line["error"] = _error(record)
            line["trace"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleFormatter(logging.Formatter):
    """`12:30:01 info    run.claimed run=run_… wait_ms=3`, in UTC; the trace of an exception follows below."""

    def __init__(self, *, is_coloured: bool) -> None:
        super().__init__()
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        level = f"{record.levelname.lower():7}"
        colour = _COLOURS.get(record.levelno)
        if colour and self._is_coloured:
            level = f"\x1b[{colour}m{level}\x1b[0m"
        fields = [f"{name}={_console_value(value)}" for name, value in _fields(record).items()]
        lines = [" ".join([time, level, redact(record.getMessage()), *fields])]
        if record.exc_info:
            lines.append(redact(self.formatException(record.exc_info)))
        return "\n".join(lines)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: MASK if is_secret_name(name) else _clean(value, _MAX_DEPTH)
        for name, value in vars(record).items()
        if name not in _STANDARD
    }


def _clean(value: object, depth: int) -> object:
    """The value without secrets, as JSON can hold it."""
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping() if depth:
            return {
                str(key): MASK if is_secret_name(str(key)) else _clean(item, depth - 1) for key, item in value.items()
            }
        case list() | tuple() | set() | frozenset() if depth:
            return [_clean(item, depth - 1) for item in value]
        case _:
            return redact(str(value))


def _error(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return redact(f"{type(error).__name__}: {error}" if error else "")


def _console_value(value: object) -> str:
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, default=str)
    is_one_word = value and not set(value) & set(' "=\n\r\t')
    return value if is_one_word else json.dumps(value, ensure_ascii=False)
