"""Code that ends badly, itself or the process that it runs in. See bomb_items.py."""

from __future__ import annotations

from tests.sandbox.bomb_items import bomb

ENDINGS = [
    bomb("leave", "import os\nos._exit(7)", statuses=("exit",)),
    bomb("leave politely", "import sys\nsys.exit(7)", statuses=("exit",)),
    bomb("leave with a text", "raise SystemExit('bye')", statuses=("exit",)),
    bomb(
        "leave from a thread",
        "import os, threading\nthreading.Thread(target=os._exit, args=(3,)).start()\nwhile True: pass",
        statuses=("exit",),
    ),
    bomb("abort", "import os\nos.abort()", statuses=("crashed",)),
    bomb("kill oneself", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", statuses=("crashed",)),
    bomb("end the interpreter", "import ctypes\nctypes.pythonapi.Py_FinalizeEx()"),
    bomb("a fatal error", "import ctypes\nctypes.pythonapi.Py_FatalError(b'x')", statuses=("crashed",)),
    bomb(
        "no None",
        "import ctypes\nctypes.c_ssize_t.from_address(id(None)).value = 1\nfor _ in range(100): x = [None] * 10; del x",
    ),
    bomb(
        "a time bomb of the interpreter's own",
        "import faulthandler\nfaulthandler.dump_traceback_later(0.05, exit=True)",
        statuses=("ok",),
    ),
    bomb("wait for the time bomb", "import time\ntime.sleep(0.2)", statuses=("ok", "exit")),
    bomb("read nothing", "import ctypes\nctypes.string_at(0)", statuses=("crashed",)),
    bomb("overrun the stack", "import ctypes, sys\nsys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()"),
    bomb(
        "overrun the stack in C",
        "x = []\nfor _ in range(10 ** 6): x = [x]\nimport pickle\nrepr(x) if False else None\ndel x",
        timeout_s=5,
    ),
    bomb("recursion", "def f(): return f()\nf()", statuses=("error",)),
    bomb("become another program", "import os\nos.execvp('sleep', ['sleep', '1000'])"),
    bomb("close every descriptor", "import os\nos.closerange(0, 1024)"),
    bomb(
        "mix the descriptors up",
        "import os\nfor fd in range(3, 40):\n    try: os.dup2(0, fd)\n    except OSError: pass",
    ),
    bomb("use every descriptor up", "import os\nkept = []\nwhile True: kept.append(os.open('/dev/null', os.O_RDONLY))"),
    bomb(
        "no memory for oneself",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))\nx = bytearray(1 << 24)",
    ),
    bomb(
        "no time for oneself",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
        timeout_s=4,
    ),
    bomb(
        "no descriptors for oneself",
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\nopen('/dev/null')",
    ),
    bomb("an alarm", "import signal\nsignal.alarm(1)\nwhile True: pass", timeout_s=3),
    bomb("an alarm for later", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\nprint('set')"),
]
