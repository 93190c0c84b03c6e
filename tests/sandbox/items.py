"""What code tries in a sandbox: one item of the abuse suite each, as data."""

# ruff: noqa: E501 - code as data, a line of it is a line
from __future__ import annotations

import textwrap
from dataclasses import dataclass

# Runs before every attempt. `escaped(x)` says that it worked; an exception says that it did not.
PRELUDE = '''
import ctypes, errno, os, platform, signal, socket, subprocess, sys, threading, time
_libc = ctypes.CDLL(None, use_errno=True)
def escaped(what):
    print("ESCAPED", what)
def put(path, text):
    """Not by open(): what fails when the file is closed would go unnoticed."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
def call(x86_64, aarch64, *arguments):
    """A system call by number; raises OSError."""
    number = aarch64 if platform.machine() == "aarch64" else x86_64
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *[a if not isinstance(a, int) else ctypes.c_long(a) for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def forbidden(x86_64, aarch64, *arguments):
    """A system call that must not even be looked at: any other answer than "no" means that the kernel did."""
    try:
        result = call(x86_64, aarch64, *arguments)
        if result == 0 and x86_64 in (56, 435):
            os._exit(0)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            raise
        result = errno.errorcode[error.errno]
    escaped(result)
def status(field, pid="self"):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field + ":"):
            return line.split(":")[1].strip()
'''


@dataclass(frozen=True)
class Item:
    """One attempt. expect: what has to be printed where something must go on working ("" = nothing has to).

    statuses: how the call may end. keeps: whether the variables have to be there afterwards.
    """

    name: str
    code: str
    expect: str = ""
    statuses: tuple[str, ...] = ("ok", "error")
    timeout_s: float = 10.0
    keeps: bool = True

    def __str__(self) -> str:
        return self.name


def item(name: str, code: str, **options: object) -> Item:
    """The code may be indented."""
    return Item(name, textwrap.dedent(code).strip() + "\n", **options)  # type: ignore[arg-type]


def attempt(name: str, body: str, *, needs: str = "") -> Item:
    """Something that must not work: an exception, or nothing, is the good end. body calls escaped()."""
    tried = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return Item(
        name,
        f"{needs}\ntry:\n{tried}\nexcept (Exception, SystemExit) as refusal:\n    print('refused', type(refusal).__name__)\n",
    )
