"""Processes of our own that do work which may go wrong in any way: take all memory, never end, crash.

A started process serves one call after the other (starting costs more than most files), is replaced when it has grown
or has served many, and is killed when a call takes too long, is cancelled, or nobody has called for a while. The
program is `python -c` on the same interpreter and the same sys.path: nothing is forked, so that it works in a process
with threads, and nothing of the parent is in its memory. The child's side is child.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from agentrt.config.environment import process_environment
from agentrt.files.child import BUG, OK, OUT_OF_MEMORY, SIZE

Trouble: TypeAlias = Literal["memory", "cpu", "wall", "output", "crash", "bug", "start"]

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from agentrt.files.child import main; main()"
# What an interpreter may need to start and to find its libraries. Everything else stays here: keys are in there.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "PYTHONHOME")
_TRACE_BYTES = 10_000
_END_WITHIN_S = 2.0
_BUFFER_BYTES = 1 << 20


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """For one call: CPU seconds and wall seconds; for one process: bytes of address space, and of an answer.

    n_calls, growth_bytes: a process that has served so many, or whose memory has grown so far, is replaced.
    """

    memory_bytes: int = 1 << 30
    cpu_s: int = 60
    wall_s: float = 300.0
    answer_bytes: int = 256 * 1024 * 1024
    n_calls: int = 500
    growth_bytes: int = 128 * 1024 * 1024


class ProcessTroubleError(Exception):
    """A call got no answer. kind says why; detail is for the log, where there is more to know."""

    def __init__(self, kind: Trouble, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind: Trouble = kind
        self.detail = detail


class ProcessPool:
    """Up to `size` processes that call `entry`, a `module:function` from bytes to bytes.

    For one event loop. Leave it with `close`; processes end by themselves when their parent does.
    """

    def __init__(self, entry: str, *, size: int = 2, limits: ProcessLimits | None = None, idle_s: float = 60.0) -> None:
        self._entry = entry
        self._limits = limits or ProcessLimits()
        self._idle_s = idle_s
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Child] = []
        self._ended: list[_Child] = []
        self._timer: asyncio.TimerHandle | None = None

    async def call(self, request: bytes) -> bytes:
        """What the entry returns for the request; waits for a free process. Raises ProcessTroubleError.

        When the caller is cancelled, the process is killed.
        """
        async with self._slots:
            if self._idle:
                try:
                    return await self._call(self._idle.pop(), request)
                except ProcessTroubleError as trouble:
                    # It may have been the fault of what it did before, or it died while it was idle.
                    if trouble.kind not in {"memory", "crash", "start"}:
                        raise
            try:
                child = await _Child.start(self._entry, self._limits)
            except OSError as error:
                raise ProcessTroubleError("start", str(error)) from error
            return await self._call(child, request)

    async def close(self) -> None:
        """End the idle processes, and wait for the end of all that have been told to."""
        self._end_idle()
        ended, self._ended = self._ended, []
        for child in ended:
            await child.ended()

    async def _call(self, child: _Child, request: bytes) -> bytes:
        is_reusable = False
        try:
            async with asyncio.timeout(self._limits.wall_s):
                answer, is_reusable = await child.call(request)
            return answer
        except TimeoutError:
            raise ProcessTroubleError("wall") from None
        finally:
            if is_reusable:
                self._keep(child)
            else:
                self._end(child)

    def _keep(self, child: _Child) -> None:
        self._idle.append(child)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._end_idle)

    def _end_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        idle, self._idle = self._idle, []
        for child in idle:
            self._end(child)

    def _end(self, child: _Child) -> None:
        child.kill()
        self._ended = [other for other in self._ended if not other.is_gone]
        self._ended.append(child)


class _Child:
    """One process, from the parent's side."""

    def __init__(self, process: asyncio.subprocess.Process, limits: ProcessLimits) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._limits = limits

    @classmethod
    async def start(cls, entry: str, limits: ProcessLimits) -> _Child:
        """Raises OSError."""
        environ = process_environment()
        in_child = [limits.memory_bytes, limits.cpu_s, limits.n_calls, limits.growth_bytes]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-X", "utf8", "-c", _START),
            *(_import_path(), entry, json.dumps(in_child)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: environ[name] for name in _ENVIRONMENT if name in environ},
            start_new_session=True,  # Ctrl-C in a terminal is for the parent
            limit=_BUFFER_BYTES,
        )
        return cls(process, limits)

    async def call(self, request: bytes) -> tuple[bytes, bool]:
        """(answer, whether it can be called again). Raises ProcessTroubleError."""
        try:
            self._stdin.write(len(request).to_bytes(SIZE, "little") + request)
            await self._stdin.drain()
            kind = await self._stdout.readexactly(1)
            size = int.from_bytes(await self._stdout.readexactly(SIZE), "little")
            if size > self._limits.answer_bytes:
                raise ProcessTroubleError("output")
            body = await self._stdout.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._why_it_died() from error
        if kind == OUT_OF_MEMORY:
            raise ProcessTroubleError("memory")
        if kind == BUG:
            raise ProcessTroubleError("bug", body[:_TRACE_BYTES].decode(errors="replace"))
        return body, kind == OK

    @property
    def is_gone(self) -> bool:
        return self._process.returncode is not None

    def kill(self) -> None:
        """Tell it to end, in a way that it cannot refuse."""
        self._stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def _why_it_died(self) -> ProcessTroubleError:
        try:
            async with asyncio.timeout(_END_WITHIN_S):
                code = await self._process.wait()
        except TimeoutError:
            return ProcessTroubleError("crash", "it closed its output")
        if code == -signal.SIGXCPU:
            return ProcessTroubleError("cpu")
        # pdfium aborts when it gets no memory; the kernel kills what takes too much of the machine's.
        if code in (-signal.SIGABRT, -signal.SIGKILL):
            return ProcessTroubleError("memory", f"exit code {code}")
        return ProcessTroubleError("crash" if code < 0 else "start", f"exit code {code}")


def _import_path() -> str:
    """Where the child finds modules: where we do. "" in ours is the folder that we are in."""
    return json.dumps([str(Path(place).absolute()) for place in sys.path])
