"""How a container engine is found, and spoken to over TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.docker import DockerDriver
from agentrt.sandbox.docker_engine import NoEngineError, connect
from agentrt.sandbox.sandbox import Sandbox
from tests.docker_engine import DockerEngine


class TestFindingAnEngine:
    @pytest.fixture(autouse=True)
    def _nothing_is_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "DOCKER_TLS_VERIFY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))

    def test_docker_host_is_the_only_place_if_it_is_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        with pytest.raises(NoEngineError) as caught:
            connect()
        assert str(caught.value) == f"cannot connect to unix://{tmp_path}/none.sock: No such file or directory"

    def test_an_engine_says_what_it_is(self, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", docker_engine.url)
        client, engine = connect()
        client.close()
        assert engine.detail.startswith("Docker ")
        assert engine.has_seccomp
        assert "runc" in engine.runtimes

    def test_the_chosen_context_is_looked_at_first(
        self, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        meta = tmp_path / ".docker" / "contexts" / "meta" / "abc" / "meta.json"
        meta.parent.mkdir(parents=True)
        meta.write_text(json.dumps({"Name": "colima", "Endpoints": {"docker": {"Host": docker_engine.url}}}))
        (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "colima"}')
        client, engine = connect()
        client.close()
        assert engine.url == docker_engine.url

    def test_podmans_socket_of_this_user_is_a_place_too(
        self, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        if Path("/var/run/docker.sock").exists():
            pytest.skip("this machine has an engine in the usual place, which comes first")
        (tmp_path / "podman").mkdir()
        (tmp_path / "podman" / "podman.sock").symlink_to(docker_engine.url.removeprefix("unix://"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        client, engine = connect()
        client.close()
        assert engine.url.endswith("podman/podman.sock")


async def test_an_engine_behind_tls_is_spoken_to_as_well(
    docker_image: str, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    server = await asyncio.start_server(
        lambda reader, writer: relay(reader, writer, docker_engine.url.removeprefix("unix://")),
        "127.0.0.1",
        0,
        ssl=server_context(tmp_path),
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # goes before the certificate that Docker names
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
        spec = SandboxSpec(name="python", image=docker_image)
        driver = DockerDriver(spec)
        sandbox = await Sandbox.start(driver, spec)
        data = bytes(range(256)) * 12_000
        await sandbox.put("data", data)
        assert await sandbox.get("data") == data
        assert (await sandbox.run("print('x' * 100_000)")).output == "x" * 100_000 + "\n"
        await sandbox.close()
        await driver.close()


def make_certificates(folder: Path) -> None:
    """One that signs itself, for both sides."""
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run([*command, *subject], cwd=folder, check=True, capture_output=True)
    (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    """Pass everything to the engine's socket and back."""
    engine_reader, engine_writer = await asyncio.open_unix_connection(path)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while piece := await source.read(65536):
                target.write(piece)
                await target.drain()
        target.close()

    await asyncio.gather(pump(reader, engine_writer), pump(engine_reader, writer))
