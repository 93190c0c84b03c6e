"""The child's side of processes.py: limit yourself, then answer one request after the other.

A request is its size in SIZE bytes and itself; an answer is one byte for its kind, and the same. Only the standard
library is imported before the limits stand.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

SIZE = 8
OK = b"+"
LAST = b"."
"""As OK, and the process ends."""
OUT_OF_MEMORY = b"m"
BUG = b"!"
"""The entry raised what it should not have; the answer is the traceback. The process ends."""

# People who search come first.
_NICENESS = 5


def main() -> None:
    """sys.argv: sys.path (set already), `module:function`, the limits as a JSON list (see ProcessLimits)."""
    entry, limits = sys.argv[2:]
    memory_bytes, cpu_s, n_calls, growth_bytes = json.loads(limits)
    requests, answers = _take_channels()
    _limit(memory_bytes)
    module, _, function = entry.partition(":")
    call: Callable[[bytes], bytes] = getattr(importlib.import_module(module), function)
    _serve(call, requests, answers, cpu_s=cpu_s, n_calls=n_calls, growth_bytes=growth_bytes)


def _serve(
    call: Callable[[bytes], bytes],
    requests: BinaryIO,
    answers: BinaryIO,
    *,
    cpu_s: int,
    n_calls: int,
    growth_bytes: int,
) -> None:
    at_start = _resident_bytes()
    for n in range(1, n_calls + 1):
        request = _read(requests)
        if request is None:
            return
        _limit_cpu(cpu_s)
        kind, answer = _answer(call, request)
        if kind == OK and (n == n_calls or _resident_bytes() - at_start > growth_bytes):
            kind = LAST
        with suppress(BrokenPipeError):  # nobody waits any more
            answers.write(kind + len(answer).to_bytes(SIZE, "little"))
            answers.write(answer)
            answers.flush()
        if kind != OK:
            return


def _answer(call: Callable[[bytes], bytes], request: bytes) -> tuple[bytes, bytes]:
    try:
        return OK, call(request)
    except MemoryError:
        return OUT_OF_MEMORY, b""
    except BaseException as error:
        # Where, and of what class; not what it says: there may be a piece of the file in it.
        where = "".join(traceback.format_tb(error.__traceback__))
        return BUG, f"{where}{type(error).__name__}".encode()


def _take_channels() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for ourselves: what a library prints must not be taken for an answer."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return requests, answers


def _limit(memory_bytes: int) -> None:
    os.nice(_NICENESS)
    # macOS refuses a limit of the address space: there, only time is limited.
    for kind, value in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def _limit_cpu(cpu_s: int) -> None:
    """From now on. SIGXCPU ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + cpu_s + 1, hard))


def _resident_bytes() -> int:
    """How much memory we hold now. (The peak would be no measure: on Linux it begins with that of the parent.)"""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib is not imported yet
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _read(requests: BinaryIO) -> bytes | None:
    """The next request; None when the parent has closed the pipe, or is gone."""
    head = requests.read(SIZE)
    if len(head) < SIZE:
        return None
    size = int.from_bytes(head, "little")
    request = requests.read(size)
    return request if len(request) == size else None
