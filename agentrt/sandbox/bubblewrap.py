"""Sandboxes on Linux without a container engine: bubblewrap's namespaces, our rule about system calls, rlimits.

The kernel in it is the same as in a container. What a cgroup does there is done by rlimits for each process and by the
kernel's own watch over the memory of all of them; CPU time is not limited, but the code runs at nice 10.

As an ordinary user, the sandbox is a user namespace. As root it is not: bwrap arranges everything with root's rights,
then the kernel goes on as a user of its own, without any capability. (Root inside a user namespace is still root for
the files of /proc/sys, and an ordinary user could not reach an interpreter below /root.)
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.boot import BOOT_COMMAND
from agentrt.sandbox.bubblewrap_failure import why_not
from agentrt.sandbox.bubblewrap_view import TMP, Python, environment, host_python, view
from agentrt.sandbox.driver import Available, Box, Capabilities, Left, Probe, Unavailable
from agentrt.sandbox.process_box import ProcessBox
from agentrt.sandbox.seccomp import bpf_program, this_machine
from agentrt.sandbox.users import give_back, take_user

# Of each process. numpy maps much that it never touches, so what is really used is watched apart from this.
_ADDRESS_SPACE_BYTES: Final = 4 * 1024**3
_OPEN_FILES: Final = 1024
_SIGNALS: Final = 4096
_NEEDED: Final = ("prlimit", "setpriv")
_NAMESPACES: Final = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
# Memory that belongs to no process and to no tmpfs with a limit, so that the kernel's watch would not find it.
_HIDDEN_MEMORY: Final = frozenset({"memfd_create"})
_PROBE_S: Final = 15.0
_SIGN_OF_LIFE: Final = "it runs"
_OUTER: Final = {"PATH": os.defpath}
_ETC: Final = {
    "passwd": "root:x:0:0:root:/:/bin/false\nsandbox:x:{user}:{user}:sandbox:/mnt/data:/bin/sh\n",
    "group": "root:x:0:\nsandbox:x:{user}:\n",
}


class BubblewrapDriver:
    """Sandboxes for one SandboxSpec. Raises nothing before `open`; program is bwrap's path or name."""

    name = "bubblewrap"
    capabilities = Capabilities(memory=False, network=True)

    def __init__(self, spec: SandboxSpec, *, program: str = "bwrap", python: Python | None = None) -> None:
        self._spec = spec
        self._program = program
        self._python = python or host_python()

    async def probe(self) -> Probe:
        """Start one with everything that a real one has, and see whether Python runs in it."""
        return await asyncio.to_thread(self._probe)

    async def open(self, session: str | None = None) -> Box:
        user = take_user()
        with self._command(user, [str(self._python.executable), *BOOT_COMMAND[1:]]) as (command, fds):
            return await ProcessBox.start(command, environment=_OUTER, pass_fds=fds, on_end=lambda: give_back(user))

    async def left(self) -> list[Left]:
        """Nothing: the sandboxes end with the process that started them."""
        return []

    async def attach(self, left: Left) -> Box:
        raise SandboxError(f"bubblewrap leaves no sandboxes behind, so {left.box_id} cannot be one")

    async def close(self) -> None:
        """There is nothing to release."""

    def _probe(self) -> Probe:
        machine = this_machine()
        if sys.platform != "linux" or machine is None:
            return Unavailable(why=f"not for {sys.platform} on {os.uname().machine}", remedy="run Docker")
        for program in (self._program, *_NEEDED):
            if shutil.which(program) is None:
                package = "bubblewrap" if program == self._program else "util-linux"
                return Unavailable(why=f"{program} not found", remedy=f"apt install {package}")
        said = self._try_out()
        if _SIGN_OF_LIFE not in said:
            return why_not(said)
        version = _run([self._program, "--version"]) or "bubblewrap"
        return Available(detail=f"{version} {'as root' if _is_root() else 'with user namespaces'}")

    def _try_out(self) -> str:
        """What is said by a sandbox that has only to say one word."""
        user = take_user()
        inner = [str(self._python.executable), "-I", "-S", "-c", f"print('{_SIGN_OF_LIFE}')"]
        try:
            with self._command(user, inner) as (command, fds):
                return _run(command, fds)
        finally:
            give_back(user)

    @contextmanager
    def _command(self, user: int, inner: Sequence[str]) -> Iterator[tuple[list[str], list[int]]]:
        """The command that runs inner inside, and the open files that it reads, for a child started in the block."""
        machine = this_machine()
        if machine is None:
            raise SandboxError(f"bubblewrap: the system calls of {os.uname().machine} are not known")
        etc = [text.format(user=user).encode() for text in _ETC.values()]
        with _memory_files(bpf_program(machine, without=_HIDDEN_MEMORY), *etc) as (rule, passwd, group):
            arguments = [
                *_NAMESPACES,
                *_identity(user),
                *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--as-pid-1"),
                *environment(self._environment()),
                *view(self._python, disk_bytes=self._spec.limits.disk_bytes, passwd_fd=passwd, group_fd=group),
                *("--seccomp", str(rule)),
            ]
            # Not on the command line, which everybody on this machine can read: the environment may have secrets.
            with _memory_files("\0".join(arguments).encode() + b"\0") as (words,):
                program = shutil.which(self._program) or self._program  # the child has a plain PATH
                command = [program, "--args", str(words), "--", *self._limited(user), *inner]
                yield command, [rule, passwd, group, words]

    def _limited(self, user: int) -> list[str]:
        """What runs first inside: the limit on processes counts only from there on."""
        limits = self._spec.limits
        prlimit = [
            "prlimit",
            f"--nproc={limits.processes}",
            f"--as={max(_ADDRESS_SPACE_BYTES, 2 * limits.memory_bytes)}",
            f"--nofile={_OPEN_FILES}",
            f"--fsize={limits.disk_bytes}",
            f"--sigpending={_SIGNALS}",
            "--core=0",
            "--",
        ]
        if not _is_root():
            return prlimit
        setpriv = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig=KILL"]
        return [*prlimit, *setpriv, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--"]

    def _environment(self) -> dict[str, str]:
        threads = str(max(1, math.ceil(self._spec.limits.cpus)))
        return {
            "PATH": f"{self._python.executable.parent}:/usr/bin:/bin",
            "HOME": TMP,
            "LANG": "C.UTF-8",
            "MPLCONFIGDIR": f"{TMP}/matplotlib",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            **{name: secret.reveal() for name, secret in self._spec.environment.items()},
        }


def _is_root() -> bool:
    return os.geteuid() == 0


def _identity(user: int) -> list[str]:
    """Who it is inside."""
    if not _is_root():
        return ["--unshare-user", "--uid", str(user), "--gid", str(user)]
    # What setpriv needs to become somebody else for good.
    needed = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
    return ["--cap-drop", "ALL", *(word for capability in needed for word in ("--cap-add", capability))]


def _run(command: Sequence[str], pass_fds: Sequence[int] = ()) -> str:
    """What a command says on stdout and stderr; why it does not start."""
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_OUTER,
            pass_fds=pass_fds,
            timeout=_PROBE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.decode("utf-8", "replace").strip()


@contextmanager
def _memory_files(*contents: bytes) -> Iterator[list[int]]:
    """Open files with these contents, for a child that is started inside the block."""
    with ExitStack() as stack:
        fds = []
        for content in contents:
            fd = os.memfd_create("bwrap")
            stack.callback(os.close, fd)
            os.write(fd, content)
            os.lseek(fd, 0, os.SEEK_SET)
            fds.append(fd)
        yield fds
