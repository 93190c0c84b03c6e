"""An engine that breaks off: what the driver makes of it. The engine is a few answers on a Unix socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.docker import DockerDriver

SPEC = SandboxSpec(name="python", image="some/image:1")
VERSION = {"Version": "28.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24", "Components": []}


class Engine:
    """Says who it is, and knows one image unless it is to be pulled; everything else breaks the connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"unix://{path}"
        self.has_image = True
        self.is_pulling = asyncio.Event()
        self.was_hung_up_on = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                if path.endswith("/version"):
                    answer(writer, VERSION)
                elif path.endswith("/info"):
                    answer(writer, {"Runtimes": {"runc": {}}, "SecurityOptions": []})
                elif "/images/" in path and path.endswith("/json"):
                    answer(
                        writer, *(({"Id": "sha256:1"}, 200) if self.has_image else ({"message": "No such image"}, 404))
                    )
                elif "/images/create" in path:
                    await self._pull(writer)
                else:
                    break

    async def _pull(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        line = json.dumps({"status": "Downloading"}).encode() + b"\r\n"
        try:
            while True:
                writer.write(b"%x\r\n%s\r\n" % (len(line), line))
                await writer.drain()
                self.is_pulling.set()
                await asyncio.sleep(0.01)
        except ConnectionError:
            self.was_hung_up_on.set()


def answer(writer: asyncio.StreamWriter, body: object, status: int = 200) -> None:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = Engine(tmp_path / "engine.sock")
    server = await asyncio.start_unix_server(engine.accept, engine._path)
    yield engine
    server.close()
    for task in engine.tasks:
        task.cancel()
    await asyncio.gather(*engine.tasks, return_exceptions=True)


async def test_an_engine_that_goes_away_is_no_sandbox_and_not_a_bug_of_ours(engine: Engine) -> None:
    driver = DockerDriver(SPEC, url=engine.url)
    with pytest.raises(SandboxError, match="The container engine"):
        await driver.open("thread_1")
    with pytest.raises(SandboxError, match="The container engine"):
        await driver.left()
    await driver.close()


async def test_whoever_gives_up_waiting_for_an_image_ends_its_making(engine: Engine) -> None:
    engine.has_image = False
    driver = DockerDriver(SPEC, url=engine.url)
    opening = asyncio.ensure_future(driver.open())
    async with asyncio.timeout(20):
        await engine.is_pulling.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with asyncio.timeout(20):
        await engine.was_hung_up_on.wait()


def test_the_sdk_is_imported_in_a_thread() -> None:
    """It takes half a second, in which nobody would be served."""
    code = (
        "import asyncio, sys, threading\n"
        "from agentrt.sandbox.docker import DockerDriver\n"
        "from agentrt.config.schema import SandboxSpec\n"
        "class Spy:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'docker': print(threading.current_thread() is threading.main_thread())\n"
        "sys.meta_path.insert(0, Spy())\n"
        "driver = DockerDriver(SandboxSpec(name='python', image='x'), url='tcp://127.0.0.1:1')\n"
        "asyncio.run(driver.probe())\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split() == ["False"]
