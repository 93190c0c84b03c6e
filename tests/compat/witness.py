"""A proxy that lets every byte pass and writes down what was said: any client, of any language, can be held to the
contract with it. What it has seen is judged by wire_rules.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import h11

_CHUNK = 65536


@dataclass(slots=True)
class Exchange:
    """One request and its answer. Header names are in lower case. is_whole: the answer came to its end."""

    method: str
    target: str
    request_headers: dict[str, str]
    request_body: bytes = b""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.target} → {self.status}"


class Witness:
    """Listens on a free port of 127.0.0.1 and passes everything on to `port`. Methods run on the servers' loop."""

    def __init__(self, port: int) -> None:
        self.exchanges: list[Exchange] = []
        self.url = ""
        self._target = port
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._open)
        for writer in self._open.values():
            writer.close()  # its reader is at the end then, and the task goes home by itself
        await asyncio.gather(*tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._pass_on(reader, writer)
        finally:
            del self._open[task]
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            return
        tape = _Tape(self.exchanges)
        pumps = [
            asyncio.ensure_future(_pump(reader, there_writer, tape.asked)),
            asyncio.ensure_future(_pump(there_reader, writer, tape.answered)),
        ]
        try:
            # Whoever hangs up first, the other one shall notice.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there_writer.close()
            writer.close()
            await asyncio.gather(*pumps)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    try:
        while data := await reader.read(_CHUNK):
            note(data)
            writer.write(data)
            await writer.drain()
        note(b"")
    except ConnectionError:
        return


class _Tape:
    """Reads both directions of one keep-alive connection; requests are not pipelined."""

    def __init__(self, exchanges: list[Exchange]) -> None:
        self._exchanges = exchanges
        self._exchange: Exchange | None = None
        self._is_asked = False
        self._requests = h11.Connection(h11.SERVER)
        self._answers = h11.Connection(h11.CLIENT)

    def asked(self, data: bytes) -> None:
        self._requests.receive_data(data)
        while True:
            event = self._requests.next_event()
            match event:
                case h11.Request():
                    self._exchange = Exchange(event.method.decode(), event.target.decode(), _headers(event))
                    self._exchanges.append(self._exchange)
                    self._answers.send(event)
                case h11.Data():
                    assert self._exchange is not None
                    self._exchange.request_body += bytes(event.data)
                case h11.EndOfMessage():
                    self._is_asked = True
                    self._go_on()
                    return
                case _:
                    return

    def answered(self, data: bytes) -> None:
        if self._exchange is None:
            return
        self._answers.receive_data(data)
        while True:
            event = self._answers.next_event()
            match event:
                case h11.Response():
                    self._exchange.status = event.status_code
                    self._exchange.headers = _headers(event)
                case h11.Data():
                    self._exchange.body += bytes(event.data)
                case h11.EndOfMessage():
                    self._exchange.is_whole = True
                    self._go_on()
                    return
                case h11.InformationalResponse():
                    continue
                case _:
                    return

    def _go_on(self) -> None:
        # A refusal may be whole before the request's body is: servers need not read it.
        if self._exchange is not None and self._exchange.is_whole and self._is_asked:
            self._begin(self._requests.trailing_data[0])

    def _begin(self, rest: bytes) -> None:
        self._exchange = None
        self._is_asked = False
        self._requests = h11.Connection(h11.SERVER)
        self._answers = h11.Connection(h11.CLIENT)
        if rest:
            self.asked(rest)


def _headers(event: h11.Request | h11.Response) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in event.headers}
