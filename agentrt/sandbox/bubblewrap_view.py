"""What a process sees inside bubblewrap, as bwrap's arguments: a few read-only folders of this machine, nothing else.

Visible: programs and libraries of the system, the Python that is given and its packages. Everything that can be written
is memory with a limit. Not here: /home, /root, /var, /run, /srv, most of /etc, /sys, the network, other processes.
"""

from __future__ import annotations

import site
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

# Inside: each is a file system of its own.
DATA_FOLDER: Final = "/mnt/data"
TMP: Final = "/tmp"  # noqa: S108
_SHM: Final = "/dev/shm"  # noqa: S108

_TMP_BYTES: Final = 64 * 1024**2
_SHM_BYTES: Final = 16 * 1024**2
_SYSTEM: Final = ("/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share/zoneinfo")
# Links into /usr almost everywhere, folders of their own elsewhere.
_TOP: Final = ("/bin", "/lib", "/lib32", "/lib64")
_ETC: Final = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs", "/etc/mime.types")
# What Docker hides, too: this machine's and not the sandbox's.
_HIDDEN_FILES: Final = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/timer_list")
_HIDDEN_FOLDERS: Final = ("/proc/acpi", "/proc/asound", "/proc/scsi")


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter of this machine. folders: where it, its standard library and its packages lie."""

    executable: Path
    folders: tuple[Path, ...]


def host_python() -> Python:
    """The interpreter that runs this, with all packages that it can import."""
    prefixes = {Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr"), Path("/usr/local")}
    # Debian's own prefix is all of /usr; from these two only what Python is made of.
    known = [Path("/usr/local/bin"), Path("/usr/local/lib")] if sys.base_prefix == "/usr/local" else []
    packages = [Path(folder) for folder in site.getsitepackages()]
    return Python(executable=Path(sys.executable), folders=(*sorted(prefixes), *known, *packages))


def view(python: Python, *, disk_bytes: int, passwd_fd: int, group_fd: int) -> list[str]:
    """The mounts. passwd_fd, group_fd: open files with the contents of /etc/passwd and /etc/group."""
    arguments = [*_folders((*_SYSTEM, *map(str, python.folders))), *_top_level()]
    for folder in ("/etc", "/etc/ssl"):
        arguments += ["--perms", "0755", "--dir", folder]
    for path in filter(_exists, _ETC):
        arguments += ["--ro-bind", path, path]
    for fd, path in ((passwd_fd, "/etc/passwd"), (group_fd, "/etc/group")):
        arguments += ["--perms", "0444", "--ro-bind-data", str(fd), path]
    # The kernel's settings: some belong to the namespace, and whoever owns that may write them.
    arguments += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    for path in filter(_exists, _HIDDEN_FILES):
        arguments += ["--ro-bind", "/dev/null", path]
    for path in filter(_exists, _HIDDEN_FOLDERS):
        arguments += ["--tmpfs", path, "--remount-ro", path]
    for path, size_bytes in ((_SHM, _SHM_BYTES), (TMP, _TMP_BYTES), (DATA_FOLDER, disk_bytes)):
        arguments += ["--perms", "1777", "--size", str(size_bytes), "--tmpfs", path]
    # The last: bwrap writes into both, and what is left writable would be memory without a limit.
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", DATA_FOLDER]


def environment(variables: Mapping[str, str]) -> list[str]:
    """Exactly these variables: nothing of this process's own."""
    pairs = (("--setenv", name, value) for name, value in variables.items())
    return ["--clearenv", *(word for pair in pairs for word in pair)]


def _folders(paths: Sequence[str]) -> Iterator[str]:
    """Each folder that exists and does not lie in one before it, with the folders above it open to everybody."""
    made: set[str] = set()
    bound: list[Path] = []
    for path in map(Path, dict.fromkeys(paths)):
        if not path.is_dir() or any(path.is_relative_to(other) for other in bound):
            continue
        for parent in reversed(path.parents[:-1]):
            if str(parent) not in made:
                yield from ("--perms", "0755", "--dir", str(parent))
                made.add(str(parent))
        yield from ("--ro-bind", str(path), str(path))
        bound.append(path)


def _top_level() -> Iterator[str]:
    for path in map(Path, _TOP):
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def _exists(path: str) -> bool:
    return Path(path).exists()
