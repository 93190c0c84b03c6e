"""What the processes of test_processes.py are told to do: one command each."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def run(request: bytes) -> bytes:
    """The entry: `command argument`."""
    command, _, argument = request.decode().partition(" ")
    return _COMMANDS[command](argument).encode()


def _hang(argument: str) -> str:
    if argument:
        Path(argument).touch()  # more than that a process may not write
    time.sleep(60)
    return "woke"


def _burn(_: str) -> str:
    while True:
        hash("x")


def _eat(megabytes: str) -> str:
    held = bytearray(int(megabytes) << 20)
    held[::4096] = b"x" * len(held[::4096])
    return str(len(held))


def _keep(megabytes: str) -> str:
    _kept.append(b"x" * (int(megabytes) << 20))
    return megabytes


def _die(code: str) -> str:
    os.kill(os.getpid(), int(code))
    return "survived"


def _raise(text: str) -> str:
    raise ValueError(text)


def _print(text: str) -> str:
    print(text)
    os.write(1, b"noise")
    print(text, file=sys.stderr)
    return f"printed {text!r}, read {sys.stdin.read()!r}"


_kept: list[bytes] = []
_COMMANDS: dict[str, Callable[[str], str]] = {
    "pid": lambda _: str(os.getpid()),
    "echo": lambda text: text,
    "environ": lambda _: " ".join(sorted(os.environ)),  # noqa: TID251 - it looks at what it got
    "path": lambda _: "\n".join(sys.path),
    "size": lambda n: "x" * int(n),
    "hang": _hang,
    "burn": _burn,
    "eat": _eat,
    "die": _die,
    "raise": _raise,
    "print": _print,
    "write": lambda path: str(Path(path).write_bytes(b"x" * 10)),
    "keep": _keep,
}
