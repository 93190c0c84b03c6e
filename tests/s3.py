"""A server that speaks S3's protocol, in a process of its own: moto, from its wheel. Gone after the tests."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count

import httpx
import pytest
from msgspec.structs import replace

from agentrt.config.schema import S3Spec
from agentrt.secret import Secret

_READY_WITHIN_S = 60
_numbers = count(1)


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of its own."""

    url: str
    name: str
    prefix: str = "files"

    def spec(self, **changes: str) -> S3Spec:
        spec = S3Spec(
            bucket=self.name,
            prefix=self.prefix,
            endpoint=self.url,
            region="us-east-1",
            access_key_id="tester",
            secret_access_key=Secret("never-shown-anywhere"),
        )
        return replace(spec, **changes)

    def toml(self) -> str:
        """The same as a table of agents.toml."""
        return (
            f'[files.s3]\nbucket = "{self.name}"\nprefix = "{self.prefix}"\nendpoint = "{self.url}"\n'
            'region = "us-east-1"\naccess_key_id = "tester"\nsecret_access_key = "${S3_KEY:-never-shown-anywhere}"\n'
        )

    def names(self) -> list[str]:
        """What is in it, without the prefix."""
        listing = httpx.get(f"{self.url}/{self.name}", params={"list-type": "2"}).text
        return [name.removeprefix(f"{self.prefix}/") for name in re.findall(r"<Key>(.*?)</Key>", listing)]

    def unfinished(self) -> list[str]:
        """Multipart uploads that nobody completed or aborted."""
        return re.findall(r"<UploadId>", httpx.get(f"{self.url}/{self.name}", params={"uploads": ""}).text)


@contextmanager
def running_s3() -> Iterator[str]:
    """Its address. Skips the test when the wheels are not installed."""
    for wheel in ("moto", "flask", "obstore"):
        if find_spec(wheel) is None:
            pytest.skip(f"needs the wheel {wheel}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def make_bucket(url: str) -> Bucket:
    bucket = Bucket(url, f"bucket-{next(_numbers)}")
    assert httpx.put(f"{url}/{bucket.name}").status_code == 200
    return bucket


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "the S3 server has died"
            assert time.monotonic() < deadline, "the S3 server does not start"
            time.sleep(0.02)
