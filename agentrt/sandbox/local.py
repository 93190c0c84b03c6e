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
_CHANGE_FOLDER: Final = "import os, sys; os.chdir(sys.argv.pop(1))\n"


class LocalDriver:
    """Processes for one SandboxSpec, each with a folder of its own for files, which goes with it."""

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
        folder = tempfile.mkdtemp(prefix="agentrt-unsafe-")
        *options, loader = BOOT_COMMAND[1:]
        command = [sys.executable, *options, _CHANGE_FOLDER + loader, folder]
        return await _LocalBox.start(command, environment=self._environment(), on_end=lambda: _remove(folder))

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


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
