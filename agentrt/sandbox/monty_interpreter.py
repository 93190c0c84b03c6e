"""Monty's sessions as one that goes on: when a worker is lost, the next one has the variables of the last dump."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from pydantic_monty import Monty, MontyError, MontySession

from agentrt.sandbox.monty_files import ROOT, QuotaFiles

# Each question about a file is one; the default of 1,000 ends a loop over the lines of a file.
_MAX_QUESTIONS: Final = 10_000_000


class Usage(NamedTuple):
    """Of a process, where there is a /proc to tell; zeros elsewhere and when it is gone."""

    cpu_s: float = 0.0
    rss_bytes: int = 0
    peak_bytes: int = 0


class Interpreter:
    """A line of monty sessions, each with the variables of the one before."""

    def __init__(self, pool: Monty, memory_bytes: int) -> None:
        self._pool = pool
        self._memory_bytes = memory_bytes
        self._dump: bytes | None = None
        self._session: MontySession
        self.worker_pid: int | None = None
        self._open()

    def feed(self, code: str, *, files: QuotaFiles, on_print: Callable[[str, str], None]) -> object:
        """Run code; raises MontyError. After MontyCrashedError `revive` has to follow."""
        return self._session.feed_run(code, os=files, cwd=str(ROOT), print_callback=on_print)

    def freeze(self, max_bytes: int) -> bool:
        """Remember the variables as they are now, if they are not too many. False: the worker died of it."""
        if usage_of(self.worker_pid).rss_bytes > max_bytes:
            self._dump = None
            return True
        try:
            dump = self._session.dump()
        except (MontyError, RuntimeError):
            return False
        self._dump = dump if len(dump) <= max_bytes else None
        return True

    def revive(self) -> bool:
        """A new worker. True: with the variables of the last `freeze`."""
        self._close()
        self._open()
        if self._dump is None:
            return False
        try:
            self._session.load_session(self._dump)
        except (MontyError, RuntimeError):
            self._dump = None
            self._close()
            self._open()
        return self._dump is not None

    def forget(self) -> None:
        """Have no variables from before."""
        self._dump = None

    def _open(self) -> None:
        limits = {"max_memory": self._memory_bytes, "max_suspensions": _MAX_QUESTIONS}
        checkout = self._pool.checkout(
            limits=limits,  # type: ignore[arg-type]
            print_flush_interval=0.02,
            os_policy={"sleep": "call_host"},  # its own way of sleeping does not notice that the worker is dead
        )
        self._session = checkout.__enter__()
        self.worker_pid = self._session.worker_pid

    def _close(self) -> None:
        with suppress(MontyError, RuntimeError):
            self._session.__exit__(None, None, None)


def usage_of(pid: int | None) -> Usage:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return Usage()
    memory = {line[:5]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return Usage(cpu_s, memory.get("VmRSS", 0), memory.get("VmHWM", 0))
