"""Bringing a kernel up: a command that any Python image can run, and the kernel's source as the channel's first bytes.

The kernel is never a part of an image: an image that was built by an older release, or by somebody else, would speak
an older protocol. A driver runs BOOT_COMMAND with the channel as stdin and stdout and writes `boot_bytes()` first.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from agentrt.config.project import bundled_folder

# Isolated from variables and working folder (-I), no files written (-B), UTF-8 whatever the locale is. It ends when
# nothing comes for a minute: whoever started it was killed meanwhile, and there is no kernel yet whose lease could end.
_LOADER: Final = """\
import json, os, select, sys, types
def take(n):
    data = b""
    while len(data) < n:
        piece = select.select([0], [], [], 60.0)[0] and os.read(0, n - len(data))
        if not piece:
            sys.exit("no kernel came")
        data += piece
    return data
for name, text in json.loads(take(int(take(8), 16))):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, "<agentrt>/" + name + ".py", "exec"), module.__dict__)
sys.modules["runner"].main()
"""
BOOT_COMMAND: Final = ("python3", "-I", "-B", "-X", "utf8", "-c", _LOADER)

# In the order in which they import each other. runner is PID 1.
_MODULES: Final = (
    "agentrt_frames",
    "agentrt_files",
    "agentrt_output",
    "agentrt_processes",
    "agentrt_relay",
    "agentrt_display",
    "agentrt_usage",
    "agentrt_control",
    "agentrt_worker",
    "agentrt_lineage",
    "agentrt_call",
    "agentrt_settings",
    "agentrt_watch",
    "runner",
)


@cache
def boot_bytes() -> bytes:
    """What the loader reads: eight hex digits of length, then [name, source] pairs as JSON."""
    folder = kernel_folder()
    sources = [(name, (folder / f"{name}.py").read_text(encoding="utf-8")) for name in _MODULES]
    body = msgspec.json.encode(sources)
    return b"%08x" % len(body) + body


def kernel_folder() -> Path:
    """sandboxes/python of the installed package or of the checkout that it runs from, never of the user's project."""
    folder = bundled_folder("sandboxes/python")
    if folder is None:
        raise FileNotFoundError("sandboxes/python is missing from this installation")
    return folder
