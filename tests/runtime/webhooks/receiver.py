"""A receiver of webhooks on a real socket: it answers what the test says, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import msgspec
from openai import OpenAI

from agentrt.config.schema import WebhookSpec
from agentrt.config.webhooks import EVENTS
from agentrt.secret import Secret

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@dataclass(frozen=True)
class Reply:
    """An answer. before: silence until then. length: how long the body is said to be, None tells the truth.

    never_ends: the body goes on until the sender leaves. hangs_up: there is no answer at all.
    """

    status: int = 200
    body: bytes = b"ok"
    headers: tuple[tuple[str, str], ...] = ()
    before: asyncio.Event | None = None
    length: int | None = None
    never_ends: bool = False
    hangs_up: bool = False


BROKEN = Reply(500, b"out of order", headers=(("retry-after", "600"),))
"""A failure that is not tried again while the test looks."""


@dataclass(frozen=True)
class Received:
    """A request. headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, object]:
        """The event in it, its signature verified by the official SDK."""
        client = OpenAI(api_key="none", webhook_secret=SECRET)
        client.webhooks.unwrap(self.body, self.headers)
        found: dict[str, object] = msgspec.json.decode(self.body)
        return found


@dataclass
class Receiver:
    """Serves on 127.0.0.1 while the context is open: the replies in their order, then 200 for ever."""

    replies: list[Reply] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    n_open: int = 0
    most_open: int = 0
    url: str = ""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spec(self, name: str = "crm", *, timeout_s: float = 5.0, **fields: object) -> WebhookSpec:
        """This receiver as agents.toml would have it."""
        values = {"url": Secret(self.url), "secrets": (Secret(SECRET),), "events": EVENTS, **fields}
        return WebhookSpec(name=name, timeout_s=timeout_s, **values)  # type: ignore[arg-type]

    def toml(self, name: str = "crm", more: str = "") -> str:
        """This receiver's lines for agents.toml."""
        return f'[[webhooks]]\nname = "{name}"\nurl = "{self.url}"\nsecret = "{SECRET}"\n{more}'

    def events(self) -> Iterator[dict[str, object]]:
        return (received.event for received in self.received)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_so():
                await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    continue
        finally:
            self.n_open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        given = dict(line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in given.items()}
        body = await reader.readexactly(int(headers["content-length"]))
        self.received.append(Received(head[0].split(" ")[1], headers, body))
        reply = self.replies.pop(0) if self.replies else Reply()
        if reply.before is not None:
            await reply.before.wait()
        if reply.hangs_up:
            return False
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in reply.headers)]
        if not reply.never_ends:
            lines.append(f"content-length: {len(reply.body) if reply.length is None else reply.length}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
        while reply.never_ends:
            writer.write(b"x" * 65536)
            await writer.drain()
        await writer.drain()
        return True


@contextmanager
def receiving(*replies: Reply) -> Iterator[Receiver]:
    """A receiver in a thread of its own, for tests that block."""
    receiver = Receiver(list(replies))
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with receiver:
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    wait_for(lambda: bool(loops))
    try:
        yield receiver
    finally:
        [(loop, stop)] = loops
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def wait_for(is_so: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Block until it is so."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within_s, "it did not come about"
        time.sleep(0.01)
