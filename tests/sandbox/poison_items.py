"""Code that breaks what it shares a process with: builtins, modules, streams, the frames below it, the talk with PID 1.

What it breaks stays broken for itself. The next call has to run, find its variables, and end with a `done`.
"""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

from tests.sandbox.items import Item, item

ANY = ("ok", "error", "timeout", "oom", "crashed", "exit", "interrupted")


def poison(name: str, code: str, **options: object) -> Item:
    return item(name, code, **{"statuses": ANY, "timeout_s": 3.0, **options})


BUILTINS = [
    poison("no print", "import builtins\nbuiltins.print = None"),
    poison("no repr", "import builtins\nbuiltins.repr = lambda value: 1 / 0"),
    poison("no len", "import builtins\ndel builtins.len, builtins.isinstance, builtins.str, builtins.dict"),
    poison("no import", "import builtins\nbuiltins.__import__ = None"),
    poison("no compile, no eval, no exec", "import builtins\nbuiltins.compile = builtins.eval = builtins.exec = None"),
    poison("no exceptions", "import builtins\nbuiltins.Exception = builtins.BaseException = builtins.SystemExit = int"),
    poison("no builtins at all", "import builtins\nvars(builtins).clear()"),
    poison("no builtins of one's own", "__builtins__ = {}"),
    poison("builtins put in order again by reset", "None"),
    poison("open that lies", "import builtins, io\nbuiltins.open = io.open = lambda *a, **k: io.StringIO('lie')"),
]

MODULES = [
    poison("json", "import json\njson.dumps = json.loads = json.JSONEncoder = json.encoder = None"),
    poison("marshal", "import marshal\nmarshal.loads = marshal.dumps = None"),
    poison(
        "os",
        "import os\nfor name in ('write', 'read', 'fork', '_exit', 'dup2', 'open', 'close', 'waitpid', 'getpid', 'setpgid'): setattr(os, name, None)",
    ),
    poison("socket", "import socket, _socket\nsocket.socket.sendall = socket.socketpair = socket.send_fds = None"),
    poison("signal", "import signal\nsignal.signal = signal.pthread_sigmask = None"),
    poison("ast", "import ast\nast.parse = ast.Expr = ast.Module = None"),
    poison("traceback", "import traceback\ntraceback.format_exception = traceback.TracebackException = None\n1 / 0"),
    poison("linecache", "import linecache\nlinecache.cache = None\n1 / 0"),
    poison("io", "import io\nio.TextIOWrapper = io.FileIO = None"),
    poison("codecs", "import codecs\ncodecs.lookup = codecs.getincrementaldecoder = None"),
    poison("time", "import time\ntime.monotonic = time.time = lambda: -1e18"),
    poison("resource", "import resource\nresource.getrusage = lambda who: None"),
    poison("types", "import types\ntypes.ModuleType = types.CodeType = None"),
    poison("asyncio", "import asyncio\nasyncio.run = None"),
    poison("every module", "import sys\nsys.modules.clear()"),
    poison("every module is a number", "import sys\nfor name in list(sys.modules): sys.modules[name] = 1"),
    poison("no main module", "import sys\ndel sys.modules['__main__']"),
    poison("no path", "import sys\nsys.path = sys.meta_path = sys.path_hooks = None"),
    poison(
        "a module that lies in the working folder",
        "for name in ('json', 'os', 'traceback', 'asyncio', 'matplotlib', 'PIL'): open(f'/mnt/data/{name}.py', 'w').write('raise SystemExit(1)')",
    ),
    poison("it is gone", "import pathlib\nfor path in pathlib.Path('/mnt/data').glob('*.py'): path.unlink()"),
]

STREAMS = [
    poison("no stdout", "import sys\nsys.stdout = sys.stderr = sys.__stdout__ = None"),
    poison("a closed stdout", "import sys\nsys.stdout.close(); sys.stderr.close()"),
    poison("stdout's descriptors closed", "import os\nos.close(1); os.close(2); os.close(0)"),
    poison(
        "a stdout that raises",
        "import sys\nclass S:\n    def write(self, text): raise SystemExit(1)\n    flush = write\nsys.stdout = sys.stderr = S()",
    ),
    poison(
        "a stdout that never flushes",
        "import sys\nclass S:\n    def write(self, text): pass\n    def flush(self):\n        while True: pass\nsys.stdout = S()",
        timeout_s=0.5,
    ),
    poison(
        "stdout is a full pipe",
        "import os\nr, w = os.pipe(); os.dup2(w, 1)\nos.set_blocking(1, False)\ntry: os.write(1, b'x' * (1 << 20))\nexcept OSError: pass",
    ),
    poison("stdout does not block", "import os\nos.set_blocking(1, False)\nprint('x' * 10_000_000)"),
]

HOOKS = [
    poison("a hook for exceptions", "import sys\nsys.excepthook = sys.displayhook = lambda *a: sys.exit(1)\n1 / 0"),
    poison("a trace function", "import sys\nsys.settrace(lambda *a: 1 / 0)"),
    poison("a profile function", "import sys\nsys.setprofile(lambda *a: 1 / 0)"),
    poison("an audit hook that refuses", "import sys\nsys.addaudithook(lambda name, arguments: 1 / 0)", keeps=False),
    poison("at exit", "import atexit\natexit.register(lambda: 1 / 0)"),
    poison(
        "after a fork",
        "import os\nos.register_at_fork(before=lambda: 1 / 0, after_in_child=lambda: os._exit(1), after_in_parent=lambda: 1 / 0)",
        keeps=False,
    ),
    poison(
        "an audit hook that never returns", "import sys\ndef hook(*a):\n    while True: pass\nsys.addaudithook(hook)"
    ),
    poison(
        "after a fork, for ever",
        "import os\ndef hook():\n    while True: pass\nos.register_at_fork(after_in_child=hook)",
    ),
    poison(
        "a trace function that never returns",
        "import sys\ndef trace(*a):\n    while True: pass\nsys.settrace(trace)",
        timeout_s=0.5,
    ),
    poison(
        "a collector that never returns",
        "import gc\ndef hook(*a):\n    while True: pass\ngc.callbacks.append(hook); gc.set_threshold(1)\nx = [[] for _ in range(1000)]",
        timeout_s=0.5,
    ),
    poison("a collector that raises", "import gc\ngc.callbacks.append(lambda *a: 1 / 0); gc.set_threshold(1)"),
    poison(
        "hooks of threads",
        "import sys, threading\nthreading.excepthook = sys.unraisablehook = lambda *a: 1 / 0\nthreading.settrace(lambda *a: 1 / 0)",
    ),
    poison(
        "errors of encodings",
        "import codecs\nfor name in ('strict', 'replace', 'backslashreplace', 'surrogateescape'): codecs.register_error(name, lambda error: 1 / 0)\n'\\ud800'",
    ),
    poison("warnings are errors", "import warnings\nwarnings.simplefilter('error')"),
    poison(
        "a storm of alarms",
        "import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1 / 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)",
        keeps=False,
    ),
    poison("no processes", "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (0, 0))"),
    poison(
        "a cage of one's own",
        "import ctypes\nlibc = ctypes.CDLL(None)\nfd = libc.syscall(444, (ctypes.c_uint64 * 1)(0x1FFF), 8, 0)\nlibc.prctl(38, 1, 0, 0, 0); libc.syscall(446, fd, 0)",
    ),
    poison(
        "wait for every child",
        "import os, threading\ndef wait():\n    while True:\n        try: os.wait()\n        except OSError: pass\nthreading.Thread(target=wait, daemon=True).start()",
    ),
    poison("a handler for children", "import os, signal\nsignal.signal(signal.SIGCHLD, lambda *a: os.wait())"),
    poison("no children, please", "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)"),
    poison("no recursion", "import sys\nsys.setrecursionlimit(30)"),
    poison("no collection", "import gc\ngc.disable(); gc.set_threshold(0)"),
    poison("a switch interval of a day", "import sys\nsys.setswitchinterval(86400)"),
    poison("no environment", "import os\nos.environ.clear(); os.environ['PATH'] = ''"),
    poison("no working folder", "import os\nos.mkdir('/tmp/gone'); os.chdir('/tmp/gone'); os.rmdir('/tmp/gone')"),
    poison("a mask for everything", "import os\nos.umask(0o777)"),
    poison("no access to one's own folder", "import os\nos.chmod('/mnt/data', 0)"),
    poison("access again", "import os\nos.umask(0o022)\ntry: os.chmod('/mnt/data', 0o1777)\nexcept OSError: pass"),
]

VALUES = [
    poison("a value that raises when shown", "class X:\n    def __repr__(self): raise KeyError('no')\nX()"),
    poison("a value that leaves when shown", "class X:\n    def __repr__(self): raise SystemExit(3)\nX()"),
    poison("a value that is no text when shown", "class X:\n    def __repr__(self): return 5\nX()"),
    poison("a value with half a character", "'\\ud800' * 10"),
    poison(
        "an exception that raises when shown",
        "class X(Exception):\n    def __str__(self): raise X\n    __repr__ = __str__\nraise X",
    ),
    poison(
        "an exception with a strange name", "raise type('\\ud800\\n' + 'N' * 10000, (Exception,), {})('\\x00' * 100000)"
    ),
    poison("an exception with itself as cause", "e = ValueError('x'); e.__cause__ = e; e.__context__ = e\nraise e"),
    poison(
        "an exception with a long chain",
        "e = None\nfor n in range(20000):\n    n = ValueError(n); n.__cause__ = e; e = n\nraise e",
    ),
    poison("a group of groups", "e = ValueError('x')\nfor _ in range(2000): e = ExceptionGroup('g', [e])\nraise e"),
    poison("an exception without a class of exceptions", "raise BaseException('plain')"),
    poison("an interrupt of one's own", "raise KeyboardInterrupt('mine')"),
    poison(
        "a generator that is not finished",
        "def g():\n    try: yield\n    finally:\n        while True: pass\ng().__next__()",
        timeout_s=0.5,
    ),
    poison(
        "a class with a strange metaclass",
        "class M(type):\n    def __getattribute__(cls, name): raise SystemExit(1)\n    def __instancecheck__(cls, x): raise SystemExit(1)\nclass X(metaclass=M): pass\nX",
    ),
    poison(
        "a text that is longer than itself",
        "class X(str):\n    def __len__(self): return -1\n    def encode(self, *a): raise SystemExit\nclass Y:\n    def __repr__(self): return X('forged' * 10)\nY()",
    ),
    poison(
        "an exit that is never told",
        "class X(str):\n    def __str__(self):\n        while True: pass\nraise SystemExit(X('a'))",
        timeout_s=0.5,
    ),
    poison(
        "figures without an end",
        "import sys, types\nplots = types.ModuleType('matplotlib.pyplot')\nclass F:\n    axes = texts = images = 1\n    def savefig(self, file, **options): file.write(b'x' * 100)\nplots.get_fignums = lambda: range(10 ** 12)\nplots.figure = lambda n: F()\nplots.close = lambda figure: None\nsys.modules['matplotlib.pyplot'] = plots",
        timeout_s=0.5,
    ),
    poison("code that is not Python", "def ("),
    poison("code with a zero", "x = '\0'"),
    poison("code that is too deep", "x = " + "(" * 500 + ")" * 500),
    poison("code of 2 MB", "x = '" + "a" * 2_000_000 + "'"),
    poison(
        "a picture that lies",
        "class P:\n    def _repr_png_(self): return 'no bytes'\n    def _repr_html_(self): raise SystemExit(1)\nP()",
    ),
]

# The code finds what belongs to the kernel's half of its process, and says on its socket what only that half says.
BELOW = """
import gc, os, socket, struct, sys
def sockets():
    found = [thing for thing in gc.get_objects() if isinstance(thing, socket.socket)]
    for fd in range(3, 64):
        try: found.append(socket.socket(fileno=os.dup(fd)))
        except OSError: pass
    return found
def say(data):
    for one in sockets():
        try: one.sendall(data)
        except OSError: pass
"""
FRAMES = [
    poison(
        "a forged end",
        BELOW + 'say(b\'{"t":"done","status":"ok","result":"forged","ms":1,"cpu_ms":1,"max_rss":1}\\n\')\nx = 1',
    ),
    poison(
        "many forged ends",
        BELOW + 'for _ in range(1000): say(b\'{"t":"done","status":"ok","ms":1,"cpu_ms":1,"max_rss":1}\\n\')',
    ),
    poison(
        "an end with absurd numbers",
        BELOW
        + 'say(b\'{"t":"done","status":"root","ms":-1e999,"cpu_ms":"x","max_rss":1e400,"result":5,"error":7}\\n\')',
    ),
    poison("a frame without an end", BELOW + "say(b'{' * 3_000_000)"),
    poison("bytes that are no frame", BELOW + "say(b'\\x00\\xff\\n' * 10000)"),
    poison("raw bytes without an end", BELOW + 'say(b\'{"t":"display","mime":"image/png","raw":99999999999}\\n\')'),
    poison("raw bytes of a negative length", BELOW + 'say(b\'{"t":"display","mime":"image/png","raw":-5}\\n\')'),
    poison("frames nested without an end", BELOW + "say(b'{\"t\":' + b'[' * 100000 + b'\\n')"),
    poison("a forged copy", BELOW + 'say(b\'{"t":"frozen","copy":true}\\n\')'),
    poison(
        "a forged copy with a socket of one's own",
        BELOW
        + 'a, b = socket.socketpair()\nfor one in sockets():\n    try: socket.send_fds(one, [b\'{"t":"frozen","copy":true}\\n\'], [b.fileno()])\n    except OSError: pass',
    ),
    poison(
        "many descriptors at once",
        BELOW
        + 'fds = [os.open(\'/dev/null\', os.O_RDONLY) for _ in range(100)]\nfor one in sockets():\n    try: socket.send_fds(one, [b\'{"t":"frozen","copy":true}\\n\'], fds)\n    except OSError: pass',
    ),
    poison(
        "hang up",
        BELOW
        + "for one in sockets():\n    try: one.shutdown(socket.SHUT_RDWR)\n    except OSError: pass\nwhile True: pass",
    ),
    poison("hang up and be quiet", BELOW + "for one in sockets(): one.close()"),
    poison(
        "eat the next order",
        BELOW
        + "import threading\ndef eat():\n    while True:\n        for one in sockets():\n            try: one.recv(65536)\n            except OSError: pass\nthreading.Thread(target=eat, daemon=True).start()",
    ),
    poison(
        "the frames below",
        "import sys\nframe = sys._getframe()\nwhile frame := frame.f_back:\n    for name in list(frame.f_globals):\n        if not name.startswith('__'):\n            try: frame.f_globals[name] = None\n            except Exception: pass",
    ),
    poison(
        "the objects below",
        "import gc\nfor thing in gc.get_objects():\n    if type(thing).__name__ in ('Worker', 'Displays'):\n        vars(thing).clear()",
    ),
    poison(
        "the host's descriptors",
        'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"t":"hello","nonce":"x","v":1,"py":"forged"}\\n\')\n    except OSError: pass',
    ),
    poison(
        "the host's descriptors through /proc",
        'import os\nfor pid in (1, os.getppid(), os.getpid()):\n    for fd in range(64):\n        try:\n            with open(f\'/proc/{pid}/fd/{fd}\', \'wb\', buffering=0) as file: file.write(b\'{"t":"hello","nonce":"x","v":1,"py":"forged"}\\n\')\n        except OSError: pass',
    ),
]

ALL: list[Item] = [*BUILTINS, *MODULES, *STREAMS, *HOOKS, *VALUES, *FRAMES]
