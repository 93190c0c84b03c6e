"""A person at a terminal: a program on a pseudo-terminal, typed to and read from."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.projects import command, environment

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\x00-\x08\x0b-\x1f]")


class Person:
    """Reads what the program shows and types to it."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._fd = fd
        self._raw = ""
        self._seen = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    @property
    def seen(self) -> str:
        """All that was shown so far, without colours and cursor movements."""
        return _CONTROL.sub("", self._raw)

    @property
    def raw(self) -> str:
        return self._raw

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def press(self, key: str) -> None:
        """`C` for Ctrl-C, `D` for Ctrl-D."""
        os.write(self._fd, bytes([ord(key) - 64]))

    def see(self, text: str, *, limit_s: float = 40.0) -> str:
        """Wait until text is shown, after what was waited for before. Returns what came up to its end."""
        end = time.monotonic() + limit_s
        while (place := self.seen.find(text, self._seen)) < 0:
            assert time.monotonic() < end, f"not seen: {text!r}\n{self.seen}"
            if not self._read(0.1):
                assert text in self.seen[self._seen :], f"ended without {text!r}\n{self.seen}"
        begin, self._seen = self._seen, place + len(text)
        return self.seen[begin : self._seen]

    def has_echo(self) -> bool:
        """Whether the terminal shows what is typed."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def leave(self) -> int:
        """Wait for the program's end. Returns its exit code."""
        while self._read(0.5):
            pass
        return self.process.wait(timeout=30)

    def _read(self, limit_s: float) -> bool:
        """Read what there is. False: the program has ended."""
        ready, _, _ = select.select([self._fd], [], [], limit_s)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._fd, 65_536)
        except OSError:
            return False
        self._raw += self._decoder.decode(data)  # a character may come in two pieces
        return bool(data)


@contextmanager
def at_terminal(folder: Path, *words: str, columns: int = 100, rows: int = 30, **variables: str) -> Iterator[Person]:
    """Run a command on a terminal of its own, so that Ctrl-C reaches it alone."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command(*words)],
        cwd=folder,
        env=environment(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(rows), **variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield Person(ours, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)
        os.close(ours)
