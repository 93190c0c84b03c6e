"""The way out of a sandbox: hosts on a list can be reached through the proxy at loopback, nothing else can."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from agentrt.sandbox.allowed_hosts import AllowedHosts, RefusedHostError, is_public
from agentrt.sandbox.driver import Driver
from agentrt.sandbox.kernel import Kernel, KernelSettings
from agentrt.sandbox.netframe import NetFrame
from agentrt.sandbox.proxy import BadRequestError, parse
from agentrt.sandbox.tunnel import MAX_CONNECTIONS, WINDOW_BYTES, Tunnel
from tests.sandbox.sessions import LIMITS, Session

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = 3_000_000


def anywhere(address: object) -> bool:
    """What a test's own server needs: loopback is no public address."""
    return True


class TestTheList:
    @pytest.mark.parametrize(
        "address",
        [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:0:7f00:1::1",
            "2001:db8::1",
        ],
    )
    async def test_private_addresses_are_not_public_however_they_are_wrapped(self, address: str) -> None:
        assert not is_public(ipaddress.ip_address(address))

    @pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
    async def test_others_are(self, address: str) -> None:
        assert is_public(ipaddress.ip_address(address))

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost."])
    async def test_a_name_on_the_list_that_leads_to_this_machine_is_refused(self, host: str) -> None:
        with pytest.raises(RefusedHostError, match="private"):
            await AllowedHosts(["localhost"]).find(host, 443)

    @pytest.mark.parametrize(
        ("host", "port"),
        [
            ("example.com", 443),
            ("evil-localhost", 443),
            ("localhost.evil.com", 443),
            ("localhost", 22),
            ("127.0.0.1", 443),
        ],
    )
    async def test_what_is_not_on_it_is_not_even_looked_up(self, host: str, port: int) -> None:
        with pytest.raises(RefusedHostError, match="list"):
            await AllowedHosts(["localhost", "*.localhost"], may_reach=anywhere).find(host, port)

    async def test_a_star_stands_for_names_below_and_a_port_for_itself(self) -> None:
        allowed = AllowedHosts(["*.localhost", "localhost:8080"], may_reach=anywhere)
        with pytest.raises(RefusedHostError, match="list"):
            await allowed.find("localhost", 443)
        assert await allowed.find("localhost", 8080)
        with pytest.raises(RefusedHostError, match="list"):
            await allowed.find("nothing.of.localhost.org", 443)


class TestRequests:
    @pytest.mark.parametrize(
        "head",
        [
            "GET / HTTP/1.1",
            "CONNECT example.com HTTP/1.1",
            "CONNECT example.com:0 HTTP/1.1",
            "CONNECT example.com:99999 HTTP/1.1",
            "CONNECT exa mple.com:443 HTTP/1.1",
            "CONNECT [::1]:443 HTTP/1.1",
            "CONNECT user@example.com:443 HTTP/1.1",
            "CONNECT example.com\x00.evil:443 HTTP/1.1",
            "GET https://example.com/ HTTP/1.1",
            "GET http://user:word@example.com/ HTTP/1.1",
            "GET http://example.com:x/ HTTP/1.1",
            "GET ftp://example.com/ HTTP/1.1",
            "GET http://[ HTTP/1.1",
            "GET http://[::1 HTTP/1.1",
            "HELO example.com",
            "",
        ],
    )
    async def test_what_is_no_request_to_a_proxy_is_refused(self, head: str) -> None:
        with pytest.raises(BadRequestError):
            parse(f"{head}\r\n\r\n".encode("latin-1"))

    async def test_a_plain_request_is_sent_on_for_one_answer_to_its_own_host(self) -> None:
        request = parse(
            b"GET http://example.com/a?b=c HTTP/1.1\r\nHost: other.org\r\nProxy-Connection: x\r\nA: b\r\n\r\n"
        )
        assert (request.host, request.port) == ("example.com", 80)
        assert request.head == b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nA: b\r\nConnection: close\r\n\r\n"


Frames = list[tuple[NetFrame, bytes]]


@asynccontextmanager
async def tunnel(*allowed: str) -> AsyncIterator[tuple[Tunnel, Frames]]:
    """One whose kernel is the test."""
    sent: Frames = []
    async with Tunnel(
        AllowedHosts(allowed, may_reach=anywhere), lambda f, raw: sent.append((f, raw)), session="t"
    ) as t:
        yield t, sent


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.005)


class TestHostileKernel:
    async def test_frames_of_connections_that_do_not_exist_mean_nothing(self) -> None:
        async with tunnel("localhost") as (t, sent):
            for op in ("data", "end", "ack", "close"):
                t.feed(NetFrame(op=op, c=77, n=5), b"x")
            await asyncio.sleep(0)
            assert sent == []

    async def test_more_connections_than_allowed_are_not_made(self) -> None:
        async with tunnel("localhost") as (t, sent):
            for number in range(500):
                t.feed(NetFrame(op="open", c=number), b"")
            await asyncio.sleep(0.01)
            for number in range(500):
                t.feed(NetFrame(op="close", c=number), b"")
            await until(lambda: len(sent) == MAX_CONNECTIONS)
            assert {frame.op for frame, _ in sent} == {"close"}

    async def test_a_window_that_is_not_kept_ends_the_connection(self) -> None:
        async with tunnel("localhost") as (t, sent):
            t.feed(NetFrame(op="open", c=1), b"")
            for _ in range(1 + 2 * WINDOW_BYTES // 65536):
                t.feed(NetFrame(op="data", c=1), b"x" * 65536)
            await until(lambda: bool(sent))
            assert [frame.op for frame, _ in sent] == ["close"]

    @pytest.mark.parametrize("n", [0, -1, 1, 1 << 50])
    async def test_an_acknowledgement_of_what_was_never_sent_ends_it(self, n: int) -> None:
        async with tunnel("localhost") as (t, sent):
            t.feed(NetFrame(op="open", c=1), b"")
            t.feed(NetFrame(op="ack", c=1, n=n), b"")
            await until(lambda: bool(sent))
            assert [frame.op for frame, _ in sent] == ["close"]

    async def test_a_request_that_no_parser_takes_ends_its_own_connection_only(self) -> None:
        async with tunnel("localhost") as (t, sent):
            t.feed(NetFrame(op="open", c=1), b"")
            t.feed(NetFrame(op="open", c=2), b"")
            t.feed(NetFrame(op="data", c=1), b"GET http://[ HTTP/1.1\r\n\r\n")
            await until(lambda: any(frame.op == "close" for frame, _ in sent))
            assert {frame.c for frame, _ in sent} == {1}
            assert any(raw.startswith(b"HTTP/1.1 400 ") for _, raw in sent)

    async def test_a_failure_of_ours_in_one_connection_is_not_the_others_and_not_the_sessions(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(AllowedHosts):
            async def find(self, host: str, port: int) -> list[str]:
                raise LookupError(host)

        sent: Frames = []
        async with Tunnel(Broken([]), lambda f, raw: sent.append((f, raw)), session="t") as t:
            t.feed(NetFrame(op="open", c=1), b"")
            t.feed(NetFrame(op="data", c=1), b"CONNECT localhost:443 HTTP/1.1\r\n\r\n")
            await until(lambda: any(frame.op == "close" for frame, _ in sent))
        assert "sandbox.connection_failed" in caplog.messages

    async def test_a_request_without_an_end_is_answered_with_no(self) -> None:
        async with tunnel("localhost") as (t, sent):
            t.feed(NetFrame(op="open", c=1), b"")
            t.feed(NetFrame(op="data", c=1), b"GET http://localhost/" + b"x" * 60_000)
            await until(lambda: any(frame.op == "close" for frame, _ in sent))
            assert any(raw.startswith(b"HTTP/1.1 400 ") for _, raw in sent)


class Upstream:
    """A server on loopback. Answers what it was asked; /big gets many bytes, POST is echoed."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        body = b"hello from outside"
        if b" /big " in head:
            body = b"x" * BIG
        if head.startswith(b"POST"):
            size = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            body = f"got {len(await reader.readexactly(size))}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[tuple[Upstream, int]]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 20)
    yield upstream, server.sockets[0].getsockname()[1]
    server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def online(driver: Driver, upstream: tuple[Upstream, int]) -> AsyncIterator[Session]:
    """A sandbox that may reach the server under the name localhost, and nothing else."""
    box = await driver.open("online")
    try:
        watch_bytes = 0 if driver.capabilities.memory else LIMITS.memory_bytes
        kernel = await Kernel.attach(box.channel, KernelSettings(watch_bytes=watch_bytes, network=True))
        allowed = AllowedHosts([f"localhost:{upstream[1]}", "nowhere.invalid"], may_reach=anywhere)
        async with Tunnel(allowed, kernel.send_net, session="online") as tunnel:
            kernel.on_net = tunnel.feed
            yield Session(driver, box, kernel)
    finally:
        await box.kill()


# Names that a list would hold are never loopback: urllib asks the proxy for all but those.
ASK = """
import socket, urllib.request, urllib.error, os
os.environ.pop("no_proxy", None); os.environ.pop("NO_PROXY", None)
def ask(url, data=None):
    try:
        with urllib.request.urlopen(url, data, timeout=10) as answer: return answer.read()
    except urllib.error.HTTPError as error: return error.code, error.read().decode()
    except OSError as error: return type(error).__name__
def connect(request):
    with socket.create_connection(("127.0.0.1", 3128), 10) as s:
        s.sendall(request)
        data = b""
        while piece := s.recv(65536): data += piece
        return data
"""


class TestFromInside:
    async def test_a_host_on_the_list_answers(self, online: Session, upstream: tuple[Upstream, int]) -> None:
        await online.run(ASK)
        assert await online.value(f"ask('http://localhost:{upstream[1]}/')") == "b'hello from outside'"
        assert b"Host: localhost" in upstream[0].requests[-1]

    async def test_a_tunnel_carries_bytes_both_ways(self, online: Session, upstream: tuple[Upstream, int]) -> None:
        where = f"localhost:{upstream[1]}"
        request = f"CONNECT {where} HTTP/1.1\\r\\n\\r\\nGET /inner HTTP/1.1\\r\\n\\r\\n"
        answer = await online.value(f"connect(b'{request}')")
        assert "200 Connection established" in answer
        assert "hello from outside" in answer

    async def test_many_bytes_come_in_and_go_out(self, online: Session, upstream: tuple[Upstream, int]) -> None:
        where = f"http://localhost:{upstream[1]}"
        assert await online.value(f"len(ask('{where}/big'))") == str(BIG)
        assert await online.value(f"ask('{where}/', b'y' * {BIG})") == repr(f"got {BIG}".encode())

    async def test_many_at_once(self, online: Session, upstream: tuple[Upstream, int]) -> None:
        code = f"""
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool:
            print(sum(len(x) for x in pool.map(ask, ['http://localhost:{upstream[1]}/big'] * 16)))
        """
        ran = await online.run("\n".join(line[8:] for line in code.split("\n")), timeout_s=30)
        assert ran.stdout == f"{16 * BIG}\n"

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("http://example.com/", "is not on this sandbox"),
            ("http://localhost/", "is not on this sandbox"),
            ("http://127.0.0.1:{port}/", "is not on this sandbox"),
            ("http://169.254.169.254/latest/meta-data/", "is not on this sandbox"),
            ("https://example.com/", "403"),
            ("https://nowhere.invalid/", "403"),
        ],
    )
    async def test_others_are_refused_with_the_reason(
        self, online: Session, upstream: tuple[Upstream, int], url: str, why: str
    ) -> None:
        n_before = len(upstream[0].requests)
        ran = await online.run(f"try: print(ask('{url.format(port=upstream[1])}'))\nexcept Exception as e: print(e)")
        assert why in ran.stdout or "URLError" in ran.stdout
        assert len(upstream[0].requests) == n_before

    async def test_there_is_no_other_way_out(self, online: Session, upstream: tuple[Upstream, int]) -> None:
        assert await online.value(f"socket.socket().connect_ex(('127.0.0.1', {upstream[1]})) != 0") == "True"
        assert await online.value("socket.socket().connect_ex(('1.1.1.1', 443)) != 0") == "True"

    async def test_code_that_floods_the_proxy_only_slows_itself_down(
        self, online: Session, upstream: tuple[Upstream, int]
    ) -> None:
        code = """
        kept = []
        for n in range(300):
            try:
                s = socket.create_connection(("127.0.0.1", 3128), 5); s.settimeout(1)
                s.sendall(b"CONNECT " if n % 2 else b"x" * 50000); kept.append(s)
            except OSError: break
        print("done")
        """
        ran = await online.run("\n".join(line[8:] for line in code.split("\n")), timeout_s=20)
        assert "done" in ran.stdout
        await online.run("for s in kept: s.close()")
        await online.run("kept = []")
        assert await online.value(f"ask('http://localhost:{upstream[1]}/')") == "b'hello from outside'"
