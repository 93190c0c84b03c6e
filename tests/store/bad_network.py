"""A stand-in for a bad network between agentrt and PostgreSQL: it cuts connections, around a COMMIT above all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias

SOCKET = ".s.PGSQL.5432"


Moment: TypeAlias = Literal["before", "after", "late"]
"""When the client loses its connection: before the server hears of the COMMIT, after it has committed, or while the
COMMIT is still on its way."""


class BadNetwork:
    """Forwards a Unix socket. cut_next: cut at the next COMMIT. hold_next: let the next COMMIT take its time."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self.cut_next: Moment | None = None
        self.n_cuts = 0
        self.hold_next = False
        self.is_holding = asyncio.Event()
        self._clients: list[asyncio.StreamWriter] = []
        self._half_open: list[asyncio.StreamWriter] = []
        self._is_abandoning = False

    def abandon(self) -> None:
        """Cut every client off, and leave the server in the belief that they are there."""
        self._is_abandoning = True
        for client in self._clients:
            client.transport.abort()

    async def close(self) -> None:
        """Let the server know."""
        for writer in self._half_open:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection."""
        server_reader, server_writer = await asyncio.open_unix_connection(self._server / SOCKET)
        answers = asyncio.ensure_future(self._forward(server_reader, writer))
        self._clients.append(writer)
        try:
            while data := await reader.read(65536):
                if self.cut_next is not None and b"COMMIT" in data:
                    moment, self.cut_next = self.cut_next, None
                    self.n_cuts += 1
                    answers.cancel()
                    await self._cut(moment, data, server_reader, server_writer, writer)
                    break
                if self.hold_next and b"COMMIT" in data:
                    self.hold_next = False
                    self.is_holding.set()
                    await asyncio.sleep(0.1)
                server_writer.write(data)
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            writer.close()
            if self._is_abandoning:
                self._half_open.append(server_writer)
            else:
                server_writer.close()

    async def _cut(
        self,
        moment: Moment,
        data: bytes,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        await asyncio.sleep(0)  # the answers have stopped
        if moment == "late":
            writer.close()
            await asyncio.sleep(0.2)
        if moment != "before":
            server_writer.write(data)
            await server_reader.read(65536)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def bad_network(server: Path, folder: Path) -> AsyncIterator[BadNetwork]:
    """A network that listens in `folder` for the server whose socket is in `server`."""
    network = BadNetwork(server)
    async with await asyncio.start_unix_server(network.serve, folder / SOCKET):
        yield network
        await network.close()
