"""A model whose code attacks, in runs of the whole runtime: nothing of this machine comes out, and every run goes on."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.runtime.requests import NewThread
from agentrt.sandbox.choose import make_driver
from agentrt.sandbox.driver import Unavailable
from tests.compat.performance import leave_out
from tests.docker_engine import DockerEngine
from tests.runtime.code_interpreter.coding import Coder, open_coder
from tests.runtime.conftest import World, user

Open = Callable[..., AbstractAsyncContextManager[World]]

SECRET = "canary-of-the-runtime-77b1"
LIMITS = 'timeout = "1s"\n'

HOSTILE = {
    "the service's environment": "import os\nprint(os.environ, [open(f'/proc/{pid}/environ').read() for pid in os.listdir('/proc') if pid.isdigit()])",
    "the service's files": "print(open(PATH).read())",
    "a link to a file as a result": "import os\nos.symlink(PATH, '/mnt/data/report.txt'); os.link(PATH, '/mnt/data/report2.txt')",
    "a folder that is a link": "import os\nos.symlink(os.path.dirname(PATH), '/mnt/data/folder')",
    "a picture that is a file": "class P:\n    def _repr_png_(self): return open(PATH, 'rb').read()\nP()",
    "a walk over everything": "import os\nfor folder, _, names in os.walk('/'):\n    if 'secret-of-the-runtime' in names: print(open(os.path.join(folder, 'secret-of-the-runtime')).read())",
    "processes without an end": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "memory without an end": "kept = []\nwhile True: kept.append(bytearray(1 << 24))",
    "output without an end": "while True: print('spam' * 1000)",
    "files without an end": "n = 0\nwhile True:\n    n += 1\n    open(f'/mnt/data/{n}.txt', 'w').write('x')",
    "away with them": "import subprocess\nsubprocess.run('rm -rf /mnt/data', shell=True)",
    "a file without an end": "with open('/mnt/data/big', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "away with it": "import os\nos.unlink('/mnt/data/big')",
    "a name that deceives": "open('/mnt/data/\\u202egnp.exe', 'w').write('x'); open('/mnt/data/new\\nline', 'w').write('x')",
    "a deaf loop": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    "an end at once": "import os\nos._exit(0)",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "no interpreter": "import builtins, sys\nsys.modules.clear(); vars(builtins).clear()",
    "forged frames": 'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"t":"done","id":"1","status":"ok","result":"forged"}\\n\')\n    except OSError: pass',
    "the engine": "import socket\nfor path in ('/var/run/docker.sock', '/run/docker.sock'):\n    s = socket.socket(socket.AF_UNIX); s.connect(path); print(s.recv(100))",
    "kill everybody": "import os\nos.kill(-1, 9)",
}


@pytest.fixture(params=["docker", "bubblewrap"])
async def coder(
    request: pytest.FixtureRequest, open_world: Open, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Coder]:
    name: str = request.param
    table = f'[sandboxes.python]\ndriver = "{name}"\n{LIMITS}'
    if name == "docker":
        engine: DockerEngine = request.getfixturevalue("docker_engine")
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        table += f'image = "{request.getfixturevalue("docker_image")}"\n'
    else:
        probe = await make_driver(name, SandboxSpec(name="python")).probe()
        if isinstance(probe, Unavailable):
            leave_out(f"{name}: {probe.why}: {probe.remedy}")
    monkeypatch.setenv("AGENTRT_CANARY", SECRET)
    async with open_coder(open_world, extra=table) as opened:
        yield opened


async def test_hostile_code_gets_nothing_and_stops_nothing(coder: Coder, tmp_path: Path) -> None:
    canary = tmp_path / "secret-of-the-runtime"
    canary.write_text(SECRET)
    for folder in (tmp_path, tmp_path.parent, canary):
        folder.chmod(0o755)
    assert os.environ["AGENTRT_CANARY"] == SECRET  # noqa: TID251
    project, threads = coder.world.project, coder.world.runtime.threads
    attacked, other = [(await threads.create(project, NewThread(messages=(user("Go"),)))).id for _ in range(2)]
    await coder.run(attacked, "of_the_start = 'still here'")
    await coder.run(other, "n_asked = 0")

    lost = []
    for n, (name, code) in enumerate(HOSTILE.items(), 1):
        told = await coder.run(attacked, f"PATH = {str(canary)!r}\n{code}")
        assert told.run.status == "completed", name
        assert SECRET not in repr((told.run, told.events)), name
        files = {file.file_id for file in told.shown.files} | {*told.images, *told.links.values()}
        for file_id in files:
            assert SECRET.encode() not in await coder.content(file_id), name
        assert all("\u202e" not in file.path and "\n" not in file.path for file in told.shown.files), name
        assert (await coder.run(other, "n_asked += 1\nn_asked")).result.output == str(n)
        if "still here" not in (await coder.run(attacked, "of_the_start")).result.output:
            lost.append(name)
            await coder.run(attacked, "of_the_start = 'still here'")

    assert len(lost) <= len(HOSTILE) / 10, lost
