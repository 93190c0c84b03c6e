"""Runs the code: one process, forked by runner.py, in which variables live from call to call.

After each call it forks itself. The copy sleeps, and takes over with the variables of that moment when the worker is
killed. The copy is a grandchild, so that the code's own `os.wait` never sees it.

The code shares this process and may break anything in it: print, builtins, json, the recursion limit. What this
module needs it therefore took aside before any code ran. Stdlib only; runs in the box, see runner.py.
"""

from __future__ import annotations

import ast
import builtins
import io
import linecache
import marshal
import mmap
import os
import resource
import signal
import sys
import traceback
import types
from json.encoder import encode_basestring_ascii as quote
from time import monotonic

from agentrt_control import Control
from agentrt_display import Displays
from agentrt_processes import set_oom_score
from agentrt_usage import cpu_s, forget_peak, peak_bytes, rss_bytes

# Functions look builtins up where their module says: from here on in a copy that the code cannot reach by `builtins`.
globals()["__builtins__"] = dict(vars(builtins))
# signal: the C half, for the other one is Python and looks its builtins up where the code can reach them.
for _name, _module in {
    "ast": ast,
    "io": io,
    "marshal": marshal,
    "os": os,
    "resource": resource,
    "signal": sys.modules["_signal"],
    "traceback": sys.modules["traceback"],
    "types": types,
}.items():
    _aside = types.ModuleType(_name)
    _aside.__dict__.update(_module.__dict__)
    globals()[_name] = _aside

MAX_RESULT_CHARS = 64 * 1024
MAX_TRACEBACK_CHARS = 32 * 1024
MAX_NAME_CHARS = 200
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_RESERVE_BYTES = 256 * 1024
_FOR_COPIES = 4


class Worker:
    """The code's process.

    control: the line to runner.py. outputs: pipes for fd 1 and 2. begun: shared with runner.py; its first byte says
    that the code of the present call has begun (a frame would cost a task switch in every call). limits: bytes above
    which it is not copied; processes of the box, 0 = any.
    """

    def __init__(
        self,
        control: Control,
        outputs: tuple[int, int],
        begun: mmap.mmap,
        limits: tuple[int, int],
    ) -> None:
        self._control = control
        self._begun = begun
        self._outputs = outputs
        self._checkpoint_bytes, self._max_processes = limits
        self._n_calls = 0
        self._number = 0  # of the present call, as runner.py counts
        self._displays = Displays(self._send_display)
        self._main = types.ModuleType("__main__")
        self._main.__dict__["__builtins__"] = builtins
        self._main.__dict__["display"] = self._display
        self._reserve: bytes | None = None
        self._pid = os.getpid()
        self._midwife = 0  # the process between this one and its copy

    def serve(self) -> None:
        """Do what runner.py says until it hangs up."""
        for name in [name for name in sys.modules if name == "runner" or name.startswith("agentrt_")]:
            del sys.modules[name]
        sys.modules["__main__"] = self._main
        sys.path.insert(0, "")
        self._displays.install()
        self._reserve_processes(_FOR_COPIES)
        while True:
            # The order comes when the call's end has reached the host: the copy takes a while.
            order = self._control.receive()["n"]
            # What the last call did to them is undone now, while nobody waits.
            self._restore_streams()
            self._reserve = self._reserve or bytes(_RESERVE_BYTES)
            _forget_interrupt()
            self._freeze(order)
            self._warm_up()
            forget_peak()  # not in the call: it takes longer than a short one's code
            frame = self._control.receive()
            self._call(frame["code"], frame["n"])

    def _call(self, code: str, number: int) -> None:
        self._n_calls += 1
        self._number = number
        self._displays.start_call()
        self._begun[0] = 1
        self._dismiss_midwife()
        before, started = cpu_s(), monotonic()
        outcome = self._guarded(code)
        self._leave_if_forked()
        self._control.send(_done(number, outcome, before, started))

    def _guarded(self, code: str) -> str:
        """Run the code so that an interrupt at any moment ends the call and nothing else."""
        try:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                _unblock()
                return self._run(code, f"<cell {self._n_calls}>")
            finally:
                _block()
        except BaseException as error:  # the code's own are caught below: this one came between the lines
            _block()
            return _report(error, None)

    def _run(self, code: str, filename: str) -> str:
        lines = (len(code), None, [line + "\n" for line in code.splitlines()], filename)
        try:
            linecache.cache[filename] = lines
        except Exception:  # whatever the code put there
            linecache.cache = {filename: lines}
        try:
            body, last = _compiled(code, filename)
        except Exception as error:  # SyntaxError, ValueError for a NUL, RecursionError, MemoryError
            return _report(error, None)
        try:
            if body:
                _evaluate(body, self._main.__dict__)
            value = _evaluate(last, self._main.__dict__) if last else None
            result = None
            if value is not None:
                self._displays.show(value)
                result = repr(value)
            self._displays.show_figures()
        except SystemExit as error:
            self._flush()
            return _exit(error)
        except BaseException as error:
            self._reserve = None  # a little memory to report with, after the code has used up everything
            self._show_rest()
            return _report(error, 2)
        self._flush()
        return '"status":"ok","result":' + ("null" if result is None else _text(result, MAX_RESULT_CHARS))

    def _show_rest(self) -> None:
        try:
            self._displays.show_figures()
        except BaseException:  # the call has failed already: its own error is what the model must read
            return
        finally:
            self._flush()

    def _display(self, *values: object) -> None:
        """`display(x)` in the code: a picture if x has one of itself, its text otherwise."""
        for value in values:
            self._flush()
            if not self._displays.show(value):
                print(value)

    def _leave_if_forked(self) -> None:
        """A child that the code has forked and that ran on to the end of the call is not a worker."""
        if os.getpid() != self._pid:
            os._exit(0)

    def _send_display(self, mime: str, data: bytes) -> None:
        self._leave_if_forked()
        self._flush()
        self._control.display(self._number, mime, data)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except KeyboardInterrupt:
                raise
            except BaseException:  # whatever the code put there
                continue

    def _restore_streams(self) -> None:
        """Give the code its streams back, whatever the last call did to them."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, fd in ((nothing, 0), (self._outputs[0], 1), (self._outputs[1], 2)):
            os.dup2(source, fd)
        os.close(nothing)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, "r", closefd=False), "utf-8")
        # Written through: what was printed is out, even when the next thing is a segfault.
        sys.stdout = _stream(1)
        sys.stderr = _stream(2)
        vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)

    def _freeze(self, order: int) -> None:
        """Leave a copy of this moment behind, or say that there is none. Returns in the worker, and in a woken copy."""
        while True:
            self._reserve_processes(0)
            try:
                self._midwife = 0 if rss_bytes() > self._checkpoint_bytes else os.fork()
                is_copy = self._midwife == 0 and os.getpid() != self._pid
            except OSError:
                is_copy = False
            if not is_copy:
                self._reserve_processes(_FOR_COPIES)
                if not self._midwife:
                    self._control.announce(order)
                return
            self._leave_copy(order)
            self._reserve_processes(_FOR_COPIES)
            order = self._control.receive()["n"]  # sleeps here; what comes wakes it up, and orders a new copy
            set_oom_score(1000)

    def _reserve_processes(self, n: int) -> None:
        """Keep so many of those that the box may have from the code: what it leaves running must not prevent copies."""
        if self._max_processes <= n:
            return
        try:
            most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            resource.setrlimit(resource.RLIMIT_NPROC, (self._max_processes - n, most))
        except (OSError, ValueError):  # the code has lowered what it cannot raise again
            return

    def _leave_copy(self, order: int) -> None:
        """Between the two forks: end here, go on as the sleeping grandchild."""
        try:
            if os.fork():
                os._exit(0)
            os.setpgid(0, 0)
            self._pid = os.getpid()
            set_oom_score(500)  # a later victim than the worker that it is a copy of
            self._control.begin_line_of_copy(order)
        except BaseException:  # no process or descriptor is left
            try:
                self._control.announce(order)
            finally:
                os._exit(1)

    def _dismiss_midwife(self) -> None:
        """Before the code can see it: its own `os.wait` must only find children of its own."""
        if self._midwife:
            try:
                os.waitpid(self._midwife, 0)
            except ChildProcessError:  # the code ignores SIGCHLD
                return

    def _warm_up(self) -> None:
        """Do what each call does, while nobody waits: since the fork every page is copied when it is first written."""
        if self._control.is_silent():
            self._dismiss_midwife()
            self._midwife = 0
            self._rehearse()

    def _rehearse(self) -> None:
        """A call that says nothing to anybody; SIGINT stays blocked, for it may be meant for the call that comes."""
        try:
            marshal.loads(marshal.dumps({"t": "exec", "code": "0", "n": self._number}, 2))
            self._displays.start_call()
            before, started = cpu_s(), monotonic()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _done(self._number, self._run("0\n0", "<rehearsal>"), before, started).encode("ascii")
        except BaseException:  # the code's doing: its next call will tell
            return


def _compiled(code: str, filename: str) -> tuple[types.CodeType | None, types.CodeType | None]:
    """The statements, if there are any, and the last one apart if it is an expression."""
    tree = compile(code, filename, "exec", ast.PyCF_ONLY_AST | _AWAIT, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    body = compile(tree, filename, "exec", _AWAIT, dont_inherit=True) if tree.body else None
    if not isinstance(last, ast.Expr):
        return body, None
    return body, compile(ast.Expression(last.value), filename, "eval", _AWAIT, dont_inherit=True)


def _done(number: int, outcome: str, cpu_s_before: float, started: float) -> str:
    """The frame of a call's end."""
    ms, cpu_ms = (monotonic() - started) * 1000, (cpu_s() - cpu_s_before) * 1000
    usage = f'"ms":{ms:.3f},"cpu_ms":{cpu_ms:.3f},"max_rss":{peak_bytes()}'
    return f'{{"t":"done","n":{number},{outcome},{usage}}}'


def _evaluate(code: types.CodeType, names: dict[str, object]) -> object:
    value = eval(code, names)
    if code.co_flags & 0x80:  # CO_COROUTINE: it awaits at top level
        import asyncio

        return asyncio.run(value)
    return value


def _report(error: BaseException, n_own_frames: int | None) -> str:
    """An exception of the code as the fields of `done`. n_own_frames: ours above the code's; None = all are ours."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000))
    kind = type(error)
    status = "interrupted" if kind is KeyboardInterrupt else "error"
    trace = error.__traceback__
    for _ in range(n_own_frames or 0):
        trace = trace.tb_next if trace else None
    try:
        lines = traceback.format_exception(kind, error, None if n_own_frames is None else trace)
        text = "".join(lines)
    except BaseException:  # the exception's own __str__ raises, or traceback is broken
        text = ""
    try:
        value = str(error)
    except BaseException:
        value = ""
    text = text or f"{kind.__name__}: {value}\n"
    fields = (
        f'"name":{_text(kind.__name__, MAX_NAME_CHARS)}',
        f'"value":{_text(value, MAX_TRACEBACK_CHARS)}',
        f'"traceback":{_text(text, MAX_TRACEBACK_CHARS)}',
    )
    return f'"status":"{status}","error":{{{",".join(fields)}}}'


def _exit(error: SystemExit) -> str:
    code = error.code
    value = "0" if code is None else str(code) if isinstance(code, (int, str)) else type(code).__name__
    return f'"status":"exit","error":{{"name":"SystemExit","value":{_text(value, MAX_NAME_CHARS)},"traceback":""}}'


def _text(text: str, limit: int) -> str:
    """As JSON, at most limit characters: the middle goes, the end of a traceback matters most."""
    text = str.encode(text, "utf-8", "backslashreplace").decode("utf-8")
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    return quote(text)


def _stream(fd: int) -> io.TextIOWrapper:
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", newline="\n", write_through=True)


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def _forget_interrupt() -> None:
    """One that came when the call that it was meant for had just ended."""
    if signal.SIGINT in signal.sigpending():
        signal.sigwait((signal.SIGINT,))
