"""The tools of the chaos test's project: each writes down what it does, outside of agentrt.

The log is one file that everybody appends to; a line is one write, which a killed process has done or has not. It is
not flushed to the disk: processes die here, the machine does not.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Literal

import msgspec

from agentrt import Context, IdempotencyKey, Option, tool

LOG = "tools.log"
EFFECTS = "effects"


class ToolLine(msgspec.Struct, frozen=True):
    """One line of the log. at: seconds of the machine's monotonic clock, one for all processes."""

    moment: Literal["start", "end"]
    tool: str
    run_id: str
    call_id: str
    pid: int
    at: float


def effect_name(key: str) -> str:
    """The name of the file that an idempotent call leaves."""
    return key.replace(":", ".")


@tool
def pay(amount: int, ms: int = 0, *, call: Context, folder: Option[Path]) -> str:
    """Pay an amount. In a thread; must not happen twice."""
    _note(folder, "start", "pay", call)
    time.sleep(ms / 1000)
    _note(folder, "end", "pay", call)
    return f"pay {amount}"


@tool
async def ship(amount: int, ms: int = 0, *, call: Context, folder: Option[Path]) -> str:
    """Ship goods. On the event loop; must not happen twice."""
    _note(folder, "start", "ship", call)
    await asyncio.sleep(ms / 1000)
    _note(folder, "end", "ship", call)
    return f"ship {amount}"


@tool(retry="idempotent")
async def put(amount: int, ms: int = 0, *, call: Context, key: IdempotencyKey, folder: Option[Path]) -> str:
    """Put an amount under the call's key: doing it twice leaves what doing it once leaves."""
    _note(folder, "start", "put", call)
    await asyncio.sleep(ms / 1000)
    (folder / EFFECTS / effect_name(key)).write_text(str(amount))
    _note(folder, "end", "put", call)
    return f"put {amount}"


def read_log(folder: Path) -> list[ToolLine]:
    """The whole log, in the order in which things happened."""
    decoder = msgspec.json.Decoder(ToolLine)
    path = folder / LOG
    return [decoder.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def _note(folder: Path, moment: Literal["start", "end"], name: str, call: Context) -> None:
    line = ToolLine(moment, name, call.run_id, call.call_id, os.getpid(), time.monotonic())
    file = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, msgspec.json.encode(line) + b"\n")
    finally:
        os.close(file)
