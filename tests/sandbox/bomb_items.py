"""Code that uses up everything: processes, memory, disk, time, output.

Each has to be over soon after its timeout, with the variables of before. `any end` stands where it does not matter how
the call ends as long as it does.
"""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

from tests.sandbox.items import Item, item

ANY = ("ok", "error", "timeout", "oom", "crashed", "exit", "interrupted")
STOPPED = ("timeout",)
TOO_MUCH = ("oom", "error")


def bomb(
    name: str, code: str, *, timeout_s: float | None = None, statuses: tuple[str, ...] = ANY, expect: str = ""
) -> Item:
    """What does not end by itself gets little time: it is the same after half a second as after a minute."""
    if timeout_s is None:
        timeout_s = 0.4 if "timeout" in statuses else 8.0
    return item(name, code, timeout_s=timeout_s, statuses=statuses, expect=expect)


PROCESSES = [
    bomb("fork for ever", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
    bomb(
        "fork for ever in sessions of their own",
        "import os\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass",
    ),
    bomb(
        "fork, ignore every signal, and go on",
        """
        import os, signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True:
            try: os.fork()
            except OSError: pass
    """,
    ),
    bomb(
        "a shell's fork bomb",
        "import subprocess\nsubprocess.run(['sh', '-c', 'f() { f | f & }; f; sleep 5'], stderr=subprocess.DEVNULL)",
    ),
    bomb(
        "an end to the shell's",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        statuses=STOPPED,
    ),
    bomb(
        "children that outlive the call",
        "import os, time\nfor _ in range(20):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(1000)\nprint('left')",
        statuses=("ok",),
        expect="left",
    ),
    bomb(
        "children that eat the processor and outlive the call",
        "import os\nfor _ in range(4):\n    if os.fork() == 0:\n        os.setsid()\n        while True: pass",
        statuses=("ok",),
    ),
    bomb(
        "threads",
        "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
    ),
    bomb(
        "programs",
        "import subprocess\nrunning = []\nwhile True:\n    running.append(subprocess.Popen(['sleep', '1000']))",
    ),
    bomb(
        "an end to the programs",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        statuses=STOPPED,
    ),
    bomb(
        "a pool of processes",
        "import multiprocessing as m\nwith m.get_context('fork').Pool(64) as pool:\n    pool.map(__import__('time').sleep, [1000] * 64)",
    ),
    bomb(
        "fork and go on to the end",
        "import os\nfor _ in range(5): os.fork()\nclass P:\n    def _repr_png_(self): return b'x'\ndisplay(P())",
    ),
    bomb(
        "knock at PID 1's door",
        "import os\nfor _ in range(100_000):\n    for number in (17, 19): os.kill(1, number)",
        timeout_s=5,
    ),
    bomb("kill everybody", "import os, signal\nos.kill(-1, signal.SIGKILL)"),
    bomb("stop everybody", "import os, signal\nos.kill(-1, signal.SIGSTOP)"),
    bomb("stop oneself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"),
    bomb("interrupt everybody", "import os, signal\nwhile True: os.kill(-1, signal.SIGINT)"),
]

MEMORY = [
    bomb(
        "a list without an end",
        "kept = []\nwhile True: kept.append(bytearray(1 << 20))",
        statuses=TOO_MUCH,
        timeout_s=5,
    ),
    bomb("all at once", "kept = bytearray(3 << 30)", timeout_s=5),
    bomb("more than there is", "kept = bytearray(1 << 50)", statuses=("error",)),
    bomb("a text that doubles", "text = 'x'\nwhile True: text += text", statuses=TOO_MUCH, timeout_s=5),
    bomb("a number without an end", "number = 3\nwhile True: number *= number"),
    bomb(
        "shared memory of one process",
        "import mmap\nkept = []\nwhile True:\n    kept.append(mmap.mmap(-1, 1 << 24)); kept[-1].write(b'x' * (1 << 24))",
        statuses=TOO_MUCH,
        timeout_s=5,
    ),
    bomb(
        "many processes with a little each",
        "import os, time\nfor _ in range(30):\n    if os.fork() == 0:\n        kept = os.urandom(1 << 20) * 40\n        time.sleep(1000)\ntime.sleep(1000)",
        timeout_s=3,
    ),
    bomb(
        "memory that hides from being measured",
        "import ctypes\nctypes.CDLL(None).prctl(4, 0)\nkept = []\nwhile True: kept.append(bytearray(1 << 20))",
        statuses=TOO_MUCH,
        timeout_s=5,
    ),
    bomb(
        "memory in files without names",
        "import os\nkept = []\ntry:\n    while True:\n        fd = os.memfd_create('x'); kept.append(fd)\n        for _ in range(64): os.write(fd, b'x' * (1 << 20))\nfinally:\n    for fd in kept: os.close(fd)",
        timeout_s=3,
    ),
    bomb(
        "memory in /dev/shm",
        "n = 0\nwhile True:\n    n += 1\n    open(f'/dev/shm/{n}', 'wb').write(b'x' * (1 << 20))",
        statuses=("error",),
        timeout_s=5,
    ),
    bomb(
        "memory of the old kind",
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.shmat.restype = ctypes.c_void_p\nfor _ in range(40):\n    i = libc.shmget(0, 1 << 26, 0o1600)\n    if i < 0: break\n    a = libc.shmat(i, None, 0); ctypes.memset(a, 1, 1 << 26); libc.shmdt(ctypes.c_void_p(a))\nprint('done')",
        timeout_s=5,
    ),
    bomb(
        "pipes full of bytes",
        "import os\nkept = []\ntry:\n    while True:\n        r, w = os.pipe(); os.set_blocking(w, False); kept.append((r, w)); os.write(w, b'x' * 65536)\nfinally:\n    for pair in kept:\n        for fd in pair: os.close(fd)",
        statuses=("error",),
    ),
    bomb(
        "sockets full of bytes",
        "import socket\nkept = []\nwhile True:\n    a, b = socket.socketpair(); a.setblocking(False); kept.append((a, b)); a.send(b'x' * 200000)",
        statuses=("error",),
    ),
    bomb(
        "sockets full of bytes in many processes",
        "import os, socket, time\nfor _ in range(20):\n    if os.fork() == 0:\n        kept = []\n        kept = [socket.socketpair() for _ in range(480)]\n        for pair in kept:\n            for end in pair:\n                end.setblocking(False)\n                try: end.send(b'x' * 200000)\n                except OSError: pass\n        time.sleep(1000)\ntime.sleep(1000)",
        statuses=("oom", "timeout"),  # a slow machine has not filled its memory by then
    ),
    bomb(
        "threads with a little each",
        "import threading, time\ndef hold():\n    kept = bytearray(8 << 20); time.sleep(1000)\nwhile True: threading.Thread(target=hold, daemon=True).start()",
        statuses=TOO_MUCH,
        timeout_s=5,
    ),
    bomb(
        "timers",
        "import ctypes\nlibc, timer, n = ctypes.CDLL(None), ctypes.c_void_p(), 0\nwhile n < 200_000 and libc.timer_create(0, None, ctypes.byref(timer)) == 0: n += 1",
    ),
    bomb(
        "descriptors of another kind",
        "import select\nkept = []\nwhile True: kept.append(select.epoll())",
        statuses=("error",),
    ),
    bomb("a value that is huge to show", "'x' * (200 << 20)", timeout_s=5),
    bomb(
        "a figure that is huge",
        "import io\ntry:\n    from PIL import Image\nexcept ImportError:\n    print('none')\nelse:\n    Image.new('RGB', (30000, 30000))",
        timeout_s=5,
    ),
]

DISK = [
    bomb(
        "fill /mnt/data",
        "f = open('/mnt/data/full', 'wb')\nwhile True: f.write(b'x' * (1 << 20))",
        statuses=("error",),
        timeout_s=8,
    ),
    bomb(
        "room again",
        "import os\nfor name in os.listdir('/mnt/data'):\n    if os.path.isfile('/mnt/data/' + name): os.unlink('/mnt/data/' + name)\nprint('ok')",
        expect="ok",
        statuses=("ok",),
    ),
    bomb(
        "fill /tmp",
        "import os\ntry:\n    f = open('/tmp/full', 'wb')\n    while True: f.write(b'x' * (1 << 20))\nfinally:\n    f.close(); os.unlink('/tmp/full')",
        statuses=("error",),
        timeout_s=5,
    ),
    bomb(
        "a file with a hole of a terabyte",
        "import os\nfd = os.open('/mnt/data/hole', os.O_CREAT | os.O_RDWR)\ntry: os.ftruncate(fd, 1 << 40)\nfinally: os.unlink('/mnt/data/hole')",
        statuses=("error",),
    ),
    bomb(
        "a hole as large as allowed",
        "import os\nfd = os.open('/mnt/data/hole', os.O_CREAT | os.O_RDWR)\nos.ftruncate(fd, (1 << 28) - 1)",
        statuses=("ok",),
        timeout_s=8,
    ),
    bomb(
        "many files",
        "import os\nos.mkdir('/mnt/data/many')\nfor n in range(30000): open(f'/mnt/data/many/{n}', 'w').close()",
        timeout_s=5,
    ),
    bomb(
        "folders in folders",
        "import os\nos.chdir('/mnt/data')\nfor n in range(3000): os.mkdir('d'); os.chdir('d')",
        timeout_s=5,
    ),
    bomb(
        "names in /tmp",
        "import os\nfor n in range(10 ** 6): os.close(os.open(f'/tmp/{n}', os.O_CREAT | os.O_WRONLY))",
        timeout_s=3,
    ),
    bomb(
        "names in /dev/shm",
        "import os\nfor n in range(10 ** 6): os.close(os.open(f'/dev/shm/{n}', os.O_CREAT | os.O_WRONLY))",
        timeout_s=3,
    ),
    bomb(
        "one file under many names",
        "import os\nopen('/mnt/data/one', 'wb').write(b'x' * 1_000_000)\nfor n in range(5000): os.link('/mnt/data/one', f'/mnt/data/one{n}')",
        timeout_s=3,
    ),
    bomb(
        "attributes of files",
        "import os\nopen('/tmp/a', 'w').close()\nfor n in range(10 ** 5): os.setxattr('/tmp/a', f'user.{n}', b'x' * 60000)",
        timeout_s=3,
    ),
    bomb(
        "gone again",
        "import subprocess\nsubprocess.run('rm -rf /mnt/data /tmp /dev/shm', shell=True, stderr=subprocess.DEVNULL); print('ok')",
        expect="ok",
        statuses=("ok",),
        timeout_s=15,
    ),
    bomb(
        "names that change all the time",
        "import os, threading\nopen('/mnt/data/a', 'w').close()\ndef swap():\n    while True:\n        for x, y in (('a', 'b'), ('b', 'a')):\n            try: os.rename('/mnt/data/' + x, '/mnt/data/' + y)\n            except OSError: pass\nfor _ in range(20): threading.Thread(target=swap, daemon=True).start()",
        statuses=("ok",),
    ),
    bomb(
        "an end to the changes",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        statuses=STOPPED,
    ),
]

TIME = [
    bomb("a loop", "while True: pass", statuses=STOPPED),
    bomb(
        "a deaf loop",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        statuses=STOPPED,
    ),
    bomb(
        "a loop that ignores the signal",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        statuses=STOPPED,
    ),
    bomb(
        "a loop that blocks the signal",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
        statuses=STOPPED,
    ),
    bomb(
        "a loop with a handler of its own",
        "import signal\nsignal.signal(signal.SIGINT, lambda *a: print('no'))\nwhile True: pass",
        statuses=STOPPED,
    ),
    bomb(
        "sleep that lets nobody else run",
        "import ctypes, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nctypes.PyDLL(None).sleep(1000)",
        statuses=STOPPED,
    ),
    bomb("a loop in C", "sum(range(10 ** 12))", statuses=STOPPED),
    bomb("an expression that backtracks", "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", statuses=STOPPED),
    bomb(
        "a lock that nobody opens",
        "import threading\nlock = threading.Lock(); lock.acquire(); lock.acquire()",
        statuses=STOPPED,
    ),
    bomb("sleep", "import time\ntime.sleep(1000)", statuses=STOPPED),
    bomb("sleep in C", "import ctypes\nctypes.CDLL(None).sleep(1000)", statuses=STOPPED),
    bomb("wait for a child", "import subprocess\nsubprocess.run(['sleep', '1000'])", statuses=STOPPED),
    bomb("wait for input", "input()", statuses=("error",)),
    bomb("wait for a pipe", "import os\nos.mkfifo('/tmp/pipe')\nopen('/tmp/pipe').read()", statuses=STOPPED),
    bomb("finally, for ever", "import time\ntry: time.sleep(1000)\nfinally:\n    while True: pass", statuses=STOPPED),
    bomb(
        "a thread that goes on",
        "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()",
        statuses=("ok",),
    ),
    bomb(
        "a thread that is waited for",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
        statuses=("ok",),
    ),
    bomb("an async loop", "import asyncio\nwhile True: await asyncio.sleep(0)", statuses=STOPPED),
    bomb(
        "an object that shows itself for ever",
        "class X:\n    def __repr__(self):\n        while True: pass\nX()",
        statuses=STOPPED,
    ),
    bomb(
        "an exception that shows itself for ever",
        "class X(Exception):\n    def __str__(self):\n        while True: pass\nraise X",
        statuses=STOPPED,
    ),
    bomb(
        "garbage that is collected for ever",
        "class X:\n    def __del__(self):\n        while True: pass\nX(); None",
        statuses=STOPPED,
    ),
]

OUTPUT = [
    bomb("print for ever", "while True: print('spam' * 100)", statuses=STOPPED),
    bomb("print for ever without a line's end", "while True: print('spam', end='')", statuses=STOPPED),
    bomb("complain for ever", "import sys\nwhile True: sys.stderr.write('spam' * 100)", statuses=STOPPED),
    bomb("write around Python", "import os\nwhile True: os.write(1, b'x' * 65536)", statuses=STOPPED),
    bomb("a program that prints for ever", "import subprocess\nsubprocess.run(['cat', '/dev/zero'])", statuses=STOPPED),
    bomb("one line of 50 MB", "print('x' * 50_000_000)", statuses=("ok",), timeout_s=5),
    bomb("bytes that are no text", "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 1000)", statuses=("ok",)),
    bomb("half characters", "print('\\ud800\\udfff\\U0010ffff\\x00\\x1b[2J')", statuses=("ok",)),
    bomb(
        "lines like frames",
        "import json\nfor kind in ('done', 'hello', 'file', 'out'): print(json.dumps({'t': kind, 'id': '1', 'status': 'ok', 'raw': 1 << 40}))",
        statuses=("ok",),
    ),
    bomb(
        "a child that prints after the end",
        "import subprocess\nsubprocess.Popen(['sh', '-c', 'while true; do echo late; done'])",
        statuses=("ok",),
    ),
    bomb(
        "a thousand pictures",
        "class P:\n    def _repr_png_(self): return b'\\x89PNG' + b'x' * 1000\nfor _ in range(1000): display(P())",
        statuses=("ok",),
        timeout_s=5,
    ),
    bomb(
        "a picture of 100 MB", "class P:\n    def _repr_png_(self): return bytes(100 << 20)\ndisplay(P())", timeout_s=5
    ),
]

BOMBS: list[Item] = [*PROCESSES, *MEMORY, *DISK, *TIME, *OUTPUT]
