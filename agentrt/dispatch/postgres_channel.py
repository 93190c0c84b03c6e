"""Channel: short messages between the processes that share a PostgreSQL database, by LISTEN and NOTIFY.

On a connection that does nothing else. A NOTIFY in the transaction that it tells of would make every such commit wait
for every other (one lock for the whole server, held until the commit is on disk); here one statement carries whatever
was said meanwhile, and its commit waits for no disk. Messages are hints: what gets lost is found by looking, later.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import msgspec

from agentrt.clock import Clock
from agentrt.store.postgres_connect import connect

log = logging.getLogger(__name__)

Callback: TypeAlias = Callable[[Sequence[str]], None]

_PAYLOAD_MAX = 7_999  # bytes; PostgreSQL's own limit
_WAITING_MAX = 10_000  # ids of a kind that wait for the server; who comes later is found by looking
_SEND_EVERY_S = 0.01
_PROBE_EVERY_S = 10.0
_ANSWER_WITHIN_S = 10.0
_ECHO_WITHIN_S = 5.0
_START_WITHIN_S = 5.0
_END_WITHIN_S = 1.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

# Channels belong to the database, our tables to a schema of it: two installations must not hear each other.
_NAME = "SELECT 'agentrt_' || coalesce((SELECT relnamespace FROM pg_class WHERE oid = to_regclass('job')), 0)"
_SEND = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) payload, set_config('synchronous_commit', 'off', true)"
_HELLO = "hello"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, str, list[str]]).decode


class Channel:
    """Sends and hears (kind, ids). url: the server itself, not a pooler: a pooled connection cannot listen.

    It connects again for as long as it takes. What this process sends it does not hear itself.
    """

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._node = secrets.token_hex(8)
        self._callbacks: defaultdict[str, list[Callback]] = defaultdict(list)
        self._on_gap: list[Callable[[], None]] = []
        self._waiting: dict[str, dict[str, None]] = {}
        self._news = asyncio.Event()
        self._echo = asyncio.Event()
        self._is_listening = asyncio.Event()
        self._is_closing = False
        self._is_away = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it listens, or after 5 s of trying; it goes on trying."""
        self._task = asyncio.get_running_loop().create_task(self._serve(), name="channel")
        try:
            async with asyncio.timeout(_START_WITHIN_S):
                await self._is_listening.wait()
        except TimeoutError:
            self._is_away = True

    async def close(self) -> None:
        """Send what waits, if the server takes it within a second, and stop."""
        self._is_closing = True
        self._news.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_END_WITHIN_S if self._is_listening.is_set() else 0)
            self._task.cancel()
            await asyncio.wait([self._task])

    def send(self, kind: str, ids: Sequence[str]) -> None:
        """Tell the other processes, soon."""
        waiting = self._waiting.setdefault(kind, {})
        if len(waiting) < _WAITING_MAX:
            waiting.update(dict.fromkeys(ids))
            self._news.set()

    def hear(self, kind: str, callback: Callback) -> None:
        """Call back with the ids that another process sends."""
        self._callbacks[kind].append(callback)

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call back when it listens again: messages may have been missed."""
        self._on_gap.append(callback)

    async def _serve(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._is_closing:
            try:
                await self._listen()
            except Exception as error:  # whatever it is: nothing depends on hints
                pause_s = _FIRST_PAUSE_S if self._is_listening.is_set() else min(2 * pause_s, _LONGEST_PAUSE_S)
                self._is_listening.clear()
                if not self._is_away:
                    self._is_away = True
                    log.warning("channel.lost", extra={"why": f"{type(error).__name__}: {error}"})
                await self._clock.sleep(pause_s)

    async def _listen(self) -> None:
        """Returns when closing; raises when the connection does not work any more."""
        conn = await connect(self._url, name="agentrt bus", command_timeout_s=_ANSWER_WITHIN_S)
        try:
            name = str(await conn.fetchval(_NAME))
            conn.add_termination_listener(lambda _: self._news.set())
            await conn.add_listener(name, self._receive)
            await self._prove(conn, name)
            self._is_listening.set()
            if self._is_away:
                self._is_away = False
                log.info("channel.back")
                _call(self._on_gap)
            while not self._is_closing or self._waiting:
                await self._send_next(conn, name)
        finally:
            conn.terminate()

    async def _prove(self, conn: Any, name: str) -> None:
        """A pooler takes a LISTEN and never delivers. Raises TimeoutError."""
        self._echo.clear()
        await conn.execute(_SEND, name, list(_payloads(self._node, {_HELLO: {"": None}})))
        async with asyncio.timeout(_ECHO_WITHIN_S):
            await self._echo.wait()

    async def _send_next(self, conn: Any, name: str) -> None:
        """Send what waits as soon as something does; ask for a sign of life when nothing did for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_EVERY_S):
                await self._news.wait()
        self._news.clear()
        batch, self._waiting = self._waiting, {}
        try:
            await conn.execute(_SEND, name, list(_payloads(self._node, batch)))
        except BaseException:
            for kind, ids in batch.items():
                self._waiting[kind] = ids | self._waiting.get(kind, {})
            raise
        if not self._is_closing:
            await self._clock.sleep(_SEND_EVERY_S)

    def _receive(self, _conn: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            node, kind, ids = _decode(payload)
        except msgspec.DecodeError:  # somebody else's, or of a release to come
            return
        if node == self._node:
            self._echo.set()
        else:
            _call([partial(callback, ids) for callback in self._callbacks[kind]])


def _payloads(node: str, batch: Mapping[str, Mapping[str, None]]) -> Iterator[str]:
    """JSON `[node, kind, [id, …]]`, as few as fit. An id that fits into none is left out."""
    for kind, ids in batch.items():
        room = _PAYLOAD_MAX - len(_encode((node, kind, ())))
        chunk: list[str] = []
        used = 0
        for object_id in ids:
            size = len(_encode(object_id)) + 1
            if size > room:
                continue
            if used + size > room:
                yield _encode((node, kind, chunk)).decode()
                chunk, used = [], 0
            chunk.append(object_id)
            used += size
        if chunk:
            yield _encode((node, kind, chunk)).decode()


def _call(callbacks: Sequence[Callable[[], None]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("channel.callback_failed")
