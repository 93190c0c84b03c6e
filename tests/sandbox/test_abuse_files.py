"""Files that code leaves for the host to read: names and links that climb out, things that are no files, races."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agentrt.errors import InvalidRequestError, SandboxError
from agentrt.sandbox.paths import is_safe_path
from tests.sandbox.sessions import KEPT, LIMITS, SECRET, Session

pytestmark = pytest.mark.asyncio(loop_scope="module")

Names = list[str]


CLEAN = """
import os, shutil
os.chdir('/mnt/data')
for folder, names, _ in os.walk('.'):
    for path in (os.path.join(folder, name) for name in names):
        if not os.path.islink(path): os.chmod(path, 0o700)
for entry in os.scandir('.'):
    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
"""


@pytest_asyncio.fixture(loop_scope="module")
async def empty(session: Session) -> AsyncIterator[Session]:
    """The module's sandbox without files."""
    ran = await session.run(CLEAN, timeout_s=30)
    assert ran.end.status == "ok", ran.said
    yield session
    assert await session.value(KEPT) == "42"


# What a model may have been talked into calling a file.
BAD_NAMES = [
    "..",
    "-rf",
    "--help",
    " leading",
    "trailing ",
    "back\\slash",
    "..\\up",
    "new\nline",
    "carriage\rreturn",
    "tab\there",
    "bell\x07",
    "escape\x1b[2J",
    "delete\x7f",
    "right\u202eto left",
    "mark\u200f",
    "isolate\u2066x",
    "zero\u200bwidth",
    "join\u200dx",
    "bom\ufeff",
    "line\u2028separator",
    "private\ue000",
    "unassigned\U000e0fff",
    "language tag\U000e0041",
    "soft\u00adhyphen",
    "x" * 201,
    "é" * 101,
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
async def test_a_bad_name_is_never_shown_nor_read(empty: Session, name: str) -> None:
    ran = await empty.run(f"try: open({name!r}, 'w').write('x')\nexcept OSError: pass")
    assert not ran.files
    assert await empty.kernel.list() == []
    with pytest.raises(InvalidRequestError):
        await empty.read(name)


async def test_bytes_that_are_no_text_are_no_name(empty: Session) -> None:
    ran = await empty.run(
        "open(b'/mnt/data/\\xff\\xfe', 'w').write('x')\nopen(b'/mnt/data/\\xed\\xa0\\x80', 'w').write('x')"
    )
    assert not ran.files
    assert await empty.kernel.list() == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../etc/passwd",
        "a/../../etc/passwd",
        "./a",
        "a//b",
        "a/./b",
        "a/",
        "",
        ".",
        "/mnt/data/a",
        "a\0b",
        "a/-rf",
    ],
    ids=ascii,
)
async def test_the_host_itself_asks_for_no_path_that_climbs(empty: Session, path: str) -> None:
    with pytest.raises(InvalidRequestError):
        await empty.read(path)
    with pytest.raises(InvalidRequestError):
        await empty.kernel.delete(path)


# Each makes `x` something that is no plain file of the sandbox's own.
NO_FILES = {
    "a link to the host's file": "os.symlink(HOST['file'], 'x')",
    "a link to the users": "os.symlink('/etc/passwd', 'x')",
    "a link to PID 1's environment": "os.symlink('/proc/1/environ', 'x')",
    "a link to this process's memory": "os.symlink('/proc/self/mem', 'x')",
    "a link to itself": "os.symlink('x', 'x')",
    "a link to nothing": "os.symlink('nothing', 'x')",
    "a link to a device": "os.symlink('/dev/zero', 'x')",
    "a pipe": "os.mkfifo('x')",
    "a socket": "socket.socket(socket.AF_UNIX).bind('/mnt/data/x')",
    "a device": "os.mknod('x', 0o20666, os.makedev(1, 5))",
    "a folder": "os.mkdir('x')",
}


@pytest.mark.parametrize("made", NO_FILES.values(), ids=NO_FILES.keys())
async def test_what_is_no_file_is_not_read(empty: Session, host: dict[str, object], made: str) -> None:
    ran = await empty.run(
        f"import os, socket\nHOST = {host!r}\ntry: {made}\nexcept OSError: open('x', 'w').close(); os.unlink('x')"
    )
    assert [file.path for file in ran.files] == []
    assert await empty.kernel.list() == []
    with pytest.raises((InvalidRequestError, FileNotFoundError)):
        await empty.read("x")


@pytest.mark.parametrize("target", ["/", "/etc", "/proc/self", "..", "/mnt"])
async def test_a_folder_that_is_a_link_is_not_entered(empty: Session, target: str) -> None:
    await empty.run(f"import os; os.symlink({target!r}, 'd')")
    assert await empty.kernel.list() == []
    for path in ("d/passwd", "d/hostname", "d/environ", "d/etc/passwd", "d/new.txt"):
        with pytest.raises((InvalidRequestError, FileNotFoundError)):
            await empty.read(path)

        async def piece() -> AsyncIterator[bytes]:
            yield b"x"

        with pytest.raises((InvalidRequestError, SandboxError)):
            await empty.kernel.put(path, piece())


async def test_a_file_put_where_a_link_lies_replaces_the_link(empty: Session) -> None:
    await empty.run("import os; os.symlink('/tmp/elsewhere', 'x.txt'); open('/tmp/elsewhere', 'w').write('old')")

    async def piece() -> AsyncIterator[bytes]:
        yield b"new"

    await empty.kernel.put("x.txt", piece())
    assert await empty.read("x.txt") == b"new"
    assert await empty.value("open('/tmp/elsewhere').read()") == "'old'"


async def test_a_path_that_changes_all_the_time_never_leads_out(empty: Session, host: dict[str, object]) -> None:
    """A thread swaps a file for a link and back while the host reads."""
    await empty.run(
        f"import os, threading\nHOST = {host!r}\nopen('plain', 'w').write('mine')\nos.symlink('/etc/passwd', 'link')\ngoes_on = True\n"
        "def swap():\n"
        "    while goes_on:\n"
        "        for name in ('plain', 'link'):\n"
        "            os.link(name, 't', follow_symlinks=False); os.rename('t', 'x')\n"
        "threading.Thread(target=swap, daemon=True).start()"
    )
    for _ in range(200):
        try:
            data = await empty.read("x")
        except (InvalidRequestError, FileNotFoundError):
            continue
        assert data == b"mine"
    await empty.run("goes_on = False")


async def test_a_folder_that_changes_all_the_time_never_leads_out(empty: Session) -> None:
    await empty.run(
        "import os, threading\nos.mkdir('real'); open('real/passwd', 'w').write('mine')\nos.symlink('/etc', 'way')\ngoes_on = True\n"
        "def swap():\n"
        "    while goes_on:\n"
        "        os.rename('real', 'd'); os.rename('d', 'real'); os.rename('way', 'd'); os.rename('d', 'way')\n"
        "threading.Thread(target=swap, daemon=True).start()"
    )
    for _ in range(200):
        try:
            data = await empty.read("d/passwd")
        except (InvalidRequestError, FileNotFoundError):
            continue
        assert data == b"mine"
    await empty.run("goes_on = False")


async def test_a_file_that_grows_is_read_up_to_what_it_was(empty: Session) -> None:
    await empty.run(
        "import threading\nf = open('grows', 'wb', buffering=0); f.write(b'x' * 3_000_000); goes_on = True\n"
        "def grow():\n    while goes_on and f.tell() < 200_000_000: f.write(b'x' * 100_000)\n"
        "threading.Thread(target=grow, daemon=True).start()"
    )
    data = await empty.read("grows")
    await empty.run("goes_on = False")
    assert 3_000_000 <= len(data) <= LIMITS.disk_bytes
    with pytest.raises(InvalidRequestError, match="at most"):
        async for _ in empty.kernel.get("grows", max_bytes=1000):
            pass


async def test_a_file_that_shrinks_is_an_error_and_not_a_wait(empty: Session) -> None:
    await empty.run("open('shrinks', 'wb').write(b'x' * 5_000_000)")
    pieces = empty.kernel.get("shrinks")
    assert len(await anext(pieces)) > 0
    await empty.run("open('shrinks', 'wb').close()")
    with pytest.raises(SandboxError, match="changed"):
        async for _ in pieces:
            pass


async def test_a_hole_is_as_large_as_it_says_and_costs_no_memory(empty: Session) -> None:
    ran = await empty.run("f = open('hole', 'wb'); f.truncate(90_000_000); f.close()", timeout_s=30)
    assert [file.size_bytes for file in ran.files] == [90_000_000]
    n_bytes = 0
    async for piece in empty.kernel.get("hole"):
        assert len(piece) <= 1 << 20
        n_bytes += len(piece)
    assert n_bytes == 90_000_000


async def test_more_files_than_anybody_wants_are_not_all_reported(empty: Session) -> None:
    ran = await empty.run("for n in range(5000): open(f'{n}.txt', 'w').write('x')", timeout_s=30)
    assert 0 < len(ran.files) <= 200
    assert len(await empty.kernel.list()) == 5000


async def test_more_bytes_than_anybody_wants_are_not_all_reported(empty: Session) -> None:
    ran = await empty.run("for n in range(6): open(f'{n}.bin', 'wb').truncate(30_000_000)", timeout_s=30)
    assert sum(file.size_bytes for file in ran.files) <= 100 * 1024**2


async def test_folders_without_an_end_are_not_walked_to_it(empty: Session) -> None:
    await empty.run(
        "import os\nfor n in range(300):\n    os.mkdir('d'); os.chdir('d')\nopen('deep.txt', 'w').write('x')"
    )
    assert await empty.kernel.list() == []
    await empty.run("import os\nos.chdir('/mnt/data')")


async def test_files_that_nobody_may_read_do_not_stop_the_others(empty: Session) -> None:
    ran = await empty.run(
        "import os\nopen('secret', 'w').write('x'); os.chmod('secret', 0)\nos.mkdir('closed'); open('closed/a', 'w').close(); os.chmod('closed', 0)\nopen('fine.txt', 'w').write('x')"
    )
    assert "fine.txt" in [file.path for file in ran.files]
    assert await empty.read("fine.txt") == b"x"
    with pytest.raises((SandboxError, InvalidRequestError)):
        await empty.read("secret")


async def test_a_report_says_what_is_there(empty: Session) -> None:
    ran = await empty.run("open('a b.txt', 'w').write('text')")
    assert [(file.path, file.size_bytes, file.sha256) for file in ran.files] == [
        ("a b.txt", 4, hashlib.sha256(b"text").hexdigest())
    ]


async def test_nothing_that_was_read_in_this_module_was_the_hosts(empty: Session, host: dict[str, object]) -> None:
    for name in ("secret.txt", str(host["file"]).lstrip("/")):
        with pytest.raises((InvalidRequestError, FileNotFoundError)):
            assert SECRET.encode() not in await empty.read(name)


@pytest.mark.parametrize(
    "name", ["plot.png", "a b.txt", "ünïcode.csv", "日本.txt", "d/e/f.csv", "🐎.txt", ".hidden", "a..b"]
)
async def test_good_names_are_good(name: str) -> None:
    assert is_safe_path(name)
