"""The way out of the box, where the host has opened one: an HTTP proxy on loopback, whose other end is at the host.

Only bytes are passed here, as frames between the ones of the calls. Which host may be reached is the host's decision
and made there, so nothing in the box has to be trusted, and the box needs no network. Each direction of a connection
has at most a window's worth of bytes under way. Stdlib only; runs in the box, see runner.py.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable

from agentrt_frames import Frame

ADDRESS = ("127.0.0.1", 3128)
MAX_CONNECTIONS = 32
WINDOW_BYTES = 256 * 1024
_PIECE = 64 * 1024
_VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")

Send = Callable[..., None]


class Relay:
    """Listens; registers itself with the selector. send: a frame to the host."""

    def __init__(self, selector: selectors.BaseSelector, send: Send) -> None:
        self._selector = selector
        self._send = send
        self._connections: dict[int, _Connection] = {}
        self._n_made = 0
        self._listener = socket.create_server(ADDRESS)
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)
        # The worker is forked after this, and inherits them.
        for name in _VARIABLES:
            os.environ[name] = f"http://{ADDRESS[0]}:{ADDRESS[1]}"
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1"

    def handle(self, frame: Frame, raw: bytes) -> None:
        """A `net` frame of the host. One for a connection that is gone comes too late and means nothing."""
        connection = self._connections.get(frame["c"])
        if connection is None:
            return
        if frame["op"] == "data":
            connection.take(raw)
        elif frame["op"] == "ack":
            connection.acknowledge(frame["n"])
        elif frame["op"] == "close":
            connection.finish()

    def drop(self) -> None:
        """Another host has attached, who knows nothing of the connections."""
        for connection in list(self._connections.values()):
            connection.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            sock.close()
            return
        sock.setblocking(False)
        self._n_made += 1
        number = self._n_made
        self._connections[number] = _Connection(number, sock, self._selector, self._send, self._connections.pop)
        self._send("net", op="open", c=number)


class _Connection:
    """One accepted socket. forget: called with its number when it is over."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        send: Send,
        forget: Callable[[int], object],
    ) -> None:
        self._number = number
        self._sock = sock
        self._selector = selector
        self._send = send
        self._forget = forget
        self._n_under_way = 0  # sent to the host, not yet taken there
        self._waiting = b""  # from the host, not yet taken by the code
        self._can_read = True
        self._is_finishing = False
        self._events = 0
        self._watch()

    def take(self, data: bytes) -> None:
        if len(self._waiting) + len(data) > 2 * WINDOW_BYTES:
            raise ValueError("the host sends more than there is a window for")
        self._waiting += data
        self._write()

    def acknowledge(self, n_bytes: int) -> None:
        self._n_under_way -= n_bytes
        self._watch()

    def finish(self) -> None:
        """Close once the code has taken what is waiting for it."""
        self._is_finishing = True
        self._can_read = False
        self._write()

    def _ready(self) -> None:
        # Which of the two it is does not matter: both notice when there is nothing to do.
        if self._can_read and self._n_under_way < WINDOW_BYTES:
            self._read()
        if self._waiting and self._number:
            self._write()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        if data:
            self._n_under_way += len(data)
            self._send("net", data, op="data", c=self._number)
        else:
            self._can_read = False
            self._send("net", op="end", c=self._number)
        self._watch()

    def _write(self) -> None:
        if self._waiting:
            try:
                n_written = self._sock.send(self._waiting)
            except BlockingIOError:
                n_written = 0
            except OSError:
                self._break()
                return
            self._waiting = self._waiting[n_written:]
            if n_written and not self._is_finishing:
                self._send("net", op="ack", c=self._number, n=n_written)
        if self._is_finishing and not self._waiting:
            self.close()
        else:
            self._watch()

    def _break(self) -> None:
        """The code has torn it down."""
        self._send("net", op="close", c=self._number)
        self.close()

    def _watch(self) -> None:
        """Ask the selector for what can be done now."""
        events = selectors.EVENT_READ if self._can_read and self._n_under_way < WINDOW_BYTES else 0
        events |= selectors.EVENT_WRITE if self._waiting else 0
        if events == self._events:
            return
        if not self._events:
            self._selector.register(self._sock, events, self._ready)
        elif not events:
            self._selector.unregister(self._sock)
        else:
            self._selector.modify(self._sock, events, self._ready)
        self._events = events

    def close(self) -> None:
        if self._events:
            self._selector.unregister(self._sock)
        self._sock.close()
        self._forget(self._number)
        self._number = 0
        self._can_read = False
