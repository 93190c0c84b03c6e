"""Sandboxes from pip alone: Monty, an interpreter of a part of Python, which has nothing that could reach this machine.

For machines without a container engine and without bubblewrap: Linux and macOS. What it lacks is told to the model.
The extra `agentrt[monty]` brings it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.boot import kernel_folder
from agentrt.sandbox.driver import Available, Box, Capabilities, Left, Probe, Unavailable
from agentrt.sandbox.process_box import ProcessBox

# Found by trying: 36 of 46 features of the language and 25 of 66 common modules are there in 1.4.
_NOTE: Final = (
    "This Python is a small interpreter of its own. Not available: packages from PyPI (no pandas, numpy, matplotlib), "
    "`yield`, class inheritance (so no Enum, NamedTuple or exceptions of your own), decorators on methods, `del`, "
    "`except*`, `input`, other processes, the network, pictures. Available modules: asyncio, base64, binascii, bisect, "
    "collections, copy, csv, dataclasses, datetime, decimal, functools, hashlib, itertools, json, math, os, pathlib, "
    "random, re, sys, time, tomllib, typing, unicodedata. Loops are about ten times slower than usual."
)
_START: Final = "from agentrt.sandbox.monty_kernel import main; main()"
_CHECK: Final = """\
import pydantic_monty
with pydantic_monty.Monty() as pool, pool.checkout() as session:
    print(pydantic_monty.__version__, session.feed_run("1 + 1"))
"""
_PROBE_S: Final = 30.0
_REINSTALL: Final = "pip install --force-reinstall 'agentrt[monty]'"


class MontyDriver:
    """Sandboxes for one SandboxSpec."""

    name = "monty"
    capabilities = Capabilities(python=False, packages=False, processes=False, displays=False, note=_NOTE)

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec = spec

    async def probe(self) -> Probe:
        if importlib.util.find_spec("pydantic_monty") is None:
            return Unavailable(why="pydantic-monty is not installed", remedy="pip install 'agentrt[monty]'")
        try:
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-P", "-c", _CHECK],
                capture_output=True,
                text=True,
                timeout=_PROBE_S,
                check=False,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            return Unavailable(why="its worker does not start", remedy=_REINSTALL)
        version, _, result = done.stdout.strip().partition(" ")
        if result != "2":
            last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1][:300]
            return Unavailable(
                why=f"it does not start: {last}", remedy="pip install --force-reinstall 'agentrt[monty]'"
            )
        return Available(detail=f"pydantic-monty {version}")

    async def open(self, session: str | None = None) -> Box:
        limits = self._spec.limits
        command = [sys.executable, "-P", "-B", "-c", _START, str(limits.memory_bytes), str(limits.disk_bytes)]
        return await ProcessBox.start(command, environment=_environment(), sends_kernel=False)

    async def left(self) -> list[Left]:
        """Nothing: the sandboxes end with the process that started them."""
        return []

    async def attach(self, left: Left) -> Box:
        raise SandboxError(f"monty leaves no sandboxes behind, so {left.box_id} cannot be one")

    async def close(self) -> None:
        """There is nothing to release."""


def _environment() -> dict[str, str]:
    """Nothing of this process's own but what it takes to find Python's packages."""
    here = [str(Path(__file__).resolve().parents[2]), str(kernel_folder())]
    return {"PATH": os.defpath, "HOME": str(Path.home()), "PYTHONPATH": os.pathsep.join(here), "LANG": "C.UTF-8"}
