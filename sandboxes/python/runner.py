"""The kernel of a Python sandbox: PID 1 of the box. Speaks the protocol on stdin and stdout, runs no code itself.

A supervisor that the code cannot stop. It passes on what comes out of the worker within bounds, interrupts and kills
in time, and lets the worker's sleeping copy take over when the worker is gone (agentrt_lineage.py).
Everything that the worker sends is the code's word and is checked here; the host checks it once more.

Host: attach, exec, interrupt, put, get, list, del, reset, ping, net, stop. Kernel: hello, out, display, file, done,
net; and ok, data, files or fail as answers with the request's id. A host that is gone is noticed by the lease.
Stdlib only, Python 3.9 or newer. The host sends these sources along when it starts a box (agentrt/sandbox/boot.py).
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import sys
from collections import deque
from time import monotonic

from agentrt_call import Call
from agentrt_files import Files, Refused
from agentrt_frames import BadFrame, Frame, FrameReader, FrameWriter, clean
from agentrt_lineage import BecameWorker, Lineage
from agentrt_processes import Death, clear, hide, kill_all_but, n_oom_kills, reap
from agentrt_relay import Relay
from agentrt_settings import Settings, about
from agentrt_watch import SCRATCH_FOLDERS, MemoryWatch

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_RAW_BYTES = 8 * 1024 * 1024
MAX_QUEUED = 64
_MAX_WAITING_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1 << 18
_ID_CHARS = 64
_NEVER = float("inf")


class Supervisor:
    """PID 1. One thread, one loop, which never waits for the worker or the host."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self._stdin = stdin
        self._requests = FrameReader(max_line=MAX_LINE_BYTES, max_raw=MAX_RAW_BYTES)
        self._host = FrameWriter(stdout)
        self._selector = selectors.DefaultSelector()
        self._settings: Settings
        self._lineage: Lineage | None = None
        self._files: Files
        self._relay: Relay | None = None
        self._watch: MemoryWatch
        self._nonce: str | None = None  # of an attach that waits for its hello
        self._resets: list[str] = []  # requests that wait for the fresh worker
        self._queue: deque[Call] = deque()
        self._active: Call | None = None
        self._state = "kept"  # of the variables, for the next `done`
        self._n_oom_kills = n_oom_kills()
        self._heard_at = monotonic()
        children, wakeup = os.pipe()
        for fd in (children, wakeup, stdin):
            os.set_blocking(fd, False)
        self._children = children
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._selector.register(stdin, selectors.EVENT_READ, self._read_host)
        self._selector.register(children, selectors.EVENT_READ, self._read_children)

    def serve(self) -> None:
        """Until the host says stop, hangs up, or is silent for the lease. Raises BecameWorker in a worker."""
        while True:
            self._settle()
            wait_s = self._wake_at() - monotonic()
            for key, _ in self._selector.select(None if wait_s == _NEVER else max(0.0, wait_s)):
                if key.fd in self._selector.get_map():  # an earlier callback of this round may have dropped it
                    key.data()
            self._look_at_clock(monotonic())

    def end(self) -> None:
        """Leave nobody behind where the end of PID 1 does not end everybody."""
        if self._lineage:
            kill_all_but(set(), self._lineage.worker.pid or 0)

    # --- the host's side

    def _read_host(self) -> None:
        data = os.read(self._stdin, _READ_BYTES)
        if not data:
            raise SystemExit
        self._heard_at = monotonic()
        for frame, raw in self._requests.feed(data):
            self._handle(frame, raw)

    def _write_host(self) -> None:
        self._host.flush()
        if not self._host.n_waiting:
            self._selector.unregister(self._host.fd)

    def _send(self, kind: str, raw: bytes | None = None, /, **fields: object) -> None:
        self._host.send(kind, fields, raw)
        if self._host.n_waiting and self._host.fd not in self._selector.get_map():
            self._selector.register(self._host.fd, selectors.EVENT_WRITE, self._write_host)

    def _handle(self, frame: Frame, raw: bytes) -> None:
        kind, request = frame["t"], clean(frame.get("id"), _ID_CHARS)
        if kind == "attach":
            self._attach(frame)
        elif kind == "exec":
            self._enqueue(Call(frame, request))
        elif kind == "interrupt":
            self._interrupt(frame.get("call"))
            self._send("ok", id=request)
        elif kind == "reset":
            self._reset(request)
        elif kind == "ping":
            self._send("ok", id=request)
        elif kind == "net":
            if self._relay:
                self._relay.handle(frame, raw)
        elif kind == "stop":
            raise SystemExit
        else:
            self._answer_about_files(kind, request, frame, raw)

    def _attach(self, frame: Frame) -> None:
        self._settings = settings = Settings(frame)
        self._nonce = clean(frame.get("nonce"), _ID_CHARS)
        if self._lineage is None:
            os.makedirs(settings.data, exist_ok=True)
            self._files = Files(settings.data)
            self._files.learn()
            self._watch = MemoryWatch(settings.watch_bytes, settings.data)
            if settings.network:
                self._relay = Relay(self._selector, self._send)
            self._lineage = Lineage(self._selector, settings.data, settings.checkpoint_bytes)
            self._lineage.start(self._read_worker)
        else:  # taken over: perhaps in the middle of a call
            if self._relay:
                self._relay.drop()
            self._hello(self._nonce)

    def _hello(self, nonce: str) -> None:
        self._nonce = None
        active = self._active.id if self._active else None
        self._send("hello", nonce=nonce, active=active, **about())

    def _enqueue(self, call: Call) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self._send("fail", id=call.id, code="busy", message="too many calls wait")
        else:
            self._queue.append(call)

    def _interrupt(self, call_id: object) -> None:
        active = self._active
        if active is not None and active.id == call_id:
            self._stop(active, "interrupted")
        for call in [call for call in self._queue if call.id == call_id]:
            self._queue.remove(call)
            self._send("done", id=call.id, **call.never_ran())

    def _reset(self, request: str) -> None:
        if self._active:
            self._active.reason = self._active.reason or "interrupted"
            self._finish_dead(None)
        if self._lineage:
            self._start_afresh(self._lineage)
        self._state = "kept"
        self._resets.append(request)

    def _answer_about_files(self, kind: str, request: str, frame: Frame, raw: bytes) -> None:
        try:
            if self._host.n_waiting > _MAX_WAITING_BYTES:
                raise Refused("busy", "answers are not fetched")
            answer, fields, data = self._files.answer(kind, frame, raw)
            self._send(answer, data, id=request, **fields)
        except Refused as refusal:
            self._send("fail", id=request, code=refusal.code, message=str(refusal))

    # --- the worker's side

    def _settle(self) -> None:
        """Do what had to wait until the worker can take a call."""
        lineage = self._lineage
        if lineage is None or not lineage.is_ready:
            return
        if self._nonce is not None:
            self._hello(self._nonce)
        for request in self._resets:
            self._send("ok", id=request)
        self._resets.clear()
        if self._active is None and self._queue:
            self._active = call = self._queue.popleft()
            call.begin(self._send_output, self._settings.output_bytes, self._n_oom_kills)
            lineage.run(call.code)

    def _read_worker(self) -> None:
        """Both pipes and the control socket: what was printed before a frame goes before it."""
        assert self._lineage is not None
        frames, is_alive = self._lineage.read()
        self._pass_output(everything=bool(frames))
        for frame, raw in frames:
            self._handle_worker(frame, raw)
        if not is_alive:
            self._lose_worker(self._lineage.await_death())

    def _pass_output(self, *, everything: bool) -> None:
        assert self._lineage is not None
        now = monotonic()
        for stream, data in self._lineage.read_outputs(everything=everything):
            if self._active is not None:  # what a thread prints between two calls belongs to none
                self._active.output.feed(stream, data, now)

    def _handle_worker(self, frame: Frame, raw: bytes) -> None:
        call, lineage, kind = self._active, self._lineage, frame["t"]
        assert lineage is not None
        if call is None or not lineage.is_of_this_call(frame):
            call = None
        if kind == "display":
            if call is not None and call.takes_display(raw):
                call.output.flush()
                self._send("display", raw, id=call.id, mime=clean(frame.get("mime"), 100))
            lineage.confirm(frame)  # whatever has become of it: the code goes on when this comes
        elif kind == "done" and call is not None:
            self._finish(call, call.told_by_worker(frame))
            lineage.worker.cpu_ms += call.cpu_ms
            lineage.order_copy_soon()

    def _send_output(self, call_id: str, stream: str, text: str, n_skipped: int) -> None:
        skipped = {"skipped": n_skipped} if n_skipped else {}
        self._send("out", id=call_id, s=stream, d=text, **skipped)

    def _finish(self, call: Call, fields: dict[str, object]) -> None:
        """The call is over: the rest of its output, the files that it wrote, and `done`."""
        self._active = None
        call.output.end()
        for path, size, digest in self._files.changed():
            self._send("file", id=call.id, path=path, size=size, sha256=digest)
        state, self._state = self._state, "kept"
        self._send("done", id=call.id, **fields, **call.counts(), state=state)
        self._n_oom_kills = n_oom_kills()

    # --- the end of a worker

    def _read_children(self) -> None:
        try:
            os.read(self._children, 4096)
        except BlockingIOError:
            return
        self._note(reap())

    def _note(self, deaths: list[Death]) -> None:
        for death in deaths:
            if self._lineage is not None and self._lineage.note_death(death):
                self._lose_worker(death)

    def _stop(self, call: Call, reason: str) -> None:
        """Ask the code to end; if it does not, kill it a moment later."""
        assert self._lineage is not None
        if not call.reason:
            call.reason = reason
            call.kill_at = monotonic() + self._settings.grace_s
            self._lineage.interrupt()

    def _lose_worker(self, death: Death | None) -> None:
        """The worker is gone, or of no use any more: its copy or a fresh one goes on."""
        assert self._lineage is not None
        call = self._active
        if call is not None and not self._lineage.has_begun and not call.is_retry and not call.reason:
            # It died before the code could begin: by what an earlier call left behind. Once more, on a clean one.
            if self._lineage.has_older_copy:
                self._lineage.kill()
                self._revive(self._lineage)
            else:
                self._start_afresh(self._lineage)
                self._state = "lost"
            self._active = None
            self._queue.appendleft(call.again())
        elif call is not None:
            self._finish_dead(death)
        else:
            self._lineage.kill()
            self._revive(self._lineage)

    def _finish_dead(self, death: Death | None) -> None:
        """End the active call, whose worker died or has to."""
        call, lineage = self._active, self._lineage
        assert call is not None
        assert lineage is not None
        worker = lineage.worker
        deaths = lineage.kill()
        self._pass_output(everything=True)
        self._revive(lineage)
        death = death or next((one for one in deaths if one.pid == worker.pid), None)
        self._finish(call, call.told_by_death(death, worker.cpu_ms))

    def _revive(self, lineage: Lineage) -> None:
        has_variables = lineage.revive()
        if self._state != "lost":
            self._state = "restored" if has_variables else "lost"

    @staticmethod
    def _start_afresh(lineage: Lineage) -> None:
        lineage.forget()
        lineage.kill()
        lineage.revive()

    # --- time

    def _wake_at(self) -> float:
        """When something is due even if nothing happens."""
        if self._lineage is None:
            return _NEVER
        lineage = self._lineage
        moments = [self._heard_at + self._settings.lease_s, lineage.order_at, lineage.copy_by, self._watch.due]
        if self._active:
            moments += self._active.moments()
        return min(moments)

    def _look_at_clock(self, now: float) -> None:
        if self._lineage is None:
            return
        if now >= self._heard_at + self._settings.lease_s:
            raise SystemExit
        self._look_at_call(now, self._lineage)
        if now >= self._watch.due:
            self._watch_memory()

    def _look_at_call(self, now: float, lineage: Lineage) -> None:
        call = self._active
        if now >= lineage.order_at:
            lineage.order_copy()
        if now >= lineage.copy_by:
            lineage.give_up_copy()
            if not lineage.is_ready:
                self._lose_worker(None)
        if call is None:
            return
        if now >= call.output.due:
            call.output.flush()
        if now >= call.kill_at:
            self._finish_dead(None)
        elif now >= call.start_by:
            call.start_by = _NEVER
            if not lineage.has_begun:
                self._lose_worker(None)
        elif now >= call.interrupt_at:
            call.interrupt_at = _NEVER
            self._stop(call, "timeout")

    def _watch_memory(self) -> None:
        assert self._lineage is not None
        is_full = self._watch.is_hopeless()
        if is_full or self._watch.is_too_much(is_busy=self._active is not None):
            if self._active:
                self._active.reason = "oom"
                self._finish_dead(None)
            else:
                self._lose_worker(None)
        if is_full:
            clear(SCRATCH_FOLDERS)
            if self._watch.is_hopeless():
                raise SystemExit


def main() -> None:
    """Be the kernel; ends with the process."""
    hide()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # PID 1 does not get what it has no handler for
    supervisor = Supervisor(0, 1)
    gc.collect()
    gc.freeze()
    try:
        supervisor.serve()
    except BecameWorker as became:
        worker = became.worker
    except (SystemExit, BrokenPipeError, ConnectionResetError, BadFrame):
        supervisor.end()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        supervisor.end()
        os._exit(1)
    del supervisor
    worker.serve()


if __name__ == "__main__":
    main()
