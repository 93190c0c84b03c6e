"""What is particular about containers: what they are held to, who owns them, and the image."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentrt.config.schema import SandboxLimits, SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox import docker_box, docker_image
from agentrt.sandbox.docker import DockerDriver
from agentrt.sandbox.docker_image import ensure_image, image_of
from agentrt.sandbox.driver import Unavailable
from agentrt.sandbox.kernel import Kernel, KernelSettings
from agentrt.sandbox.pool import Pool
from agentrt.sandbox.sandbox import Sandbox
from agentrt.secret import Secret
from tests.docker_engine import DockerEngine

MB = 1024**2


@pytest.fixture
def spec(docker_image: str) -> SandboxSpec:
    return SandboxSpec(
        name="python",
        image=docker_image,
        limits=SandboxLimits(memory_bytes=200 * MB, cpus=0.5, processes=50, disk_bytes=20 * MB),
        environment={"GREETING": Secret("hello")},
    )


@pytest.fixture
def client(docker_engine: DockerEngine) -> Iterator[Any]:
    client = docker_engine.client()
    yield client
    client.close()


@pytest.fixture
async def driver(spec: SandboxSpec, docker_engine: DockerEngine, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    driver = DockerDriver(spec, owner=f"test-{abs(hash(request.node.name))}", url=docker_engine.url)
    yield driver
    for left in await driver.left():
        await (await driver.attach(left)).kill()
    await driver.close()


async def test_a_container_is_held_to_everything(driver: DockerDriver, spec: SandboxSpec, client: Any) -> None:
    sandbox = await Sandbox.start(driver, spec, session="thread_1")
    found = client.inspect_container(sandbox.box_id)
    config, host = found["Config"], found["HostConfig"]
    user, group = config["User"].split(":")
    assert user == group
    assert int(user) > 1000
    assert "GREETING=hello" in config["Env"]
    assert not config["StdinOnce"]
    assert (config["Labels"]["agentrt.sandbox"], found["Name"]) == ("python", f"/agentrt.{driver._owner}.s.thread_1")
    assert (host["CapDrop"], host["Privileged"], host["Binds"], host["Devices"]) == (["ALL"], False, None, None)
    assert host["ReadonlyRootfs"]
    assert (host["NetworkMode"], host["IpcMode"], host["PidMode"]) == ("none", "private", "")
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (200 * MB, 200 * MB, 500_000_000)
    assert (host["PidsLimit"], host["ShmSize"], host["AutoRemove"]) == (50, 16 * MB, True)
    assert host["LogConfig"]["Type"] == "none"
    assert set(host["Tmpfs"]) == {"/tmp", "/mnt/data", "/dev/shm"}
    assert all("nosuid,nodev" in options and "nr_inodes=" in options for options in host["Tmpfs"].values())
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {"nofile": 1024, "core": 0, "fsize": 20 * MB}
    no_new_privileges, seccomp = host["SecurityOpt"]
    assert no_new_privileges == "no-new-privileges"
    assert json.loads(seccomp.removeprefix("seccomp="))["defaultAction"] == "SCMP_ACT_ERRNO"
    await sandbox.close()
    assert client.containers(all=True, filters={"id": sandbox.box_id}) == []


async def test_whoever_removes_a_container_that_is_being_removed_waits_until_it_is_gone(
    driver: DockerDriver, spec: SandboxSpec, client: Any
) -> None:
    """The engine itself removes each of ours when it ends."""
    sandbox = await Sandbox.start(driver, spec, session="thread_1")

    def remove_and_look() -> list[Any]:
        docker_box.remove(client, sandbox.box_id)
        return list(client.containers(all=True, filters={"id": sandbox.box_id}))

    async with asyncio.TaskGroup() as removers:
        looks = [removers.create_task(asyncio.to_thread(remove_and_look)) for _ in range(8)]
    assert [look.result() for look in looks] == [[]] * 8
    await sandbox.close()


async def test_the_code_sees_what_it_was_given_and_nothing_of_ours(driver: DockerDriver, spec: SandboxSpec) -> None:
    sandbox = await Sandbox.start(driver, spec)
    seen = (await sandbox.run("import os\nsorted(os.environ)")).text
    assert "GREETING" in seen
    assert "AGENTRT" not in seen
    assert (await sandbox.run("os.getuid() > 1000, os.getcwd(), os.getpid() > 1")).result == "(True, '/mnt/data', True)"
    assert (await sandbox.run("import socket\nsocket.create_connection(('127.0.0.1', 22), 1)")).status == "error"
    await sandbox.close()


async def test_figures_and_tables_come_out(driver: DockerDriver, spec: SandboxSpec) -> None:
    sandbox = await Sandbox.start(driver, spec)
    code = "import matplotlib.pyplot as plt\nprint('before')\nplt.plot([1, 2])\nplt.show()\n"
    code += "print('after')\nplt.bar([1], [2])"
    kinds = [type(event).__name__ async for event in sandbox.stream(code, timeout_s=60)]
    # A slow machine may flush between a line and its end: outputs that follow one another are one.
    assert [kind for kind, _ in groupby(kinds)] == ["Output", "Display", "Output", "Display", "Finished"]
    table = await sandbox.run("import pandas as pd\npd.DataFrame({'a': [1]})", timeout_s=60)
    assert [display.mime for display in table.displays] == ["text/html"]
    assert "a\n0  1" in table.text
    image = await sandbox.run("from PIL import Image\nImage.new('RGB', (4, 4)).show()\nImage.new('RGB', (4, 4))")
    assert [display.mime for display in image.displays] == ["image/png", "image/png"]
    await sandbox.close()


async def test_only_the_owners_containers_are_found_and_outdated_ones_go(
    driver: DockerDriver, spec: SandboxSpec, docker_engine: DockerEngine, client: Any
) -> None:
    sandbox = await Sandbox.start(driver, spec, session="thread_1")
    stranger = DockerDriver(spec, owner="stranger", url=docker_engine.url)
    assert await stranger.left() == []
    changed = msgspec.structs.replace(spec, limits=SandboxLimits(memory_bytes=300 * MB))
    successor = DockerDriver(changed, owner=driver._owner, url=docker_engine.url)
    assert await successor.left() == []
    assert client.containers(all=True, filters={"id": sandbox.box_id}) == []
    for other in (stranger, successor):
        await other.close()
    await sandbox.close()


async def test_a_name_that_is_taken_by_something_left_over_is_taken_over(
    driver: DockerDriver, spec: SandboxSpec
) -> None:
    old = await Sandbox.start(driver, spec, session="thread_1")
    new = await Sandbox.start(driver, spec)
    await new.claim("thread_1")
    assert [(left.box_id, left.session) for left in await driver.left()] == [(new.box_id, "thread_1")]
    await new.close()
    await old.close()


async def test_a_new_box_for_a_session_that_has_one_replaces_it(driver: DockerDriver, spec: SandboxSpec) -> None:
    old = await Sandbox.start(driver, spec, session="thread_1")
    new = await Sandbox.start(driver, spec, session="thread_1")
    assert [left.box_id for left in await driver.left()] == [new.box_id]
    await new.close()
    await old.close()


async def test_who_gives_up_waiting_for_a_start_leaves_nothing_behind(
    driver: DockerDriver, spec: SandboxSpec, client: Any
) -> None:
    await driver.probe()
    opening = asyncio.ensure_future(driver.open("thread_1"))
    await asyncio.sleep(0.05)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert client.containers(all=True, filters={"label": [f"agentrt.owner={driver._owner}"]}) == []


async def test_a_runtime_that_the_engine_does_not_have_is_named(spec: SandboxSpec, docker_engine: DockerEngine) -> None:
    driver = DockerDriver(msgspec.structs.replace(spec, runtime="runsc"), url=docker_engine.url)
    probe = await driver.probe()
    assert isinstance(probe, Unavailable)
    assert "no runtime 'runsc'" in probe.why
    await driver.close()


async def test_an_image_without_python_is_no_sandbox(docker_engine: DockerEngine, client: Any, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY note /note\n")
    (tmp_path / "note").write_text("nothing else")
    driver = DockerDriver(SandboxSpec(name="empty", build=tmp_path), url=docker_engine.url)
    probe = await driver.probe()
    assert isinstance(probe, Unavailable)
    assert "python3" in f"{probe.why} {probe.remedy}"
    await driver.close()


async def test_hosts_can_be_allowed(
    docker_engine: DockerEngine, docker_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.url)
    spec = SandboxSpec(name="python", image=docker_image, network=("allowed.example",), driver="docker")
    ask = "import urllib.request as u\ntry: u.urlopen('http://other.example/')\nexcept OSError as error: print(error)"
    async with Sandbox.open(spec) as box:
        assert (await box.run(ask)).output == "HTTP Error 403: Forbidden\n"


async def test_an_image_that_was_removed_meanwhile_is_built_again(
    docker_engine: DockerEngine, client: Any, docker_image: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {docker_image}\nLABEL made={time.monotonic()}\n")
    spec = SandboxSpec(name="pruned", build=tmp_path)
    driver = DockerDriver(spec, url=docker_engine.url)
    await (await Sandbox.start(driver, spec)).close()
    client.remove_image(image_of(spec), force=True)
    sandbox = await Sandbox.start(driver, spec)
    assert (await sandbox.run("1 + 1")).result == "2"
    await sandbox.close()
    await driver.close()
    client.remove_image(image_of(spec), force=True)


async def test_an_image_is_built_once_and_again_when_its_folder_changes(
    docker_engine: DockerEngine, docker_image: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {docker_image}\nCOPY note /note\n")
    (tmp_path / "note").write_text(f"first {time.monotonic()}")
    spec = SandboxSpec(name="My Box", build=tmp_path)
    said: list[str] = []
    for _ in range(2):
        client = docker_engine.client()
        ensure_image(client, spec, said.append)
        client.close()
    assert sum(line.startswith("Step 1/2") for line in said) == 1
    first = image_of(spec)
    assert first.startswith("agentrt/my-box:")
    (tmp_path / "note").write_text("second")
    assert image_of(spec) != first
    (tmp_path / "runner.py").write_text("the kernel is no part of it")
    second = image_of(spec)
    (tmp_path / "runner.py").write_text("so it may change")
    assert image_of(spec) == second


async def test_packages_are_added_to_the_image(docker_engine: DockerEngine, docker_image: str, tmp_path: Path) -> None:
    """pip has no index in the tests' engine: that it is asked for the packages, and what it says, has to do."""
    spec = SandboxSpec(name="python", image=docker_image, packages=("no-such-package-of-agentrt==1.0",))
    assert image_of(spec).startswith("agentrt/python-packages:")
    driver = DockerDriver(spec, url=docker_engine.url)
    probe = await driver.probe()
    assert isinstance(probe, Unavailable)
    assert "no-such-package-of-agentrt==1.0" in probe.why
    await driver.close()


async def test_packages_that_are_there_already_make_an_image_that_works(
    docker_engine: DockerEngine, docker_image: str
) -> None:
    spec = SandboxSpec(name="python", image=docker_image, packages=("numpy>=1", "pandas"))
    driver = DockerDriver(spec, url=docker_engine.url)
    sandbox = await Sandbox.start(driver, spec)
    assert (await sandbox.run("import os\nos.getuid() > 1000")).result == "True"
    await sandbox.close()
    await driver.close()


def test_what_pip_would_take_for_an_option_is_no_package() -> None:
    with pytest.raises(SandboxError, match="is not what pip calls a package"):
        docker_image._derived("base", ["--index-url=http://x"])


OWNER = """
import asyncio, sys
from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.docker import DockerDriver
from agentrt.sandbox.pool import Pool
async def main(url, image, owner):
    spec = SandboxSpec(name="python", image=image, pool=1)
    async with Pool(DockerDriver(spec, owner=owner, url=url), spec) as pool:
        async with pool.session("thread_1") as box:
            await box.put("kept.txt", b"a file")
            await box.run("kept = 'a variable'")
            print("ready", flush=True)
            await box.run("print('working')\\nwhile True: pass", timeout_s=1000)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_after_kill_9_the_next_process_of_the_owner_goes_on_with_the_variables(
    docker_engine: DockerEngine, docker_image: str, client: Any
) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed with a signal
        [sys.executable, "-c", OWNER, docker_engine.url, docker_image, "survivor"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == b"ready\n"
    await asyncio.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    spec = SandboxSpec(name="python", image=docker_image, pool=1)
    driver = DockerDriver(spec, owner="survivor", url=docker_engine.url)
    async with Pool(driver, spec) as pool:
        assert pool.n_sessions == 1
        async with pool.session("thread_1") as sandbox:
            assert (await sandbox.run("kept")).result == "'a variable'"
            assert await sandbox.get("kept.txt") == b"a file"
        await pool.drop("thread_1")
    await driver.close()
    assert client.containers(all=True, filters={"label": ["agentrt.owner=survivor"]}) == []


async def test_a_container_that_nobody_comes_back_for_ends_by_itself(driver: DockerDriver, client: Any) -> None:
    box = await driver.open("thread_1")
    kernel = await Kernel.attach(box.channel, KernelSettings(lease_s=2.0))
    kernel.detach()
    async with asyncio.timeout(20):
        while client.containers(all=True, filters={"id": box.box_id}):
            await asyncio.sleep(0.1)
