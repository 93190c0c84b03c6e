"""The one HTTP client: proxies, their exceptions, and what it does not do on its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agentrt.http import open_client
from agentrt.models.chat_completions import ChatCompletions
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import body_reply, text
from tests.models.talk import answer, failure, text_of

TLS = Path(__file__).parent / "tls"


class Proxy:
    """A forwarding proxy that knows one server: it takes absolute URLs and CONNECT, and notes the request lines."""

    def __init__(self, upstream_url: str) -> None:
        self._port = httpx.URL(upstream_url).port
        self.request_lines: list[str] = []
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n")[0].decode()
        self.request_lines.append(line)
        if line.startswith("CONNECT"):
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            target = httpx.URL(line.split(" ")[1])
            upstream_writer.write(head.replace(line.encode(), f"POST {target.path} HTTP/1.1".encode(), 1))
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, upstream_writer))
            group.create_task(_pump(upstream_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def ask(http: httpx.AsyncClient, url: str) -> str:
    return text_of(await answer(ChatCompletions(http, model="m", base_url=url)))


async def test_a_proxy_of_the_environment_is_used(no_proxies: pytest.MonkeyPatch) -> None:
    async with FakeModelServer([text("Hello")]) as server, Proxy(server.url).running() as proxy:
        no_proxies.setenv("HTTP_PROXY", proxy.url)
        async with open_client() as http:
            assert await ask(http, "http://models.test/v1") == "Hello"
    assert proxy.request_lines == ["POST http://models.test/v1/chat/completions HTTP/1.1"]


async def test_a_proxy_tunnels_https(no_proxies: pytest.MonkeyPatch) -> None:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    trusting = ssl.create_default_context(cafile=TLS / "certificate.pem")
    async with FakeModelServer([text("Hello")], ssl_context=own) as server, Proxy(server.url).running() as proxy:
        no_proxies.setenv("HTTPS_PROXY", proxy.url)
        async with open_client(verify=trusting) as http:
            assert await ask(http, "https://localhost/v1") == "Hello"
    assert proxy.request_lines == ["CONNECT localhost:443 HTTP/1.1"]


async def test_hosts_of_no_proxy_are_reached_directly(no_proxies: pytest.MonkeyPatch) -> None:
    async with FakeModelServer([text("Hello")]) as server:
        no_proxies.setenv("ALL_PROXY", "http://127.0.0.1:1")
        no_proxies.setenv("NO_PROXY", "127.0.0.1")
        async with open_client() as http:
            assert await ask(http, server.url) == "Hello"


async def test_the_environment_can_be_left_out(no_proxies: pytest.MonkeyPatch) -> None:
    async with FakeModelServer([text("Hello")]) as server:
        no_proxies.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with open_client(trust_env=False) as http:
            assert await ask(http, server.url) == "Hello"


async def test_a_proxy_can_be_given_by_hand(no_proxies: pytest.MonkeyPatch) -> None:
    async with (
        FakeModelServer([text("Hello")]) as server,
        Proxy(server.url).running() as proxy,
        open_client(proxy=proxy.url) as http,
    ):
        assert await ask(http, "http://models.test/v1") == "Hello"


async def test_a_proxy_that_is_down_is_named_as_the_trouble(no_proxies: pytest.MonkeyPatch) -> None:
    async with open_client(proxy="http://127.0.0.1:1") as http:
        wrong = await failure(ChatCompletions(http, model="m", base_url="http://models.test/v1"))
    assert wrong.message.startswith("The proxy on the way to the model server http://models.test/v1/chat/completions")
    assert wrong.is_retryable


async def test_redirects_are_not_followed(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([body_reply(b"", status=307, headers={"location": "/elsewhere"})]) as server:
        assert (await http.post(server.url)).status_code == 307
        assert len(server.requests) == 1


async def test_more_calls_than_connections_wait_for_one() -> None:
    async with (
        FakeModelServer(lambda _: text("Hello", n_chunks=3)) as server,
        open_client(trust_env=False, verify=False, max_connections=3) as http,
    ):
        assert await asyncio.gather(*(ask(http, server.url) for _ in range(30))) == ["Hello"] * 30
        assert server.n_connections <= 3
