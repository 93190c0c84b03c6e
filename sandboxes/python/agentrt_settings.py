"""What a host tells the kernel, and what the kernel tells about itself. Stdlib only; runs in the box, see runner.py."""

from __future__ import annotations

import os
import platform
import sysconfig

from agentrt_frames import Frame

PROTOCOL = 1
_MAX_PACKAGES = 500


class Settings:
    """What the host says when it attaches. watch_bytes: memory to kill above where no cgroup does; 0 = one does."""

    def __init__(self, frame: Frame) -> None:
        self.data = str(frame["data"])
        self.lease_s = float(frame["lease_s"])
        self.grace_s = float(frame["grace_s"])
        self.output_bytes = int(frame["output_bytes"])
        self.checkpoint_bytes = int(frame["checkpoint_bytes"])
        self.watch_bytes = int(frame["watch_bytes"])
        self.network = bool(frame["network"])


def about() -> Frame:
    """The fields of `hello` that do not change."""
    return {"v": PROTOCOL, "py": platform.python_version(), "packages": _packages()}


def _packages() -> list[str]:
    """`name-version` of what is installed, by the names of folders: importlib.metadata would open each."""
    names: set[str] = set()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        if os.path.isdir(folder):
            names.update(name[: -len(".dist-info")] for name in os.listdir(folder) if name.endswith(".dist-info"))
    return sorted(names)[:_MAX_PACKAGES]
