"""A line of workers: the one that runs the code, and its sleeping copy that inherits the variables when it is gone.

Forks, wakes and kills; knows nothing of calls. Stdlib only; runs in the box, see runner.py.
"""

from __future__ import annotations

import gc
import marshal
import mmap
import os
import select
import selectors
import signal
import socket
import struct
from collections.abc import Callable
from time import monotonic, sleep

from agentrt_control import Control
from agentrt_frames import BadFrame, Frame, FrameReader, clean
from agentrt_processes import Death, kill_all_but, max_processes, n_processes, reap, show
from agentrt_worker import Worker

_READ_BYTES = 1 << 16
_MAX_PIPE_BYTES = 1 << 20  # that the code can have Linux make of one
_MAX_LINE_BYTES = 1 << 20
_COPY_S = 5.0
_LATE_COPY_S = 1.0
_AFTER_ANSWER_S = 0.003
_HANG_UP_S = 0.2
_NICENESS = 10
_CROWD = 32
_RECEIPT_CHARS = 20
_TELL_S = 1.0  # it reads as soon as it runs; who does not is broken
_NEVER = float("inf")
_PEER_CREDENTIALS = struct.Struct("3i")


class BecameWorker(Exception):
    """Raised in the forked child, so that nothing of the supervisor's stack is left under the code."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker = worker


class Process:
    """One end of a socket to a worker or to its copy. pid: None where the system does not say who has the other."""

    def __init__(self, control: socket.socket, pid: int | None) -> None:
        control.setblocking(False)
        self.control = control
        self.pid = pid
        self.cpu_ms = 0.0  # that its calls have been charged with

    def tell(self, frame: Frame) -> bool:
        """Send a frame; False when nobody takes it any more."""
        body = marshal.dumps(frame, 2)
        data = len(body).to_bytes(4, "big") + body
        try:
            n_sent = self.control.send(data)
        except BlockingIOError:
            n_sent = 0
        except OSError:
            return False
        return n_sent == len(data) or self._tell_slowly(data[n_sent:])

    def _tell_slowly(self, data: bytes) -> bool:
        """More than the socket takes at once."""
        self.control.settimeout(_TELL_S)
        try:
            self.control.sendall(data)
        except OSError:
            return False
        finally:
            self.control.setblocking(False)
        return True


class Lineage:
    """on_readable is called when something of the worker can be read: then call `read`."""

    def __init__(self, selector: selectors.BaseSelector, data: str, checkpoint_bytes: int) -> None:
        self.is_ready = False  # the worker can take a call
        self.order_at = _NEVER  # when to order the copy of what the last call has left
        self.copy_by = _NEVER  # when a copy that was ordered is not to be expected any more
        self.worker: Process
        self._n_orders = 0
        # Where copies announce themselves: not on the worker's own socket, which it may be writing to at that moment.
        self._births: socket.socket | None = None
        self._max_processes = max_processes()
        self._begun = mmap.mmap(-1, mmap.PAGESIZE)
        self._selector = selector
        self._data = data
        self._checkpoint_bytes = checkpoint_bytes
        self._spare: Process | None = None
        self._spare_order = 0  # of which it is
        self._reader: FrameReader
        self._outputs: dict[int, str] = {}

    def start(self, on_readable: Callable[[], None]) -> None:
        """Fork a worker without any variables. Raises BecameWorker in the child."""
        self._on_readable = on_readable
        self._forget_outputs()
        self._forget_births()
        ours, theirs = socket.socketpair()
        # Of its own as well: the code may have hung up on the one of the worker before it.
        births, births_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        stdout, stderr = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            self._selector.close()
            ours.close()
            raise BecameWorker(self._child(theirs, births_far, stdout[1], stderr[1]))
        theirs.close()
        births_far.close()
        births.setblocking(False)
        self._births = births
        self._selector.register(births, selectors.EVENT_READ, self._read_births)
        for (read_end, write_end), name in ((stdout, "stdout"), (stderr, "stderr")):
            os.close(write_end)
            os.set_blocking(read_end, False)
            self._outputs[read_end] = name
            self._selector.register(read_end, selectors.EVENT_READ, on_readable)
        self.is_ready = False  # until it has shown that it works
        self._adopt(Process(ours, pid))

    def kill(self) -> list[Death]:
        """Kill everything but the sleeping copy. `revive` has to follow; what was printed can be read before that."""
        self._await_copy()
        deaths = kill_all_but(_pids(self._spare), self.worker.pid or 0)
        self._selector.unregister(self.worker.control)
        self.worker.control.close()
        return deaths

    def revive(self) -> bool:
        """Wake the copy, or start afresh. True: the variables are still there."""
        spare, self._spare = self._spare, None
        if spare is not None:
            self._adopt(spare)  # the order of a copy wakes it
            if self.copy_by != _NEVER:
                return True
            self._selector.unregister(spare.control)
            spare.control.close()
        self.start(self._on_readable)
        return False

    @property
    def has_older_copy(self) -> bool:
        """The last call left a worker of which no copy could be made. This one is from before that call."""
        return self._spare is not None and self._spare_order == self._n_orders - 1

    def give_up_copy(self) -> None:
        """The one that was ordered will not come: the worker hangs, or is dead. One from before its call will do."""
        self.copy_by = _NEVER
        if self._spare_order < self._n_orders - 1:
            self.forget()

    def forget(self) -> None:
        """Have no copy: the next `revive` starts afresh."""
        self.copy_by = _NEVER
        if self._spare is not None:
            self._spare.control.close()
            self._spare = None

    def read(self) -> tuple[list[tuple[Frame, bytes]], bool]:
        """What the worker has sent; False: it has hung up, or sends what is no frame."""
        frames: list[tuple[Frame, bytes]] = []
        try:
            data = self.worker.control.recv(_READ_BYTES)
            frames.extend(self._reader.feed(data))
        except BlockingIOError:
            return [], True
        except (OSError, BadFrame):
            return frames, False
        return frames, bool(data)

    def read_outputs(self, *, everything: bool) -> list[tuple[str, bytes]]:
        """What was printed: one piece of each pipe, or all that stood there, and not what is written meanwhile."""
        pieces = []
        for fd, name in list(self._outputs.items()):
            for _ in range(_MAX_PIPE_BYTES // _READ_BYTES if everything else 1):
                try:
                    data = os.read(fd, _READ_BYTES)
                except BlockingIOError:
                    break
                if not data:  # closed by everybody who had it
                    self._selector.unregister(fd)
                    os.close(fd)
                    del self._outputs[fd]
                    break
                pieces.append((name, data))
        return pieces

    def confirm(self, display: Frame) -> None:
        """Send the receipt that the worker waits for. It is lost on one that does not take it: no harm to others."""
        receipt = clean(display.get("receipt"), _RECEIPT_CHARS)
        if self._births is not None:
            try:
                self._births.send(receipt.encode("utf-8"))
            except OSError:
                return

    def interrupt(self) -> None:
        """SIGINT to the worker and to the programs that it has started and waits for.

        A crowd is killed first: it would not leave the worker the time to hear of it, and stay behind it.
        """
        if self.worker.pid is None:
            return
        if n_processes() > _CROWD:
            self._await_copy()
            kill_all_but(_pids(self.worker, self._spare), self.worker.pid)
        try:
            os.killpg(os.getpgid(self.worker.pid), signal.SIGINT)
        except (ProcessLookupError, PermissionError):
            return

    @property
    def has_begun(self) -> bool:
        """Whether the code of the present call has begun: by the worker's word, which only matters to itself."""
        return self._begun[0] != 0

    def run(self, code: str) -> bool:
        if self.order_at != _NEVER:
            self.order_copy()
        self._begun[0] = 0
        return self.worker.tell({"t": "exec", "code": code, "n": self._n_orders})

    def is_of_this_call(self, frame: Frame) -> bool:
        """Not what the code has made up, nor what an earlier call still had to say."""
        return bool(frame.get("n") == self._n_orders)

    def order_copy_soon(self) -> None:
        """At `order_at`, or before the next call. At once it would take the processor from what carries the answer."""
        self.order_at = monotonic() + _AFTER_ANSWER_S

    def order_copy(self) -> None:
        """Have the worker copied as it is now; its next call need not wait for that. (When a call's end is told.)"""
        self.order_at = _NEVER
        if self.copy_by != _NEVER:
            self._read_births()  # the one from before this call may have come at the same moment as its end
        self._n_orders += 1
        is_heard = self.worker.tell({"t": "freeze", "n": self._n_orders})
        self.copy_by = monotonic() + _COPY_S if is_heard else _NEVER

    def await_death(self) -> Death | None:
        """The worker has hung up: a moment later it is dead, if it ended and did not just close its socket."""
        deadline = monotonic() + _HANG_UP_S
        while monotonic() < deadline:
            for death in reap():
                if self.note_death(death):
                    return death
            sleep(0.001)
        return None

    def note_death(self, death: Death) -> bool:
        """Whether it was the worker's."""
        if self._spare is not None and death.pid == self._spare.pid:
            self._spare.control.close()
            self._spare = None
        return death.pid == self.worker.pid

    def _adopt(self, process: Process) -> None:
        self.worker = process
        self._reader = FrameReader(max_line=_MAX_LINE_BYTES, max_raw=1 << 24)
        self._selector.register(process.control, selectors.EVENT_READ, self._on_readable)
        self.order_copy()

    def _read_births(self) -> None:
        """A copy of the worker as it was at the last order, whose socket comes along, or none that can be made."""
        if self._births is None:
            return
        try:
            data, fds, _, _ = socket.recv_fds(self._births, 64, 4)
        except OSError:
            return
        if not data and not fds:  # hung up on by the code: there will be no copies until there is a fresh worker
            self._forget_births()
        control = _socket_of(fds.pop()) if fds else None
        for fd in fds:
            os.close(fd)
        if data == b"%d" % self._n_orders:
            self.forget()  # the old one ends itself when its socket is closed
            self._spare = Process(control, _peer_pid(control)) if control else None
            self._spare_order = self._n_orders
            self.is_ready = True
        elif control is not None:
            control.close()  # of an order that is not in force any more

    def _await_copy(self) -> None:
        """One that was ordered is on its way, whatever has become of the worker since: it must not be killed."""
        deadline = min(self.copy_by, monotonic() + _LATE_COPY_S)
        while self.copy_by != _NEVER:
            wait_s = deadline - monotonic()
            if wait_s <= 0 or not self._births or not select.select([self._births], [], [], wait_s)[0]:
                self.give_up_copy()
                return
            self._read_births()

    def _forget_outputs(self) -> None:
        for fd in self._outputs:
            self._selector.unregister(fd)
            os.close(fd)
        self._outputs.clear()

    def _forget_births(self) -> None:
        if self._births is not None:
            self._selector.unregister(self._births)
            self._births.close()
            self._births = None

    def _child(self, control: socket.socket, births: socket.socket, stdout: int, stderr: int) -> Worker:
        os.setsid()
        os.nice(_NICENESS)  # else a hundred busy processes would leave the supervisor no time to stop them
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        _close_all_but({control.fileno(), births.fileno(), stdout, stderr})
        show()
        _enter(self._data)
        gc.collect()
        limits = (self._checkpoint_bytes, self._max_processes)
        return Worker(Control(control, births), (stdout, stderr), self._begun, limits)


def _pids(*processes: Process | None) -> set[int]:
    return {process.pid for process in processes if process is not None and process.pid is not None}


def _enter(folder: str) -> None:
    """Even if the code has taken the rights to its own folder away: it is ours, too."""
    try:
        os.chdir(folder)
    except OSError:
        os.chdir("/")
        try:
            os.chmod(folder, 0o755)
            os.chdir(folder)
        except OSError:
            return


def _socket_of(fd: int) -> socket.socket | None:
    """None when the code has sent something else along."""
    try:
        return socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        return None


def _peer_pid(control: socket.socket) -> int | None:
    """Who made the socket's other end: the word of the system, not of the code. Nobody, if that is this process."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid: int = _PEER_CREDENTIALS.unpack(control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid if pid not in (0, os.getpid()) else None


def _close_all_but(keep: set[int]) -> None:
    """Everything that the supervisor had open; 0, 1 and 2 are replaced soon."""
    for found in gc.get_objects():
        if isinstance(found, socket.socket) and found.fileno() not in keep:
            found.detach()  # else it would close, when it is collected, whatever has its number by then
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for fd in [int(name) for name in os.listdir(folder)]:
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:  # the folder's own
                continue
