"""No sandbox at all: the kernel as a plain process with this user's rights. For trying things out, by explicit name.

It speaks the same protocol, so it is also the floor that other drivers are measured against. Code can read and change
whatever this user can; only its time and its memory are bounded. `driver = "auto"` never takes it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.boot import BOOT_COMMAND
from agentrt.sandbox.driver import Available, Box, Capabilities, Left, Probe, Unavailable
from agentrt.sandbox.process_box import ProcessBox

log = logging.getLogger(__name__)

_END_S: Final = 2.0
_PREFIX: Final = "agentrt-unsafe-"
_CHANGE_FOLDER: Final = "import os, sys; os.chdir(sys.argv.pop(1))\n"


class LocalDriver:
    """Processes for one SandboxSpec, each with a folder of its own for files, which goes with it.

    Where the service is killed, the kernel ends and the folder stays; the next box that is opened removes it.
    """

    name = "unsafe-local"
    capabilities = Capabilities(
        isolated=False, memory=False, folder=".", note="Files are in the working folder, there is no /mnt/data."
    )

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec = spec

    async def probe(self) -> Probe:
        if os.name != "posix":
            return Unavailable(why=f"not for {sys.platform}", remedy="run Docker")
        return Available(detail=f"Python {sys.version.split()[0]} of this machine, not isolated")

    async def open(self, session: str | None = None) -> Box:
        danger = "code runs with all rights of this user, nothing isolates it"
        log.warning("sandbox.unsafe_local", extra={"danger": danger})
        await asyncio.to_thread(_remove_left_folders)
        folder, lock = _make_folder()
        *options, loader = BOOT_COMMAND[1:]
        command = [sys.executable, *options, _CHANGE_FOLDER + loader, folder]
        return await _LocalBox.start(command, environment=self._environment(), on_end=lambda: _remove(folder, lock))

    async def left(self) -> list[Left]:
        """Nothing: they end with this process."""
        return []

    async def attach(self, left: Left) -> Box:
        raise SandboxError(f"unsafe-local leaves nothing behind, so {left.box_id} cannot be its own")

    async def close(self) -> None:
        """There is nothing to release."""

    def _environment(self) -> dict[str, str]:
        python = str(Path(sys.executable).parent)
        return {
            "PATH": os.pathsep.join((python, os.defpath)),
            "HOME": tempfile.gettempdir(),
            "LANG": "C.UTF-8",
            **{name: secret.reveal() for name, secret in self._spec.environment.items()},
        }


class _LocalBox(ProcessBox):
    """Nothing here dies with the kernel by itself, so it is given the time to kill what it has started."""

    async def kill(self) -> None:
        self.channel.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, _END_S)
        finally:
            await super().kill()


def _remove_left_folders() -> None:
    """Those of processes that were killed: nobody holds their locks any more."""
    for folder in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        if (lock := _lock(str(folder))) is not None:
            _remove(str(folder), lock)


def _make_folder() -> tuple[str, int]:
    """A folder for one box, and the lock that says that it is in use. Raises SandboxError."""
    try:
        while True:
            folder = tempfile.mkdtemp(prefix=_PREFIX)
            if (lock := _lock(folder)) is not None:  # else somebody has just taken it for one that was left
                return folder, lock
    except OSError as error:
        raise SandboxError(f"There is no folder for a sandbox's files: {error}") from None


def _lock(folder: str) -> int | None:
    """A descriptor that locks this user's folder until it is closed; None if it is in use, gone or another user's."""
    import fcntl  # not on Windows, where the driver can be asked why it does not work

    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_mine = os.fstat(lock).st_uid == os.getuid() and os.path.samestat(os.fstat(lock), os.lstat(folder))
    except OSError:
        is_mine = False
    if not is_mine:
        os.close(lock)
        return None
    return lock


def _remove(folder: str, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
