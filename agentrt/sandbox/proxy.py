"""An HTTP proxy for one connection out of a sandbox: CONNECT, and plain requests with a whole URL; no decryption.

The connection comes through the kernel's channel (tunnel.py), so there is no port that anybody else could reach, and
the sandbox needs no network at all.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from agentrt.sandbox.allowed_hosts import AllowedHosts, RefusedHostError

MAX_HEAD_BYTES: Final = 32 * 1024
_HEAD_S: Final = 30.0
_CONNECT_S: Final = 15.0
_IDLE_S: Final = 120.0
_PIECE: Final = 64 * 1024
_REQUEST_LINE: Final = re.compile(r"([A-Z]{1,20}) (\S{1,8000}) HTTP/1\.[01]")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\.?", re.IGNORECASE)
# Between the client and this proxy, or promises that it does not keep; the first connection carries one request.
_OURS: Final = ("proxy-", "connection", "keep-alive", "te", "upgrade")


class Connection(Protocol):
    """One stream out of the sandbox."""

    async def read(self) -> bytes:
        """The next piece; b"" when the code has closed its side."""
        ...

    async def write(self, data: bytes) -> None:
        """Waits until the sandbox has taken enough. Raises ConnectionError when it has gone."""
        ...


class Request(msgspec.Struct, frozen=True):
    """Where the code wants to go. head: what is to be sent there first; b"" for CONNECT."""

    host: str
    port: int
    head: bytes


class BadRequestError(Exception):
    """What was sent is not a request to a proxy."""


async def serve(connection: Connection, allowed: AllowedHosts) -> str | None:
    """Read one request, and pass bytes both ways until either side ends. The refused host, for the log.

    Raises ConnectionError when the sandbox goes away; nothing for what the other side does.
    """
    try:
        async with asyncio.timeout(_HEAD_S):
            head, rest = await _head(connection)
        request = parse(head)
    except (BadRequestError, TimeoutError) as error:
        await _answer(connection, "400 Bad Request", str(error) or "no request came")
        return None
    try:
        addresses = await allowed.find(request.host, request.port)
    except RefusedHostError as refusal:
        await _answer(connection, "403 Forbidden", str(refusal))
        return request.host
    try:
        reader, writer = await _connect(addresses, request.port)
    except OSError:
        await _answer(connection, "502 Bad Gateway", f"{request.host}:{request.port} does not answer")
        return None
    try:
        if request.head:
            writer.write(request.head)
        else:
            await connection.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        writer.write(rest)
        await _pass_both_ways(connection, reader, writer)
    finally:
        writer.transport.abort()
    return None


def parse(head: bytes) -> Request:
    """The head of a request, with its blank line. Raises BadRequestError."""
    lines = head.decode("latin-1").split("\r\n")
    line = _REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        raise BadRequestError("not a request to a proxy")
    method, target = line.groups()
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        return Request(_checked(host), _port(port), b"")
    try:
        url = urlsplit(target)
        host, port = url.hostname or "", str(url.port or 80)
    except ValueError:  # a bracket without an end, a port that is none
        raise BadRequestError("not a URL") from None
    if url.scheme != "http" or url.username is not None:
        raise BadRequestError("only http:// here, CONNECT for everything else")
    path = url.path + (f"?{url.query}" if url.query else "")
    kept = [line for line in lines[1:] if line and not line.lower().startswith((*_OURS, "host:"))]
    authority = host if port == "80" else f"{host}:{port}"
    forward = [f"{method} {path or '/'} HTTP/1.1", f"Host: {authority}", *kept, "Connection: close", "", ""]
    return Request(_checked(host), _port(port), "\r\n".join(forward).encode("latin-1"))


def _checked(host: str) -> str:
    if _HOST.fullmatch(host) is None:
        raise BadRequestError("not the name of a host")
    return host


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise BadRequestError("not a port")
    return int(text)


async def _head(connection: Connection) -> tuple[bytes, bytes]:
    """Everything up to the blank line, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > MAX_HEAD_BYTES:
            raise BadRequestError("too long a request")
        piece = await connection.read()
        if not piece:
            raise BadRequestError("no request came")
        data += piece
    head, blank, rest = data.partition(b"\r\n\r\n")
    return head + blank, rest


async def _connect(addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first address that answers: by number, so that the name is not asked for a second time."""
    failure = OSError("no address")
    for address in addresses:
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await asyncio.open_connection(address, port, limit=_PIECE)
        except (OSError, TimeoutError) as error:
            failure = OSError(str(error))
    raise failure


async def _pass_both_ways(connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until both sides have ended, one has failed, or nothing has moved for two minutes."""

    async def up() -> None:
        while data := await connection.read():
            clock.reschedule(loop.time() + _IDLE_S)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    async def down() -> None:
        while data := await reader.read(_PIECE):
            clock.reschedule(loop.time() + _IDLE_S)
            await connection.write(data)
        # The other side has said everything: whatever the code still sends, nobody hears.
        ended.cancel()

    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError, BaseExceptionGroup):
        async with asyncio.timeout(_IDLE_S) as clock, asyncio.TaskGroup() as both:
            ended = both.create_task(up())
            both.create_task(down())


async def _answer(connection: Connection, status: str, why: str) -> None:
    body = f"{why}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    await connection.write(f"{head}Connection: close\r\n\r\n".encode("ascii") + body)
