"""A box that is a process of this machine, with one end of a socket pair as its stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from agentrt.errors import SandboxError
from agentrt.sandbox.boot import boot_bytes
from agentrt.sandbox.channel import Channel

_STOP_S: Final = 5.0
_LAST_WORDS_BYTES: Final = 2000


class ProcessBox:
    """Satisfies `driver.Box`. It ends with this process: the kernel hears that the channel has ended."""

    def __init__(
        self, process: subprocess.Popen[bytes], channel: Channel, said: IO[bytes], on_end: Callable[[], None]
    ) -> None:
        self.box_id = f"{process.pid}"
        self.channel = channel
        self._process = process
        self._said = said
        self._on_end = on_end

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        pass_fds: Sequence[int] = (),
        on_end: Callable[[], None] = lambda: None,
        sends_kernel: bool = True,
    ) -> ProcessBox:
        """Start command in a session of its own. on_end is called when it is gone for good, also if it never starts.

        sends_kernel: it runs BOOT_COMMAND and waits for the kernel's source. Raises SandboxError.
        """
        ours, theirs = socket.socketpair()
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        try:
            process = _spawn(command, environment, pass_fds, theirs, said)
        except OSError as error:
            ours.close()
            said.close()
            on_end()
            raise SandboxError(f"{command[0]} does not start: {error.strerror}") from None
        finally:
            theirs.close()
        try:
            channel = await Channel.open(ours)
        except BaseException:  # cancelled: nobody would know of it
            process.kill()
            process.wait()
            said.close()
            on_end()
            raise
        if sends_kernel:
            channel.write(boot_bytes())
        return cls(process, channel, said, on_end)

    async def claim(self, session: str) -> None:
        """There is nowhere to write it down, and no need to."""

    async def last_words(self) -> str:
        if self._said.closed:
            return ""
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, 0.5)  # much is said on the way out
        size = os.fstat(self._said.fileno()).st_size
        words = os.pread(self._said.fileno(), _LAST_WORDS_BYTES, max(0, size - _LAST_WORDS_BYTES))
        return words.decode("utf-8", "replace")

    async def kill(self) -> None:
        if self._said.closed:
            return
        self._kill()
        self.channel.close()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            raise SandboxError(f"The process {self.box_id} does not end, although it was killed.") from None
        finally:
            if not self._said.closed:  # two may have killed it at the same time
                self._said.close()
                self._on_end()

    def detach(self) -> None:
        """It cannot go on without us."""
        self._kill()
        self.channel.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    pass_fds: Sequence[int],
    channel: socket.socket,
    said: IO[bytes],
) -> subprocess.Popen[bytes]:
    # On the event loop's own thread, for the two milliseconds that it takes: what asks the system to end with its
    # parent ends with the thread that started it.
    return subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdin=channel.fileno(),
        stdout=channel.fileno(),
        stderr=said,
        env=environment,
        pass_fds=pass_fds,
        start_new_session=True,
    )
