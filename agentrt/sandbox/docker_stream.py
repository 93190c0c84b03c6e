"""A container's stdin and stdout as one plain socket, whatever the engine is reached by.

`docker` hands out the connection of an HTTP answer: a socket file for Unix sockets and TCP, an SSL object, a named
pipe or an SSH channel. What asyncio cannot read is bridged by a thread. Blocks: call it in a thread.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from docker import APIClient

_READ_BYTES: Final = 1 << 16
_WRITE_S: Final = 300.0
_PARAMS: Final = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}


def attach(client: APIClient, container: str) -> tuple[socket.socket, bytes]:
    """The stream, and the bytes of it that the HTTP client has read beyond its answer (docker-py #1770, #2466)."""
    stream: Any = client.attach_socket(container, params=dict(_PARAMS))
    plain = getattr(stream, "_sock", None)
    if type(plain) is not socket.socket:
        return _bridged(stream), b""
    duplicate = socket.socket(fileno=os.dup(plain.fileno()))
    duplicate.setblocking(False)  # of the connection itself: both share it
    response = stream._response
    buffered: bytes = response.raw._fp.fp.peek()
    response.close()
    return duplicate, buffered


def _bridged(stream: Any) -> socket.socket:
    """A socketpair whose far end is pumped to and from the stream until either side hangs up."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=_pump, args=(stream, theirs), name="agentrt-attach", daemon=True).start()
    return ours


def _pump(stream: Any, plain: socket.socket) -> None:
    """In one thread: an SSL object may not be read and written by two at once."""
    with plain, suppress(OSError):
        while True:
            has_more = getattr(stream, "pending", int)()  # decrypted already, so that select does not see it
            ready = select.select([stream, plain], [], [], 0 if has_more else None)[0]
            if (has_more or stream in ready) and not _pass_on(stream, plain):
                break
            if plain in ready and not _pass_on(plain, stream):
                break
    stream.close()
    response = getattr(stream, "_response", None)  # holds an SSL connection open, as a file of it
    if response is not None:
        response.close()


def _pass_on(source: Any, target: Any) -> bool:
    """One piece; False at the end."""
    source.settimeout(0.0)
    try:
        data = source.recv(_READ_BYTES)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    finally:
        source.settimeout(_WRITE_S)
    target.settimeout(_WRITE_S)
    target.sendall(data)
    return bool(data)
