"""A small chat-completions server on a real socket, scripted: for tests and, as a process of its own, for benchmarks.

    async with FakeModelServer([text("Hello", n_chunks=2), error(429, "slow down")]) as server:
        ...  # talk to server.url, then look at server.requests

`python -m agentrt.testing.fake_model_server --port N` plays `rounds_of_calls`: deterministic, decided from the messages
alone. Not here: a web framework (a benchmark would measure it) and any sense: it is a puppet, not a model.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import ssl
from collections.abc import Iterable

import msgspec

from agentrt.testing.model_answers import (
    Answer,
    ReceivedRequest,
    Reply,
    Script,
    as_reply,
    error,
    rounds_of_calls,
)


class FakeModelServer:
    """Serves a script on 127.0.0.1 while the context is open.

    script: answers in the order of the requests, or a function of the request. Requests beyond its end get a 400.
    keeps_requests: False for long runs; `requests` would hold every conversation ever sent.
    n_cut_off counts the answers that the client did not stay for; n_connections those it opened.
    """

    def __init__(
        self,
        script: Iterable[Answer] | Script = (),
        *,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        keeps_requests: bool = True,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.n_cut_off = 0
        self.n_connections = 0
        self.url = ""
        self._script: Script = script if callable(script) else _one_by_one(script)
        self._port = port
        self._ssl = ssl_context
        self._keeps_requests = keeps_requests
        self._cut_off = asyncio.Event()
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FakeModelServer:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port, ssl=self._ssl)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._ssl else 'http'}://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._open):
            connection.drop()
        await self._server.wait_closed()

    async def wait_for_cut_off(self) -> None:
        """Wait until a client has left in the middle of an answer."""
        await self._cut_off.wait()

    def connected(self, connection: _Connection) -> None:
        self.n_connections += 1
        self._open.add(connection)

    def disconnected(self, connection: _Connection, *, in_mid_answer: bool) -> None:
        self._open.discard(connection)
        if in_mid_answer:
            self.n_cut_off += 1
            self._cut_off.set()

    def answer(self, request: ReceivedRequest) -> Reply:
        """Note the request and say what the script answers, as bytes."""
        if self._keeps_requests:
            self.requests.append(request)
        return as_reply(self._script(request), request)


class _Connection(asyncio.Protocol):
    """One keep-alive connection: HTTP/1.1 as far as a client library needs it (bodies with a length, no pipelining)."""

    def __init__(self, server: FakeModelServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._answering = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()
        self._server.disconnected(self, in_mid_answer=self._answering)

    def drop(self) -> None:
        self._answering = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received[:1].isalpha():
            # TLS, most likely: answered in the clear, as every web server does.
            self._transport.write(b"HTTP/1.1 400 Not HTTP\r\nconnection: close\r\n\r\n")
            self._transport.close()
        elif not self._answering:
            self._take_request()

    def _take_request(self) -> None:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        request_line, *header_lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in header_lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, path, _ = request_line.split(" ")
        body = msgspec.json.decode(rest[:length], type=dict) if length else {}
        self._answering = True
        self._start(self._server.answer(ReceivedRequest(method, path, headers, body)))

    def _start(self, reply: Reply) -> None:
        head = _head(reply)
        if reply.delay_s:
            self._transport.write(head)
            self._timer = self._loop.call_later(reply.delay_s, self._send_piece, reply, 0)
            return
        # The head travels with the first piece, as from any server that writes both before it yields.
        first, *more = _framed(reply) or [b""]
        self._transport.write(head + first)
        for piece in more:
            self._transport.write(piece)
        self._finish(reply)

    def _send_piece(self, reply: Reply, position: int) -> None:
        pieces = _framed(reply)
        if position < len(pieces):
            self._transport.write(pieces[position])
            self._timer = self._loop.call_later(reply.delay_s, self._send_piece, reply, position + 1)
        else:
            self._finish(reply)

    def _finish(self, reply: Reply) -> None:
        match reply.ending:
            case "silence":
                return
            case "hang_up":
                self._answering = False
                self._transport.close()
            case "clean":
                self._answering = False
                if reply.framing == "chunked":
                    self._transport.write(b"0\r\n\r\n")
                    self._take_request()
                else:
                    self._transport.close()


@functools.lru_cache(maxsize=64)
def _framed(reply: Reply) -> list[bytes]:
    if reply.framing == "chunked":
        return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in reply.pieces if piece]
    return list(reply.pieces)


def _head(reply: Reply) -> bytes:
    if reply.framing == "none":
        return b""
    framing = "transfer-encoding: chunked" if reply.framing == "chunked" else "connection: close"
    lines = [f"HTTP/1.1 {reply.status} Scripted", framing, *(f"{name}: {value}" for name, value in reply.headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _one_by_one(answers: Iterable[Answer]) -> Script:
    left = iter(answers)
    used_up = error(400, "The script of this FakeModelServer has no answer left.")
    return lambda _: next(left, used_up)


async def _serve(port: int, script: Script) -> None:
    async with FakeModelServer(script, port=port, keeps_requests=False) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted chat-completions server for benchmarks.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the URL is the first line printed")
    parser.add_argument("--rounds", type=int, default=3, help="turns of tool calls after each user message")
    parser.add_argument("--calls", type=int, default=2, help="tool calls in each of them")
    parser.add_argument("--tokens", type=int, default=200, help="chunks of the final text")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="pause before every chunk of the final text")
    options = parser.parse_args()
    script = rounds_of_calls(
        rounds=options.rounds, n_calls=options.calls, n_tokens=options.tokens, delay_s=options.delay_ms / 1000
    )
    try:
        asyncio.run(_serve(options.port, script))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
