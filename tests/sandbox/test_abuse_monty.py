"""Abuse of the interpreter that has nothing: it finds no host, and what it uses up is its own process's."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from agentrt.config.schema import SandboxLimits
from agentrt.errors import InvalidRequestError
from agentrt.sandbox.driver import Driver, Unavailable
from agentrt.sandbox.monty import MontyDriver
from tests.compat.performance import leave_out
from tests.sandbox.items import Item, item
from tests.sandbox.ledger import Ledger
from tests.sandbox.sessions import KEPT, SECRET, SPEC, Session, open_session

pytestmark = pytest.mark.asyncio(loop_scope="module")

DISK_BYTES = 32 * 1024**2
ANY = ("ok", "error", "timeout", "oom", "crashed", "exit", "interrupted")

HOST = [
    "print(open(HOST['file']).read())",
    "print(open('/mnt/data/' + '../' * 30 + HOST['file']).read())",
    "from pathlib import Path\nprint(Path(HOST['file']).read_text())",
    "from pathlib import Path\nprint(Path('/mnt/data/../../' + HOST['file']).read_text())",
    "import os\nprint(os.listdir('/tmp'), os.listdir('/'), os.listdir('..'))",
    "import os\nprint(os.listdir('/root'))",
    "import os\nfor folder, folders, files in os.walk('/'): print(folder, files)",
    "import os\nprint(os.environ, os.getenv('AGENTRT_CANARY'), os.getenv('HOME'))",
    "print(open('/etc/passwd').read())",
    "print(open('/proc/self/environ').read())",
    "print(open('/proc/1/cmdline').read())",
    "print(open('/dev/zero', 'rb').read(10))",
    "open('/etc/planted', 'w').write('x')",
    "open('/tmp/planted', 'w').write('x')",
    "import os\nos.rename('/etc/passwd', '/mnt/data/x')\nprint(open('x').read())",
    "import os\nos.symlink('/etc/passwd', '/mnt/data/x')\nprint(open('x').read())",
    "import os\nos.system('id')",
    "import subprocess\nprint(subprocess.run(['id'], capture_output=True))",
    "import socket\nprint(socket.create_connection(('127.0.0.1', HOST['port'])).recv(100))",
    "import ctypes\nctypes.string_at(0)",
    "import sys\nprint(sys.modules['os'].environ)",
    "print([].__class__.__mro__[1].__subclasses__())",
    "print((lambda: 1).__globals__['__builtins__']['__import__']('os').system('id'))",
    "print(''.__class__.__base__.__subclasses__())",
    "import sys\nprint(sys._getframe().f_back.f_globals)",
    "try:\n    1 / 0\nexcept Exception as e:\n    print(e.__traceback__.tb_frame.f_globals)",
    'print(eval(\'__import__("os").popen("id").read()\'))',
    "exec('import subprocess; subprocess.run([\"id\"])')",
    "print(open.__self__, print.__self__.__dict__)",
    "import asyncio\nasyncio.create_subprocess_shell('id')",
    "import json\njson.loads.__globals__['os'].system('id')",
]


def bomb(name: str, code: str, *, timeout_s: float = 1.0, statuses: tuple[str, ...] = ANY) -> Item:
    return item(name, code, timeout_s=timeout_s, statuses=statuses)


BOMBS = [
    bomb("a loop", "while True: pass", statuses=("timeout",), timeout_s=0.4),
    bomb("a deaf loop", "while True:\n    try:\n        while True: pass\n    except BaseException: pass", statuses=("timeout",), timeout_s=0.4),
    bomb("sleep", "import time\ntime.sleep(1000)", statuses=("timeout",), timeout_s=0.4),
    bomb("sleeps", "import time\nwhile True: time.sleep(0.001)", statuses=("timeout",), timeout_s=0.4),
    bomb("an expression that backtracks", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')"),
    bomb("a list without an end", "kept = []\nwhile True: kept.append('x' * 1000000)", statuses=("error",), timeout_s=8),
    bomb("a text that doubles", "text = 'x'\nwhile True: text += text", statuses=("error",), timeout_s=8),
    bomb("all at once", "kept = [0] * 10 ** 10", statuses=("error",)),
    bomb("a number without an end", "number = 3\nwhile True: number *= number"),
    bomb("a power", "10 ** 10 ** 9"),
    bomb("many numbers", "kept = {}\nn = 0\nwhile True:\n    kept[n] = str(n); n += 1", timeout_s=2),
    bomb("recursion", "def f(): return f()\nf()", statuses=("error",)),
    bomb("deep lists", "x = []\nfor _ in range(100000): x = [x]\nx"),
    bomb("a list in itself", "x = []\nx.append(x)\nx"),
    bomb("deep code", "eval('(' * 100000 + ')' * 100000)", statuses=("error",)),
    bomb("print for ever", "while True: print('spam' * 100)", statuses=("timeout",), timeout_s=0.4),
    bomb("one line of 50 MB", "print('x' * 50_000_000)", timeout_s=5),
    bomb("lines like frames", 'print(\'{"t":"done","id":"1","status":"ok"}\')', statuses=("ok",)),
    bomb("half characters", "print('\\ud800')\n'\\ud800'"),
    bomb("a value that is huge to show", "'x' * 50_000_000", timeout_s=5),
    bomb("many tasks", "import asyncio\nasync def f(): await asyncio.sleep(100)\nawait asyncio.gather(*[f() for _ in range(10000)])"),
    bomb("fill the disk", "f = open('full', 'w')\nwhile True: f.write('x' * 1000000)", statuses=("error",), timeout_s=8),
    bomb("fill it byte by byte", "f = open('bytes', 'a')\nwhile True: f.write('x')"),
    bomb("fill it with files", "n = 0\nwhile True:\n    n += 1; open(f'/mnt/data/f{n}', 'w').write('x' * 100000)", statuses=("error", "timeout"), timeout_s=2),
    bomb("files without bytes", "n = 0\nwhile True:\n    n += 1; open(f'/mnt/data/e{n}', 'w').write('')", statuses=("error", "timeout"), timeout_s=1),
    bomb("folders", "import os\npath = '/mnt/data'\nwhile True:\n    path += '/d'; os.mkdir(path)", statuses=("error",), timeout_s=5),
    bomb("long names", "open('/mnt/data/' + 'x' * 100000, 'w')", statuses=("error",)),
    bomb("random bytes", "import os\nwhile True: os.urandom(1 << 30)", timeout_s=0.4),
    bomb("leave", "raise SystemExit(3)"),
    bomb("an interrupt of one's own", "raise KeyboardInterrupt"),
    bomb("an exception with a long text", "raise ValueError('x' * 10_000_000)", statuses=("error",), timeout_s=5),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def monty() -> Driver:
    driver = MontyDriver(msgspec.structs.replace(SPEC, limits=SandboxLimits(disk_bytes=DISK_BYTES)))
    probe = await driver.probe()
    if isinstance(probe, Unavailable):
        leave_out(f"monty: {probe.why}: {probe.remedy}")
    return driver


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(monty: Driver) -> AsyncIterator[Session]:
    async with open_session(monty) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def small(opened: Session) -> Session:
    await opened.be_alive()
    return opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ledger(monty: Driver) -> AsyncIterator[Ledger]:
    async with open_session(monty) as neighbour:
        yield await Ledger.begin(neighbour)


@pytest.mark.parametrize("code", HOST)
async def test_there_is_no_host_to_be_found(small: Session, host: dict[str, object], code: str) -> None:
    known = {name: value for name, value in host.items() if name != "terces"}
    ran = await small.run(f"HOST = {known!r}\n{code}", timeout_s=3)
    for secret in (SECRET, "root:", "uid=", "PATH", "agentrt-canary"):
        assert secret not in ran.stdout.replace(str(host["file"]), "")
    assert not ran.files
    assert await small.value(KEPT) == "42"


@pytest.mark.parametrize("item", BOMBS, ids=str)
async def test_it_is_over_soon(small: Session, ledger: Ledger, item: Item) -> None:
    ran = await small.run(item.code, timeout_s=item.timeout_s)
    assert ran.end.status in item.statuses, ran.said[-500:]
    assert ran.wall_s < item.timeout_s + 6
    assert len(ran.stdout) <= 1_200_000
    assert sum(file.size_bytes for file in await small.kernel.list()) <= DISK_BYTES
    await ledger.check(small, item)
    for file in await small.kernel.list():
        await small.kernel.delete(file.path)


async def test_the_others_noticed_nothing_and_variables_were_kept(ledger: Ledger) -> None:
    await ledger.check_others()
    ledger.check_kept()


async def test_a_file_of_the_host_may_not_be_larger_than_the_disk(small: Session) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(Exception, match="no room"):
        await small.kernel.put("big", endless())
    with pytest.raises(InvalidRequestError):
        await small.read("../big")
    assert await small.value(KEPT) == "42"


async def test_a_reset_forgets_and_keeps_files(small: Session) -> None:
    await small.run("open('stays.txt', 'w').write('x')")
    await small.kernel.reset()
    assert (await small.run(KEPT)).end.status == "error"
    assert "stays.txt" in [file.path for file in await small.kernel.list()]
