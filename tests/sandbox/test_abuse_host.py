"""Code that wants to read or change this machine, to have rights, or to reach anybody: none of it gets anywhere."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

import pytest

from tests.sandbox.host_items import ALL
from tests.sandbox.items import PRELUDE, Item
from tests.sandbox.sessions import KEPT, SECRET, Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("item", ALL, ids=str)
async def test_it_gets_nowhere(session: Session, host: dict[str, object], item: Item) -> None:
    ran = await session.run(f"HOST = {host!r}\n{PRELUDE}\n{item.code}", timeout_s=item.timeout_s)
    assert "ESCAPED" not in ran.said
    assert SECRET not in ran.said
    assert item.expect in ran.stdout
    assert ran.end.status in item.statuses
    assert await session.value(KEPT) == "42"


async def test_signals_do_not_reach_the_kernel(session: Session) -> None:
    code = "import os, signal\nfor number in range(1, 32):\n    try: os.kill(1, number)\n    except OSError: pass\nprint('sent')"
    ran = await session.run(code)
    assert ran.stdout == "sent\n"
    assert await session.value(KEPT) == "42"


async def test_what_is_counted_by_user_is_not_used_up_for_another_session(session: Session, neighbour: Session) -> None:
    """Files on their way through sockets, and inotify: the neighbour's copy needs the first."""
    ran = await session.run(USE_UP, timeout_s=30)
    assert ran.stdout == "used up\n", ran.said
    await neighbour.run("of_this_moment = 1")
    assert (await neighbour.run("import os; os._exit(1)")).end.state == "restored"
    assert await neighbour.value("of_this_moment") == "1"
    assert await neighbour.value("__import__('ctypes').CDLL(None).inotify_init() > 0") == "True"
    await session.kernel.reset()
    await session.run(f"{KEPT} = 42")


USE_UP = """
import ctypes, os, socket
pairs, n = [], 0
try:
    while n < 5000:
        pairs.append(socket.socketpair())
        pairs[-1][0].setblocking(False)
        for _ in range(5):
            socket.send_fds(pairs[-1][0], [b"x"], [0] * 250)
            n += 250
except OSError:
    while ctypes.CDLL(None).inotify_init() >= 0: pass
    print("used up")
"""


async def test_one_session_does_not_see_another(session: Session, neighbour: Session) -> None:
    await neighbour.run(
        "open('/mnt/data/of_the_neighbour', 'w').write('x'); open('/tmp/of_the_neighbour', 'w').write('x')"
    )
    await neighbour.run("import socket; server = socket.create_server(('0.0.0.0', 45455))")
    ran = await session.run(
        "import os, socket\n"
        "print([name for name in os.listdir('/mnt/data') + os.listdir('/tmp') + os.listdir('/dev/shm') if 'neighbour' in name])\n"
        "print(len([pid for pid in os.listdir('/proc') if pid.isdigit()]) < 8)\n"
        "print(socket.socket().connect_ex(('127.0.0.1', 45455)) != 0)\n"
    )
    assert ran.stdout == "[]\nTrue\nTrue\n"
    assert await neighbour.value(KEPT) == "42"
