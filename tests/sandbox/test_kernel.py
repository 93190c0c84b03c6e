"""The host's side of the protocol against a kernel that is in the wrong hands."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest

from agentrt.errors import InvalidRequestError, SandboxError, SandboxGoneError
from agentrt.sandbox.channel import Channel
from agentrt.sandbox.events import CallEvent, Display, FileWritten, Finished, Output
from agentrt.sandbox.kernel import Kernel, KernelSettings

SETTINGS = KernelSettings(output_bytes=10_000, grace_s=0.05)
DONE = {"status": "ok", "ms": 1.0, "cpu_ms": 1.0, "max_rss": 1, "out_bytes": 0, "truncated": False, "state": "kept"}


class Captured:
    """The far end of a channel: says what a test wants it to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next request of that kind; others are passed over."""
        while True:
            request: dict[str, Any] = json.loads(await self._reader.readline())
            await self._reader.readexactly(request.get("raw", 0))
            if request["t"] == kind:
                return request

    def say(self, kind: str, raw: bytes | None = None, /, **fields: object) -> None:
        frame = {"t": kind, **fields, **({} if raw is None else {"raw": len(raw)})}
        self.blurt(json.dumps(frame).encode() + b"\n" + (raw or b""))

    def blurt(self, data: bytes) -> None:
        self._writer.write(data)

    def hang_up(self) -> None:
        self._writer.close()

    async def is_hung_up_on(self) -> bool:
        with suppress(ConnectionError):  # what we said last was not read any more
            while await self._reader.read(65536):
                continue
        return True


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, Captured]]:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    channel = await Channel.open(ours)
    yield channel, Captured(reader, writer)
    channel.close()
    writer.close()


@pytest.fixture
async def captured(ends: tuple[Channel, Captured]) -> Captured:
    return ends[1]


@pytest.fixture
async def kernel(ends: tuple[Channel, Captured]) -> Kernel:
    channel, captured = ends
    attaching = asyncio.ensure_future(Kernel.attach(channel, SETTINGS))
    captured.say("hello", nonce=(await captured.hear("attach"))["nonce"], v=1, py="3.12.1")
    return await attaching


async def drain(kernel: Kernel, *, timeout_s: float = 10.0) -> list[CallEvent]:
    return [event async for event in kernel.execute("code", timeout_s=timeout_s)]


async def answering(
    kernel: Kernel, captured: Captured, script: Callable[[str], None], *, timeout_s: float = 10.0
) -> list[CallEvent]:
    """The events of a call that the captured kernel answers by script, which gets the call's id."""
    running = asyncio.ensure_future(drain(kernel, timeout_s=timeout_s))
    script((await captured.hear("exec"))["id"])
    return await running


async def test_a_kernel_that_keeps_to_the_protocol_is_listened_to(kernel: Kernel, captured: Captured) -> None:
    def script(call: str) -> None:
        captured.say("out", id=call, s="stderr", d="careful\n", skipped=3)
        captured.say("display", b"\x89PNG", id=call, mime="image/png")
        captured.say("file", id=call, path="a/b.txt", size=3, sha256="0" * 64)
        captured.say("done", id=call, **DONE | {"result": "1"})

    assert await answering(kernel, captured, script) == [
        Output(stream="stderr", text="careful\n", n_skipped_bytes=3),
        Display(mime="image/png", data=b"\x89PNG"),
        FileWritten(path="a/b.txt", size_bytes=3, sha256="0" * 64),
        Finished(status="ok", result="1", ms=1, cpu_ms=1, max_rss_bytes=1, n_output_bytes=0, is_truncated=False),
    ]


async def test_what_came_before_the_hello_is_not_for_us(ends: tuple[Channel, Captured]) -> None:
    channel, captured = ends
    captured.say("hello", nonce="guessed", v=1, py="3.12.1")
    captured.say("done", id="1", **DONE)
    attaching = asyncio.ensure_future(Kernel.attach(channel, SETTINGS))
    captured.say("hello", nonce=(await captured.hear("attach"))["nonce"], v=1, py="3.9.18", active="7")
    assert (await attaching).hello.py == "3.9.18"


async def test_another_protocol_is_refused(ends: tuple[Channel, Captured]) -> None:
    channel, captured = ends
    attaching = asyncio.ensure_future(Kernel.attach(channel, SETTINGS))
    captured.say("hello", nonce=(await captured.hear("attach"))["nonce"], v=2, py="3.12.1")
    with pytest.raises(SandboxGoneError, match="another protocol"):
        await attaching


async def test_a_kernel_that_says_nothing_is_given_up(ends: tuple[Channel, Captured]) -> None:
    with pytest.raises(SandboxGoneError, match="does not answer"):
        await Kernel.attach(ends[0], SETTINGS, timeout_s=0.05)
    assert await ends[1].is_hung_up_on()


async def test_frames_of_other_calls_and_after_the_end_are_dropped(kernel: Kernel, captured: Captured) -> None:
    def script(call: str) -> None:
        captured.say("out", id="another", s="stdout", d="forged")
        captured.say("done", id="another", **DONE)
        captured.say("done", id=call, **DONE)
        captured.say("out", id=call, s="stdout", d="too late")
        captured.say("done", id=call, **DONE)

    [event] = await answering(kernel, captured, script)
    assert isinstance(event, Finished)
    [event] = await answering(kernel, captured, lambda call: captured.say("done", id=call, **DONE))
    assert isinstance(event, Finished)


async def test_frames_of_unknown_kinds_and_shapes_are_dropped(kernel: Kernel, captured: Captured) -> None:
    def script(call: str) -> None:
        captured.say("eval", id=call, code="import os")
        captured.say("out", id=call, s="stdin", d="x")
        captured.say("out", id=call, s="stdout", d=5)
        captured.say("out", id=[call], s="stdout", d="x")
        captured.say("file", id=call, path="a", size=-1, sha256="0" * 64)
        captured.say("file", id=call, path="a", size=1, sha256="../../etc")
        captured.say("done", id=call, **DONE | {"status": "fine"})
        captured.say("done", id=call, **DONE | {"ms": -1})
        captured.say("done", id=call, **DONE | {"extra": [[[]]]})

    [event] = await answering(kernel, captured, script)
    assert isinstance(event, Finished)


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a\\b", "-rf", "a\nb", "a\u202etxt", " a", "a//b", "x" * 201])
async def test_files_with_names_that_deceive_are_not_heard_of(kernel: Kernel, captured: Captured, path: str) -> None:
    def script(call: str) -> None:
        captured.say("file", id=call, path=path, size=1, sha256="0" * 64)
        captured.say("done", id=call, **DONE)

    assert len(await answering(kernel, captured, script)) == 1


async def test_pictures_and_files_are_counted_and_of_known_kinds(kernel: Kernel, captured: Captured) -> None:
    def script(call: str) -> None:
        captured.say("display", b"<script>", id=call, mime="application/javascript")
        for _ in range(30):
            captured.say("display", b"x", id=call, mime="image/png")
        for n in range(300):
            captured.say("file", id=call, path=f"f{n}", size=1, sha256="0" * 64)
        captured.say("done", id=call, **DONE)

    events = await answering(kernel, captured, script)
    assert sum(isinstance(event, Display) for event in events) == 19
    assert sum(isinstance(event, FileWritten) for event in events) == 200


@pytest.mark.parametrize(
    "said",
    [
        b"no json\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"t":"out","raw":-1}\n',
        b'{"t":"out","raw":99999999999}\n',
        b'{"t":"out","raw":"x"}\n',
        b'{"t":"display","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
        b'{"t":"out","d":"' + b"x" * 3_000_000,
    ],
    ids=["text", "list", "no UTF-8", "negative", "giant", "no number", "deep", "endless"],
)
async def test_what_cannot_be_a_frame_ends_the_conversation(kernel: Kernel, captured: Captured, said: bytes) -> None:
    with pytest.raises(SandboxGoneError, match="given up"):
        await answering(kernel, captured, lambda call: captured.blurt(said))
    assert await captured.is_hung_up_on()
    assert not kernel.is_alive
    with pytest.raises(SandboxGoneError):
        await drain(kernel)


async def test_a_flood_ends_the_conversation(kernel: Kernel, captured: Captured) -> None:
    async def flood() -> None:
        await captured.hear("exec")
        with suppress(ConnectionError):
            while True:
                captured.say("out", id="another", s="stdout", d="x" * 100_000)
                await captured._writer.drain()

    flooding = asyncio.ensure_future(flood())
    with pytest.raises(SandboxGoneError, match="more than it was asked for"):
        await drain(kernel)
    await flooding


async def test_nobody_may_chatter_unasked(kernel: Kernel, captured: Captured) -> None:
    for _ in range(200):
        captured.say("nonsense", n=1)
    async with asyncio.timeout(5):
        await kernel.wait_gone()


async def test_a_call_that_never_ends_is_given_up(kernel: Kernel, captured: Captured) -> None:
    kernel.backstop_s = 0.05
    with pytest.raises(SandboxGoneError, match="does not stop a call"):
        await drain(kernel, timeout_s=0.01)
    assert await captured.is_hung_up_on()


async def test_a_call_that_never_ends_is_given_up_although_it_says_something_now_and_then(
    kernel: Kernel, captured: Captured
) -> None:
    kernel.backstop_s = 0.2
    running = asyncio.ensure_future(drain(kernel, timeout_s=0.01))
    call = (await captured.hear("exec"))["id"]
    async with asyncio.timeout(10):
        while not running.done():
            captured.say("out", id=call, s="stdout", d="still here\n")
            await asyncio.sleep(0.05)
    with pytest.raises(SandboxGoneError, match="does not stop a call"):
        await running


async def test_a_kernel_that_hangs_up_ends_everything_that_waits(kernel: Kernel, captured: Captured) -> None:
    running = asyncio.ensure_future(drain(kernel))
    asking = asyncio.ensure_future(kernel.list())
    await captured.hear("list")
    captured.hang_up()
    for waiting in (running, asking):
        with pytest.raises(SandboxGoneError, match="ended"):
            await waiting
    with pytest.raises(SandboxGoneError):
        await kernel.ping()


async def test_a_slow_reader_makes_the_kernel_wait(kernel: Kernel, captured: Captured) -> None:
    async with aclosing(kernel.execute("code", timeout_s=10)) as events:
        waiting = asyncio.ensure_future(anext(events))
        call = (await captured.hear("exec"))["id"]
        for _ in range(20):
            captured.say("display", bytes(1_000_000), id=call, mime="image/png")
        captured.say("done", id=call, **DONE)
        assert isinstance(await waiting, Display)
        await asyncio.sleep(0.1)
        assert captured._writer.transport.get_write_buffer_size() > 5_000_000  # it stands at the other side, not here
        rest = [event async for event in events]
    assert len(rest) == 20


async def test_a_file_that_shrinks_or_grows_while_it_is_read(kernel: Kernel, captured: Captured) -> None:
    async def read() -> bytes:
        return b"".join([piece async for piece in kernel.get("file")])

    reading = asyncio.ensure_future(read())
    captured.say("data", b"12345678", id=(await captured.hear("get"))["id"], size=5)
    assert await reading == b"12345"

    reading = asyncio.ensure_future(read())
    captured.say("data", b"123", id=(await captured.hear("get"))["id"], size=5)
    with pytest.raises(SandboxError, match="changed while it was read"):
        await reading


async def test_an_answer_of_another_kind_ends_the_conversation(kernel: Kernel, captured: Captured) -> None:
    listing = asyncio.ensure_future(kernel.list())
    captured.say("ok", id=(await captured.hear("list"))["id"])
    with pytest.raises(SandboxGoneError):
        await listing


async def test_a_listing_that_is_none_ends_the_conversation(kernel: Kernel, captured: Captured) -> None:
    listing = asyncio.ensure_future(kernel.list())
    captured.say("files", b'[{"path": 5}]', id=(await captured.hear("list"))["id"])
    with pytest.raises(SandboxGoneError, match="listing"):
        await listing


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("not_found", FileNotFoundError),
        ("refused", InvalidRequestError),
        ("full", SandboxError),
        ("whatever", SandboxError),
    ],
)
async def test_a_refusal_is_the_error_that_it_means(
    kernel: Kernel, captured: Captured, code: str, error: type[Exception]
) -> None:
    deleting = asyncio.ensure_future(kernel.delete("file"))
    captured.say("fail", id=(await captured.hear("del"))["id"], code=code, message="why")
    with pytest.raises(error):
        await deleting


async def test_the_lease_is_renewed_by_itself(ends: tuple[Channel, Captured]) -> None:
    channel, captured = ends
    attaching = asyncio.ensure_future(Kernel.attach(channel, KernelSettings(lease_s=0.06)))
    captured.say("hello", nonce=(await captured.hear("attach"))["nonce"], v=1, py="3.12.1")
    kernel = await attaching
    for _ in range(3):
        captured.say("ok", id=(await captured.hear("ping"))["id"])
    kernel.detach()
    assert await captured.is_hung_up_on()
