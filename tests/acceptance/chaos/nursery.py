"""Where the processes of a chaos test are born, and what ends them whatever happens.

A process of its own that has imported everything: nodes are forked from it in milliseconds, where an interpreter that
starts and imports takes two seconds of CPU; the test restarts nodes all the time. It ends when its standard input does
(also when the test itself is killed), and takes all its children and the test's PostgreSQL with it, frozen or not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import msgspec

import agentrt.dispatch.postgres  # noqa: F401 - here once, not in every node at its start
from tests.acceptance.chaos.model_server import serve_model
from tests.acceptance.chaos.node import NodeSpec, run_node

REPOSITORY = Path(__file__).resolve().parents[3]


class StartNode(msgspec.Struct, frozen=True, tag=True):
    spec: NodeSpec


class StartModel(msgspec.Struct, frozen=True, tag=True):
    folder: Path
    port: int


class AskExit(msgspec.Struct, frozen=True, tag=True):
    """Has this child ended, and how?"""

    pid: int


class GuardDatabase(msgspec.Struct, frozen=True, tag=True):
    """A PostgreSQL's folder: a server that still runs there in the end is killed."""

    folder: Path


Order: TypeAlias = StartNode | StartModel | AskExit | GuardDatabase
Answer: TypeAlias = int | None

_orders = msgspec.json.Decoder(Order, dec_hook=lambda kind, text: kind(text))  # Path
_answers = msgspec.json.Decoder(Answer)


class Nursery:
    """The test's end of it. Its calls take milliseconds and block."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.acceptance.chaos.nursery"]
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.read()
        self._process.wait()
        self._process.stdout.close()

    def start(self, order: StartNode | StartModel) -> int:
        """Start a process; its pid."""
        pid = self._ask(order)
        assert pid is not None
        return pid

    def exit_code(self, pid: int) -> int | None:
        """How a child ended (-9: killed), None while it has not. Asked once it has, its pid is free again."""
        return self._ask(AskExit(pid))

    def guard_database(self, folder: Path) -> None:
        """See GuardDatabase."""
        self._ask(GuardDatabase(folder))

    def _ask(self, order: Order) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(order, enc_hook=str) + b"\n")
        self._process.stdin.flush()
        answer: Answer = _answers.decode(self._process.stdout.readline())
        return answer


def main() -> None:
    """Take orders until there are no more, then leave nothing behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the test's, which ends this by closing the pipe
    children: set[int] = set()
    databases: set[Path] = set()
    try:
        for line in sys.stdin.buffer:
            answer = _obey(_orders.decode(line), children, databases)
            sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
            sys.stdout.buffer.flush()
    finally:
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for folder in databases:
            _end_database(folder)


def _obey(order: Order, children: set[int], databases: set[Path]) -> Answer:
    match order:
        case StartNode(spec):
            pid = _fork(lambda: run_node(spec), log=spec.log_file)
        case StartModel(folder, port):
            pid = _fork(lambda: serve_model(folder, port), log=folder / "model.errors")
        case AskExit(pid):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                return None
            children.discard(pid)
            return os.waitstatus_to_exitcode(status)
        case GuardDatabase(folder):
            databases.add(folder)
            return None
    children.add(pid)
    return pid


def _fork(work: Callable[[], None], *, log: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with log.open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        work()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _end_database(folder: Path) -> None:
    with suppress(FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        os.kill(int((folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)


if __name__ == "__main__":
    main()
