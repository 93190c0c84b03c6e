"""The worker's end of the line to runner.py: what it is told, what it says, and the copies that it announces.

The code shares this process: what is needed here is therefore taken aside, as in agentrt_worker.py. Stdlib only; runs
in the box, see runner.py.
"""

from __future__ import annotations

import builtins
import marshal
import os
import select
import signal
import socket
import sys
import types
from _thread import RLock
from json.encoder import encode_basestring_ascii as quote
from time import monotonic, monotonic_ns
from typing import Any

# As in agentrt_worker.py: copies that the code cannot reach.
globals()["__builtins__"] = dict(vars(builtins))
for _name, _module in {
    "marshal": marshal,
    "os": os,
    "select": select,
    "signal": sys.modules["_signal"],
    "socket": socket,
}.items():
    _aside = types.ModuleType(_name)
    _aside.__dict__.update(_module.__dict__)
    globals()[_name] = _aside

_RECEIPT_S = 2.0  # runner.py never waits for anybody: where this is not enough, order is the least of all worries
_RECEIPT_BYTES = 64


class Control:
    """frames: from and to runner.py. births: there a copy announces itself, and receipts for displays come back.

    Receipts are datagrams and have a way of their own: what a signal of the code's makes of waiting for one tears no
    frame apart.
    """

    def __init__(self, frames: socket.socket, births: socket.socket) -> None:
        self._frames = frames
        self._births = births
        # Of those who send: threads of the code may display. Again for a signal's handler that does, in the main one.
        self._turn = RLock()

    def receive(self) -> dict[str, Any]:
        """The next frame of runner.py, which is trusted: four bytes of length, then marshal. Ends with its end."""
        size = int.from_bytes(self._take(4), "big")
        frame: dict[str, Any] = marshal.loads(self._take(size))
        return frame

    def is_silent(self) -> bool:
        """Whether nothing waits to be received."""
        try:
            self._frames.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        return False

    def send(self, line: str) -> None:
        with self._turn:
            self._frames.sendall(line.encode("ascii") + b"\n")

    def display(self, number: int, mime: str, data: bytes) -> None:
        """Send one, and wait until runner.py has it: what is printed next goes another way, and would overtake it.

        An interrupt comes right after: of half a frame nobody could make anything, nor of what follows it.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        try:
            with self._turn:
                receipt = f"{monotonic_ns()}"
                line = f'{{"t":"display","n":{number},"mime":{quote(mime)},"receipt":"{receipt}","raw":{len(data)}}}\n'
                self._frames.sendall(line.encode("ascii") + data)
                self._await_receipt(receipt.encode("ascii"))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def announce(self, order: int, *descriptors: int) -> None:
        """A copy with its end of a line of its own, or that none could be made."""
        # Not send_fds, which imports something: the code may have broken that.
        sent = [descriptor.to_bytes(4, sys.byteorder) for descriptor in descriptors]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, each) for each in sent]
        self._births.sendmsg([b"%d" % order], rights)

    def begin_line_of_copy(self, order: int) -> None:
        """In the copy: announce it, and listen to nothing but its own line from here on."""
        ours, theirs = socket.socketpair()
        self.announce(order, theirs.fileno())
        theirs.close()
        self._frames.close()
        self._frames = ours
        self._turn = RLock()  # a thread that had it when the copy was made is not in the copy

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._frames.recv(min(size - len(data), 1 << 20))
            if not piece:
                os._exit(0)
            data += piece
        return data

    def _await_receipt(self, receipt: bytes) -> None:
        """Until it comes, runner.py is gone, or a moment has passed. Older ones may come first, of waits given up."""
        deadline = monotonic() + _RECEIPT_S
        try:
            poll = select.poll()
            poll.register(self._births, select.POLLIN)
            poll.register(self._frames, 0)  # tells only that the other end is gone
            while (left_s := deadline - monotonic()) > 0:
                ready = dict(poll.poll(left_s * 1000))
                if self._frames.fileno() in ready:
                    return
                if ready and self._births.recv(_RECEIPT_BYTES, socket.MSG_DONTWAIT) == receipt:
                    return
        except (OSError, ValueError):  # the code has closed what is none of its business
            return
