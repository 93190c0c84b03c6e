"""Sandboxes of each driver, and a machine with things in it that no sandbox may find."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from agentrt.sandbox.bubblewrap import BubblewrapDriver
from agentrt.sandbox.docker import DockerDriver
from agentrt.sandbox.driver import Driver, Unavailable
from tests.compat.performance import leave_out
from tests.docker_engine import DockerEngine
from tests.sandbox.sessions import SECRET, SPEC, Session, open_session


@pytest.fixture(scope="module", params=["docker", "bubblewrap"])
def driver_name(request: pytest.FixtureRequest) -> str:
    """The drivers that run real Python in isolation."""
    name: str = request.param
    return name


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def driver(driver_name: str, request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    """Skips (in CI: fails) with the reason where it does not work."""
    driver = _docker(request) if driver_name == "docker" else BubblewrapDriver(SPEC)
    probe = await driver.probe()
    if isinstance(probe, Unavailable):
        leave_out(f"{driver_name}: {probe.why}: {probe.remedy}")
    yield driver
    await driver.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def victim(driver: Driver) -> AsyncIterator[Session]:
    """One sandbox for all abuses of a module."""
    async with open_session(driver) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def session(victim: Session) -> Session:
    """That sandbox, alive."""
    await victim.be_alive()
    return victim


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(driver: Driver) -> AsyncIterator[Session]:
    """Another one beside it, which must not notice anything."""
    async with open_session(driver) as session:
        yield session


@pytest.fixture(scope="module")
def host() -> Iterator[dict[str, object]]:
    """What is known of this machine. SECRET is in a file, a variable, a process, and behind four sockets."""
    folder = Path(tempfile.mkdtemp(prefix="agentrt-canary-"))
    file = folder / "secret.txt"
    file.write_text(SECRET)
    file.chmod(0o644)
    folder.chmod(0o755)
    os.environ["AGENTRT_CANARY"] = SECRET  # noqa: TID251
    process = subprocess.Popen(["sleep", "600"], env={"AGENTRT_CANARY": SECRET})
    abstract = f"\0agentrt-{os.getpid()}"
    servers = [_tell("0.0.0.0"), _tell("::"), _tell(str(folder / "socket")), _tell(abstract)]
    (folder / "socket").chmod(0o777)
    try:
        yield {
            "file": str(file),
            "name": file.name,
            "terces": SECRET[::-1],
            "user": getpass.getuser(),
            "node": socket.gethostname(),
            "names": [entry.name for place in ("/home", "/root", "/srv") for entry in _entries(place)],
            "addresses": _addresses(),
            "port": servers[0].getsockname()[1],
            "socket": str(folder / "socket"),
            "abstract": abstract,
        }
    finally:
        del os.environ["AGENTRT_CANARY"]  # noqa: TID251
        process.kill()
        process.wait()
        for server in servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
        for entry in folder.iterdir():
            entry.unlink()
        folder.rmdir()


def _docker(request: pytest.FixtureRequest) -> Driver:
    engine: DockerEngine = request.getfixturevalue("docker_engine")
    spec = msgspec.structs.replace(SPEC, image=request.getfixturevalue("docker_image"))
    return DockerDriver(spec, url=engine.url)


def _tell(where: str) -> socket.socket:
    """A server that tells everybody the secret."""
    if where == "::":
        server = socket.socket(socket.AF_INET6)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((where, 0))
    elif where == "0.0.0.0":
        server = socket.socket()
        server.bind((where, 0))
    else:
        server = socket.socket(socket.AF_UNIX)
        server.bind(where)
    server.listen()

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                peer.sendall(SECRET.encode())

    threading.Thread(target=serve, daemon=True).start()
    return server


def _entries(place: str) -> list[Path]:
    """What is in a folder, as far as this user sees it."""
    try:
        return [entry for entry in Path(place).iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _addresses() -> list[str]:
    """This machine's own, but loopback."""
    said = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    return [address for address in said if ":" not in address]
