"""Sandbox: one isolated session of Python, for a model's code or one's own. Usable alone; pool.py keeps many.

async with Sandbox.open("python") as box:
    result = await box.run("1 + 1")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

from agentrt.config.schema import SandboxDriver, SandboxSpec
from agentrt.errors import SandboxError, SandboxGoneError
from agentrt.sandbox.driver import Box, Capabilities, Driver, Left
from agentrt.sandbox.events import CallEvent, FileEntry
from agentrt.sandbox.kernel import Kernel, KernelSettings
from agentrt.sandbox.result import CodeResult, drained

_READ_BYTES: Final = 1 << 20
# A copy of the variables shares memory with them until one of the two is written: more than this could not be held.
_CHECKPOINT_SHARE: Final = 0.4
_START_S: Final = 60.0


class Sandbox:
    """One session. Variables live from call to call; one call runs at a time, others wait for it."""

    def __init__(self, box: Box, kernel: Kernel, spec: SandboxSpec, driver: Driver) -> None:
        self._box = box
        self._kernel = kernel
        self._spec = spec
        self._driver = driver

    @classmethod
    @asynccontextmanager
    async def open(
        cls, sandbox: str | SandboxSpec = "python", *, driver: SandboxDriver | None = None, config: Path | None = None
    ) -> AsyncGenerator[Sandbox, None]:
        """A session that ends with the block.

        sandbox: the name of a [sandboxes.*] table (`python` is always there), or a spec of one's own. driver: instead
        of the table's. config: the agents.toml, None = found as by the command line.
        Raises SandboxError when nothing works here, with what was tried and how to get it; ConfigError.
        """
        from agentrt.sandbox.choose import choose_driver

        spec = await asyncio.to_thread(declared_sandbox, sandbox, config) if isinstance(sandbox, str) else sandbox
        chosen = await choose_driver(_with_driver(spec, driver))
        try:
            box = await cls.start(chosen.driver, spec)
            try:
                async with box.way_out():
                    yield box
            finally:
                await box.close()
        finally:
            await chosen.driver.close()

    @classmethod
    async def start(cls, driver: Driver, spec: SandboxSpec, *, session: str | None = None) -> Sandbox:
        """A session of its own on a driver; the caller closes it. Raises SandboxError."""
        return await cls._connected(await driver.open(session), spec, driver)

    @classmethod
    async def take_over(cls, driver: Driver, spec: SandboxSpec, left: Left) -> Sandbox:
        """A session that an earlier process has left running, with its variables. Raises SandboxError."""
        sandbox = await cls._connected(await driver.attach(left), spec, driver)
        await sandbox._kernel.stop_left_call()
        return sandbox

    @classmethod
    async def _connected(cls, box: Box, spec: SandboxSpec, driver: Driver) -> Sandbox:
        try:
            kernel = await Kernel.attach(box.channel, kernel_settings(spec, driver.capabilities), timeout_s=_START_S)
        except SandboxGoneError as error:
            words = (await box.last_words()).strip()
            await box.kill()
            raise SandboxError(f"{driver.name}: no sandbox came up. {error} {words}".strip()) from None
        except BaseException:
            await box.kill()
            raise
        return cls(box, kernel, spec, driver)

    @property
    def box_id(self) -> str:
        """What isolates it, in the driver's words (a container's id), for logs."""
        return self._box.box_id

    @property
    def driver(self) -> str:
        return self._driver.name

    @property
    def capabilities(self) -> Capabilities:
        return self._driver.capabilities

    @property
    def python_version(self) -> str:
        return self._kernel.hello.py

    @property
    def packages(self) -> tuple[str, ...]:
        """What can be imported besides the standard library, `name-version`."""
        return self._kernel.hello.packages

    @property
    def is_alive(self) -> bool:
        return self._kernel.is_alive

    @property
    def is_busy(self) -> bool:
        """Whether a call runs or waits."""
        return self._kernel.is_busy

    async def run(
        self, code: str, *, timeout_s: float | None = None, on_event: Callable[[CallEvent], None] | None = None
    ) -> CodeResult:
        """Run code to its end. timeout_s: instead of the spec's. on_event hears of everything as it happens.

        What the code does wrong is in the result; SandboxGoneError means that the session is over.
        """
        events: list[CallEvent] = []
        async with aclosing(self.stream(code, timeout_s=timeout_s)) as stream:
            async for event in stream:
                events.append(event)
                if on_event:
                    on_event(event)
        return drained(events)

    def stream(self, code: str, *, timeout_s: float | None = None) -> AsyncGenerator[CallEvent, None]:
        """Run code; its events as they happen, Finished at the end. Who closes it early interrupts the call."""
        return self._kernel.execute(code, timeout_s=self._spec.timeout_s if timeout_s is None else timeout_s)

    async def interrupt(self) -> None:
        """Interrupt the call that runs, as Ctrl-C does; variables stay."""
        await self._kernel.interrupt()

    async def reset(self) -> None:
        """Forget all variables and end everything that runs; files stay."""
        await self._kernel.reset()

    async def put(self, path: str, data: bytes | str | Path | AsyncIterable[bytes]) -> int:
        """Write a file below /mnt/data; answers its size in bytes. data: bytes, text, a file here, or pieces.

        Raises InvalidRequestError for a path that is not allowed, SandboxError when there is no room.
        """
        return await self._kernel.put(path, _pieces(data))

    async def get(self, path: str, *, max_bytes: int | None = None) -> bytes:
        """A file's content. Raises FileNotFoundError, InvalidRequestError for no plain file or above max_bytes."""
        return b"".join([piece async for piece in self.read(path, max_bytes=max_bytes)])

    def read(self, path: str, *, max_bytes: int | None = None) -> AsyncGenerator[bytes, None]:
        """A file's content in pieces of up to a megabyte. Errors as of `get`."""
        return self._kernel.get(path, max_bytes=max_bytes)

    async def list(self) -> list[FileEntry]:
        """The files below /mnt/data."""
        return await self._kernel.list()

    async def delete(self, path: str) -> None:
        """Raises FileNotFoundError."""
        await self._kernel.delete(path)

    async def claim(self, session: str) -> None:
        """From now on it is this session's, also for whoever finds it after this process."""
        await self._box.claim(session)

    @asynccontextmanager
    async def way_out(self) -> AsyncGenerator[None, None]:
        """Serve the sandbox's connections to the hosts that its spec allows, as long as the block lasts."""
        if not self._spec.network:
            yield
            return
        from agentrt.sandbox.allowed_hosts import AllowedHosts
        from agentrt.sandbox.tunnel import Tunnel

        async with Tunnel(AllowedHosts(self._spec.network), self._kernel.send_net, session=self._spec.name) as tunnel:
            self._kernel.on_net = tunnel.feed
            yield

    async def serve_network(self) -> None:
        """`way_out` for an owner with tasks: until the session is over."""
        async with self.way_out():
            await self._kernel.wait_gone()

    async def close(self) -> None:
        """End it: the process, its files and variables. Works any number of times."""
        self._kernel.close()
        await self._box.kill()

    def detach(self) -> None:
        """Let go of it and leave it running for its lease, if the driver can; otherwise it ends."""
        self._kernel.detach()
        self._box.detach()


def kernel_settings(spec: SandboxSpec, capabilities: Capabilities) -> KernelSettings:
    """What the kernel of such a sandbox is to be told."""
    memory = spec.limits.memory_bytes
    return KernelSettings(
        data=capabilities.folder,
        checkpoint_bytes=int(memory * _CHECKPOINT_SHARE),
        watch_bytes=0 if capabilities.memory else memory,
        network=bool(spec.network),
    )


def declared_sandbox(name: str, config: Path | None) -> SandboxSpec:
    """The [sandboxes.NAME] table. Reads files: use a thread. Raises ConfigError, SandboxError when it is not there."""
    from agentrt.config.load import load_config
    from agentrt.config.project import find_project

    project = find_project(config)
    sandboxes = load_config(project.path, state_folder=project.state_folder).sandboxes
    if name not in sandboxes:
        raise SandboxError(f"There is no [sandboxes.{name}] in agents.toml, only {', '.join(sandboxes)}.")
    return sandboxes[name]


def _with_driver(spec: SandboxSpec, driver: SandboxDriver | None) -> SandboxSpec:
    if driver is None:
        return spec
    import msgspec

    return msgspec.structs.replace(spec, driver=driver)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


async def _pieces(data: bytes | str | Path | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    if isinstance(data, str):
        yield data.encode("utf-8")  # noqa: ASYNC240 - not a path that is opened here
    elif isinstance(data, bytes):
        yield data
    elif isinstance(data, Path):
        with await asyncio.to_thread(_opened, data) as file:
            while piece := await asyncio.to_thread(file.read, _READ_BYTES):
                yield piece
    else:
        async for piece in data:
            yield piece
