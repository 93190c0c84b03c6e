"""The host's side of a kernel's protocol, the same over every driver's channel: requests out, frames in.

Every frame is treated as hostile: its size and shape (frames.py), whether it was asked for (an id that nobody waits
for is dropped), and how much comes altogether (an allowance that each request adds to). A kernel that goes beyond is
hung up on, and whoever waits gets SandboxGoneError; to kill the box is the owner's part.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from itertools import count
from typing import Final

import msgspec

from agentrt.errors import InvalidRequestError, SandboxError, SandboxGoneError
from agentrt.sandbox import frames
from agentrt.sandbox.call import Call
from agentrt.sandbox.channel import Channel
from agentrt.sandbox.events import CallEvent, FileEntry
from agentrt.sandbox.netframe import NetFrame
from agentrt.sandbox.paths import is_safe_path

PROTOCOL: Final = 1

_PIECE_BYTES: Final = 1 << 20
_ANSWER_S: Final = 30.0
# The kernel stops a call itself, one second after its timeout at the latest; this much later it is not believed.
_BACKSTOP_S: Final = 5.0
_MAX_DROPPED: Final = 100
_ANSWER_BYTES: Final = 4096
_DISPLAYS_BYTES: Final = 48 * 1024 * 1024
_LISTING_BYTES: Final = frames.MAX_RAW_BYTES
_CALL_FRAMES: Final = 1_000_000
# Between two beats: answers to them, and connections that are opened and closed.
_BEAT_BYTES: Final = 1 << 20
_BEAT_FRAMES: Final = 10_000


class KernelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the host tells a kernel when it attaches.

    data: the folder of the files. lease_s: how long it lives without hearing from a host. grace_s: from the interrupt
    to the kill. output_bytes: of one call. checkpoint_bytes: variables above this size are not copied after a call.
    watch_bytes: memory of all processes to kill above, for drivers without a cgroup; 0 = do not watch. network: the
    kernel opens a way out through its frames, for `on_net` to serve.
    """

    data: str = "/mnt/data"
    lease_s: float = 120.0
    grace_s: float = 1.0
    output_bytes: int = 1 << 20
    checkpoint_bytes: int = 200 * 1024**2
    watch_bytes: int = 0
    network: bool = False


class Kernel:
    """A kernel that has said hello. One call runs at a time; a second one waits for it."""

    def __init__(self, channel: Channel, settings: KernelSettings) -> None:
        self.hello: frames.Hello
        self._channel = channel
        self._settings = settings
        self._reader = frames.FrameReader()
        self._prefix = secrets.token_hex(4)  # an earlier host's calls must not be taken for ours
        self._ids = count(1)
        self._answers: dict[str, asyncio.Future[tuple[frames.Frame, bytes]]] = {}
        self._call: Call | None = None
        self._turn = asyncio.Lock()
        self._gone: SandboxGoneError | None = None
        self._n_bytes_allowed = _LISTING_BYTES
        self._n_frames_allowed = 1000
        self._beat: asyncio.TimerHandle | None = None
        self._gone_event = asyncio.Event()
        self.backstop_s = _BACKSTOP_S
        self.on_net: Callable[[NetFrame, bytes], None] | None = None  # hears the `net` frames: tunnel.py

    @classmethod
    async def attach(cls, channel: Channel, settings: KernelSettings, *, timeout_s: float = _ANSWER_S) -> Kernel:
        """Speak to the kernel behind channel, fresh or left by another process.

        Raises SandboxGoneError if it ends or does not answer in time.
        """
        kernel = cls(channel, settings)
        nonce = secrets.token_hex(8)
        answer = kernel._expect(nonce)
        channel.listen(kernel._on_data, kernel._on_end)
        kernel._write({"t": "attach", "nonce": nonce, **msgspec.to_builtins(settings)})
        frame, _ = await kernel._wait(answer, nonce, timeout_s)
        if not isinstance(frame, frames.Hello) or frame.v != PROTOCOL:
            raise kernel._break_off("it speaks another protocol")
        kernel.hello = frame
        kernel._keep_alive()
        return kernel

    @property
    def is_alive(self) -> bool:
        return self._gone is None

    @property
    def is_busy(self) -> bool:
        """Whether a call runs or waits."""
        return self._turn.locked()

    async def execute(self, code: str, *, timeout_s: float | None) -> AsyncGenerator[CallEvent, None]:
        """Run code; the last event is Finished. timeout_s: None = no limit of time.

        Whoever stops iterating interrupts the call. Raises SandboxGoneError.
        """
        async with self._turn:
            if self._gone is not None:
                raise self._gone
            call = Call(self._new_id(), self._channel)
            self._call = call
            self._allow(n_bytes=8 * self._settings.output_bytes + _DISPLAYS_BYTES, n_frames=_CALL_FRAMES)
            self._write({"t": "exec", "id": call.id, "code": code, "timeout": timeout_s})
            now = asyncio.get_running_loop().time
            # Only what is spent waiting for the kernel, so that a slow reader need not fear for what is on its way. In
            # all and not for each event: a kernel that says something now and then would never have to end.
            left_s = None if timeout_s is None else timeout_s + self._settings.grace_s + self.backstop_s
            try:
                while not call.is_over:
                    asked_at = now()
                    event = await self._next(call, None if left_s is None else asked_at + left_s)
                    if left_s is not None:
                        left_s = max(0.0, left_s - (now() - asked_at))
                    yield event
            finally:
                self._call = None
                call.leave()
                if not call.is_over:
                    self._write({"t": "interrupt", "id": self._new_id(), "call": call.id})

    async def interrupt(self) -> None:
        """Interrupt the call that runs, if one does; it ends with status `interrupted`."""
        if self._call is not None:
            await self._ask({"t": "interrupt", "call": self._call.id})

    async def stop_left_call(self) -> None:
        """After a re-attach: interrupt the call of the process that is gone. Nobody hears how it ends."""
        if self.hello.active is not None:
            await self._ask({"t": "interrupt", "call": self.hello.active})

    async def reset(self) -> None:
        """A fresh worker: no variables, the files stay."""
        await self._ask({"t": "reset"})

    async def ping(self) -> None:
        await self._ask({"t": "ping"})

    async def put(self, path: str, chunks: AsyncIterable[bytes]) -> int:
        """Write a file, with the folders above it; answers its size. A file or link of that name is replaced.

        Raises InvalidRequestError for a name that is not allowed, SandboxError when there is no room.
        """
        check_path(path)
        offset = 0
        async for chunk in chunks:
            for start in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[start : start + _PIECE_BYTES]
                await self._put_piece(path, offset, piece)
                offset += len(piece)
        if offset == 0:
            await self._put_piece(path, 0, b"")
        return offset

    async def get(self, path: str, *, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """A file's bytes in pieces: as many as it had when the first was read.

        Raises FileNotFoundError, InvalidRequestError for what is no plain file or larger than max_bytes, SandboxError
        for one that shrinks meanwhile.
        """
        check_path(path)
        offset, size = 0, 1
        while offset < size:
            self._allow(n_bytes=_PIECE_BYTES + _ANSWER_BYTES)
            frame, raw = await self._ask({"t": "get", "path": path, "offset": offset, "size": _PIECE_BYTES})
            if not isinstance(frame, frames.Data):
                raise self._break_off("it answers something else")
            if offset == 0:
                size = frame.size
                if max_bytes is not None and size > max_bytes:
                    raise InvalidRequestError(f"The file '{path}' has {size} bytes: at most {max_bytes} are taken.")
                if size == 0:
                    return
            raw = raw[: size - offset]
            if len(raw) < min(_PIECE_BYTES, size - offset):  # else each byte could take as long as an answer may
                raise SandboxError(f"The file '{path}' changed while it was read.")
            offset += len(raw)
            yield raw

    async def list(self) -> list[FileEntry]:
        """The files below /mnt/data by path; those with names that are not fit to be shown are left out."""
        self._allow(n_bytes=_LISTING_BYTES)
        frame, raw = await self._ask({"t": "list"})
        if not isinstance(frame, frames.Listing):
            raise self._break_off("it answers something else")
        try:
            found = self._reader.listing(raw)
        except frames.HostileError as error:
            raise self._break_off(str(error)) from None
        return [
            FileEntry(path=file.path, size_bytes=file.size, modified_at=file.mtime / 1e9)
            for file in found
            if is_safe_path(file.path)
        ]

    async def delete(self, path: str) -> None:
        """Raises FileNotFoundError."""
        check_path(path)
        await self._ask({"t": "del", "path": path})

    def send_net(self, frame: NetFrame, raw: bytes) -> None:
        """A `net` frame to the kernel; what it may answer to an `ack` is allowed with it."""
        self._allow(n_bytes=frame.n + _ANSWER_BYTES)
        self._write({**msgspec.to_builtins(frame), **({"raw": len(raw)} if raw else {})}, raw)

    async def wait_gone(self) -> None:
        """Until the session is over, for whatever reason."""
        await self._gone_event.wait()

    def detach(self) -> None:
        """Hang up and leave the kernel running until its lease is over."""
        self._end(SandboxGoneError("The sandbox was detached."))

    def close(self) -> None:
        """Tell it to end, and hang up. What isolates it is the driver's to remove."""
        self._write({"t": "stop"})
        self._end(SandboxGoneError("The sandbox was closed."))

    async def _put_piece(self, path: str, offset: int, piece: bytes) -> None:
        try:
            await self._ask({"t": "put", "path": path, "offset": offset, "raw": len(piece)}, piece)
        except FileNotFoundError:  # the code has taken it away meanwhile, or the folder that it is to stand in
            raise SandboxError(f"'{path}' cannot be put into the sandbox: the code took it away.") from None

    async def _next(self, call: Call, latest_at: float | None) -> CallEvent:
        try:
            async with asyncio.timeout_at(latest_at):
                event = await call.next()
        except TimeoutError:
            raise self._break_off("it does not stop a call whose time is over") from None
        if event is None:
            raise self._gone or SandboxGoneError("The sandbox ended.")
        return event

    async def _ask(self, request: Mapping[str, object], raw: bytes = b"") -> tuple[frames.Frame, bytes]:
        """One request, one answer. A Fail becomes the error that it means."""
        request_id = self._new_id()
        answer = self._expect(request_id)
        self._allow(n_bytes=_ANSWER_BYTES)
        self._write({**request, "id": request_id}, raw)
        await self._channel.drain()
        frame, answer_raw = await self._wait(answer, request_id, _ANSWER_S)
        if isinstance(frame, frames.Fail):
            raise _error(frame, str(request.get("path", "")))
        return frame, answer_raw

    def _expect(self, request_id: str) -> asyncio.Future[tuple[frames.Frame, bytes]]:
        if self._gone is not None:
            raise self._gone
        answer: asyncio.Future[tuple[frames.Frame, bytes]] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = answer
        return answer

    async def _wait(
        self, answer: asyncio.Future[tuple[frames.Frame, bytes]], request_id: str, timeout_s: float
    ) -> tuple[frames.Frame, bytes]:
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise self._break_off("it does not answer") from None
        finally:
            self._answers.pop(request_id, None)

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._ids)}"

    def _allow(self, *, n_bytes: int, n_frames: int = 10) -> None:
        """What the kernel may send because of this request; never more than two calls' worth on top of each other."""
        most = 2 * (8 * self._settings.output_bytes + _DISPLAYS_BYTES) + _LISTING_BYTES
        self._n_bytes_allowed = min(self._n_bytes_allowed + n_bytes, most)
        self._n_frames_allowed = min(self._n_frames_allowed + n_frames, 2 * _CALL_FRAMES)

    def _write(self, frame: Mapping[str, object], raw: bytes = b"") -> None:
        line = msgspec.json.encode(frame) + b"\n"
        if raw:
            self._channel.write(line, raw)
        else:
            self._channel.write(line)

    def _keep_alive(self) -> None:
        self._allow(n_bytes=_BEAT_BYTES, n_frames=_BEAT_FRAMES)
        self._write({"t": "ping", "id": "beat"})
        self._beat = asyncio.get_running_loop().call_later(self._settings.lease_s / 3, self._keep_alive)

    def _on_data(self, data: bytes) -> None:
        self._n_bytes_allowed -= len(data)
        try:
            for frame, raw in self._reader.feed(data):
                self._n_frames_allowed -= 1
                self._take(frame, raw)
        except frames.HostileError as error:
            self._break_off(str(error))
        if self._n_bytes_allowed < 0 or self._n_frames_allowed < 0 or self._reader.n_dropped > _MAX_DROPPED:
            self._break_off("it sends more than it was asked for")

    def _take(self, frame: frames.Frame, raw: bytes) -> None:
        if isinstance(frame, NetFrame):
            if self.on_net is not None:
                self.on_net(frame, raw)
            return
        if isinstance(frame, frames.Hello):
            self._answer(frame.nonce, frame, raw)
        elif isinstance(frame, frames.Ok | frames.Fail | frames.Data | frames.Listing):
            self._answer(frame.id, frame, raw)
        if self._call is not None and not isinstance(frame, frames.Hello) and frame.id == self._call.id:
            self._call.take(frame, raw)

    def _answer(self, request_id: str, frame: frames.Frame, raw: bytes) -> None:
        answer = self._answers.get(request_id)
        if answer is not None and not answer.done():
            answer.set_result((frame, raw))

    def _on_end(self) -> None:
        self._end(SandboxGoneError("The sandbox ended."))

    def _break_off(self, why: str) -> SandboxGoneError:
        """The kernel cannot be trusted or does not work: hang up."""
        error = SandboxGoneError(f"The sandbox was given up: {why}.")
        self._end(error)
        return error

    def _end(self, error: SandboxGoneError) -> None:
        if self._gone is not None:
            return
        self._gone = error
        self._gone_event.set()
        if self._beat:
            self._beat.cancel()
        self._channel.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
        if self._call is not None:
            self._call.give_up()


def check_path(path: str) -> None:
    """Raises InvalidRequestError for a path that may not stand below /mnt/data."""
    if not is_safe_path(path):
        raise InvalidRequestError(f"'{path[:100]!r}' is no path of a file in a sandbox.", param="path")


def _error(fail: frames.Fail, path: str) -> Exception:
    if fail.code == "not_found":
        return FileNotFoundError(f"There is no file '{path}' in the sandbox.")
    if fail.code == "refused":
        return InvalidRequestError(f"'{path}' in the sandbox is no plain file.", param="path")
    if fail.code == "full":
        return SandboxError("There is no room left in the sandbox.")
    return SandboxError("The sandbox could not do that.")
