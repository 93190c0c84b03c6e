"""The kernel of a monty sandbox: a process of its own that speaks the protocol of sandboxes/python/runner.py.

Monty runs the code in a worker process; what it needs from its host (files, output) is served here and not in the
service, so that whatever it makes its host do is done to a process that can be killed. Two threads: one listens to the
service, the other is inside monty while code runs. A worker that has to be stopped is killed; the next one starts
from the dump that was made after the last call.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import threading
from collections import deque
from contextlib import suppress
from importlib.metadata import version
from pathlib import PurePosixPath
from time import monotonic
from typing import Final

from agentrt_frames import BadFrame, Frame, FrameReader, clean
from agentrt_output import Output
from pydantic_monty import Monty, MontyCrashedError, MontyError, MontyRuntimeError, MontySyntaxError

from agentrt.sandbox.monty_files import ROOT, QuotaFiles
from agentrt.sandbox.monty_interpreter import Interpreter, Usage, usage_of

PROTOCOL: Final = 1
_MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_MAX_QUEUED: Final = 64
_MAX_RESULT_CHARS: Final = 64 * 1024
_MAX_TRACEBACK_CHARS: Final = 32 * 1024
_MAX_FILES: Final = 200
_ID_CHARS: Final = 64
_NEVER: Final = float("inf")
_CRASHED: Final = "crashed"


class Call:
    """One `exec`. reason: why it was stopped; kill_at: when it has to be."""

    def __init__(self, frame: Frame) -> None:
        self.id = clean(frame.get("id"), _ID_CHARS)
        self.code = str(frame["code"])
        self.timeout_s = _NEVER if frame.get("timeout") is None else float(frame["timeout"])
        self.kill_at = _NEVER
        self.reason = ""
        self.usage: Usage | None = None  # of the worker, just before it was killed


class Kernel:
    """stdin and stdout are the channel to the service."""

    def __init__(self, interpreter: Interpreter, disk_bytes: int) -> None:
        self._interpreter = interpreter
        self._files = QuotaFiles(disk_bytes)
        self._known: dict[PurePosixPath, int] = {}
        self._settings: Frame = {}
        self._heard_at = monotonic()
        self._sending = threading.Lock()
        self._state = threading.Condition()  # guards the four below
        self._queue: deque[Call] = deque()
        self._active: Call | None = None
        self._resets: list[str] = []
        self._variables = "kept"

    def serve(self) -> None:
        """Until the service says stop, hangs up, or is silent for the lease."""
        reader = FrameReader(max_line=_MAX_LINE_BYTES, max_raw=_MAX_LINE_BYTES)
        threading.Thread(target=self._run_calls, daemon=True).start()
        while True:
            if select.select([0], [], [], 0.05 if self._active else 1.0)[0]:
                data = os.read(0, 1 << 18)
                if not data:
                    return
                self._heard_at = monotonic()
                for frame, raw in reader.feed(data):
                    if frame["t"] == "stop":
                        return
                    self._handle(frame, raw)
            self._look_at_clock(monotonic())
            if self._settings and monotonic() > self._heard_at + float(self._settings["lease_s"]):
                return

    # --- the listening thread

    def _handle(self, frame: Frame, raw: bytes) -> None:
        kind, request = frame["t"], clean(frame.get("id"), _ID_CHARS)
        if kind == "attach":
            self._settings = frame
            active = self._active.id if self._active else None
            packages = [f"pydantic-monty-{version('pydantic-monty')}"]
            nonce = clean(frame.get("nonce"), _ID_CHARS)
            self._send(
                "hello",
                nonce=nonce,
                v=PROTOCOL,
                py=f"monty {version('pydantic-monty')}",
                packages=packages,
                active=active,
            )
        elif kind == "exec":
            with self._state:
                if len(self._queue) < _MAX_QUEUED:
                    self._queue.append(Call(frame))
                    self._state.notify()
                    return
            self._send("fail", id=request, code="busy", message="too many calls wait")
        elif kind == "interrupt":
            self._interrupt(frame.get("call"))
            self._send("ok", id=request)
        elif kind == "reset":
            with self._state:
                self._resets.append(request)
                if self._active:
                    self._stop(self._active, "interrupted")
                self._state.notify()
        elif kind == "ping":
            self._send("ok", id=request)
        else:
            self._answer_about_files(kind, request, frame, raw)

    def _interrupt(self, call_id: object) -> None:
        with self._state:
            if self._active is not None and self._active.id == call_id:
                self._stop(self._active, "interrupted")
            waiting = [call for call in self._queue if call.id == call_id]
            for call in waiting:
                self._queue.remove(call)
        for call in waiting:
            self._finish(call, {"status": "interrupted"}, started_at=monotonic(), output=None)

    def _stop(self, call: Call, reason: str) -> None:
        if not call.reason:
            call.reason = reason
            call.kill_at = _NEVER
            self._files.is_stopped.set()
            if self._interpreter.worker_pid is not None:
                call.usage = usage_of(self._interpreter.worker_pid)
                with suppress(ProcessLookupError):
                    os.kill(self._interpreter.worker_pid, signal.SIGKILL)

    def _look_at_clock(self, now: float) -> None:
        with self._state:
            if self._active is not None and now >= self._active.kill_at:
                self._stop(self._active, "timeout")

    def _answer_about_files(self, kind: str, request: str, frame: Frame, raw: bytes) -> None:
        try:
            if kind == "list":
                entries = [
                    {"path": _relative(path), "size": size, "mtime": self._files.versions[path] * 1_000_000_000}
                    for path, size in self._files
                ]
                self._send("files", json.dumps(entries).encode(), id=request)
                return
            path = ROOT / PurePosixPath(str(frame["path"]))
            if kind == "get":
                data = self._files.read(path, start=int(frame["offset"]), size=int(frame["size"]))
                self._send("data", data, id=request, size=self._files.path_stat(path).st_size)
                return
            if kind == "put":
                self._put(path, int(frame["offset"]), raw)
            elif kind == "del":
                self._files.remove(path)
                self._known.pop(path, None)
            else:
                raise PermissionError("no such request")
        except OSError as error:
            code = "not_found" if isinstance(error, FileNotFoundError) else "full" if "28" in str(error) else "refused"
            self._send("fail", id=request, code=code, message=str(error))
        else:
            self._send("ok", id=request)

    def _put(self, path: PurePosixPath, offset: int, data: bytes) -> None:
        if path.parent != ROOT:
            self._files.path_mkdir(path.parent, parents=True, exist_ok=True)
        self._files.write(path, data, at=offset or None)
        self._known[path] = self._files.versions[path]

    # --- the running thread

    def _run_calls(self) -> None:
        try:
            while True:
                self._run_next()
        except BaseException:  # the listening thread would wait for this one for ever
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _run_next(self) -> None:
        with self._state:
            self._state.wait_for(lambda: self._queue or self._resets)
            resets, self._resets = self._resets, []
            call = None if resets else self._queue.popleft()
            if call is not None:
                self._files.is_stopped.clear()
                self._active = call
                call.kill_at = monotonic() + call.timeout_s
        if call is not None:
            self._run(call)
        for request in resets:
            self._interpreter.forget()
            self._interpreter.revive()
            self._send("ok", id=request)

    def _run(self, call: Call) -> None:
        started_at = monotonic()
        before = usage_of(self._interpreter.worker_pid)
        output = Output(lambda *said: self._send_output(call, *said), int(self._settings["output_bytes"]))
        outcome = self._feed(call, output)
        after = call.usage or usage_of(self._interpreter.worker_pid)
        with self._state:  # from here on nobody stops it any more
            self._active = None
        outcome = {"status": call.reason} if call.reason else outcome
        is_dead = outcome["status"] == _CRASHED or bool(call.reason)
        if is_dead:
            self._revive()
        usage = {"cpu_ms": max(0.0, after.cpu_s - before.cpu_s) * 1000, "max_rss": after.peak_bytes}
        self._finish(call, outcome | usage, started_at=started_at, output=output)
        if not is_dead and not self._interpreter.freeze(int(self._settings["checkpoint_bytes"])):
            self._revive()

    def _feed(self, call: Call, output: Output) -> Frame:
        """Run the code; how it ended, as fields of `done`."""

        def on_print(stream: str, text: str) -> None:
            output.feed(stream, text.encode("utf-8", "backslashreplace"), 0.0)
            output.flush()

        try:
            value = self._interpreter.feed(call.code, files=self._files, on_print=on_print)
        except (MontyCrashedError, RuntimeError) as error:
            return {"status": _CRASHED, "error": _error(_CRASHED, str(error), "")}
        except MontyError as error:
            return _failure(error)
        return {"status": "ok", **({} if value is None else {"result": _shown(value)})}

    def _revive(self) -> None:
        self._variables = "restored" if self._interpreter.revive() else "lost"

    def _send_output(self, call: Call, stream: str, text: str, n_skipped: int) -> None:
        self._send("out", id=call.id, s=stream, d=text, skipped=n_skipped)

    def _finish(self, call: Call, outcome: Frame, *, started_at: float, output: Output | None) -> None:
        if output is not None:
            output.end()
            for path in self._news():
                content = self._files.read(path)
                digest = hashlib.sha256(content).hexdigest()
                self._send("file", id=call.id, path=_relative(path), size=len(content), sha256=digest)
        state, self._variables = self._variables, "kept"
        fields: Frame = {
            "cpu_ms": 0.0,
            "max_rss": 0,
            **outcome,
            "out_bytes": output.n_bytes if output else 0,
            "truncated": output.is_truncated if output else False,
            "ms": (monotonic() - started_at) * 1000,
        }
        self._send("done", id=call.id, state=state, **fields)

    def _news(self) -> list[PurePosixPath]:
        """The files that are new or different since the last time."""
        before, self._known = self._known, dict(self._files.versions)
        return [path for path, version in self._known.items() if before.get(path) != version][:_MAX_FILES]

    def _send(self, kind: str, raw: bytes | None = None, **fields: object) -> None:
        frame = {"t": kind, **fields} if raw is None else {"t": kind, **fields, "raw": len(raw)}
        data = memoryview(json.dumps(frame, separators=(",", ":")).encode("ascii") + b"\n" + (raw or b""))
        with self._sending:
            while data:
                data = data[os.write(1, data) :]


def _failure(error: MontyError) -> Frame:
    inner = error.exception()
    name, value = type(inner).__name__, str(inner)
    if name == "SystemExit":
        return {"status": "exit", "error": _error(name, value, "")}
    if isinstance(error, MontyRuntimeError | MontySyntaxError):
        return {"status": "error", "error": _error(name, value, error.display())}
    return {"status": "error", "error": _error(name, value, str(error))}


def _error(name: str, value: str, traceback: str) -> dict[str, str]:
    return {
        "name": name,
        "value": _cut(value, _MAX_TRACEBACK_CHARS),
        "traceback": _cut(traceback, _MAX_TRACEBACK_CHARS),
    }


def _shown(value: object) -> str:
    try:
        return _cut(repr(value), _MAX_RESULT_CHARS)
    except (RecursionError, MemoryError):
        return f"<{type(value).__name__} that is too deep to be shown>"


def _cut(text: str, limit: int) -> str:
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _relative(path: PurePosixPath) -> str:
    return str(path.relative_to(ROOT))


def main() -> None:
    """Arguments: memory_bytes and disk_bytes. Ends with the process."""
    memory_bytes, disk_bytes = map(int, sys.argv[1:3])
    with Monty(min_processes=1, max_processes=2) as pool:
        try:
            Kernel(Interpreter(pool, memory_bytes), disk_bytes).serve()
        except (BrokenPipeError, ConnectionResetError, BadFrame):
            os._exit(1)
        os._exit(0)
