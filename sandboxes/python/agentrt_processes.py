"""Processes of the box: making the supervisor hard to reach, killing everybody else, counting what they use.

Linux; elsewhere (the unisolated driver on a Mac) what has no equal there does nothing. Stdlib only; see runner.py.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PROCESS_LIMITS = ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max")
_OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
_KILL_S = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_BUFFER_BYTES = 208 * 1024
_FREE_DESCRIPTORS = 64
_MAX_DESCRIPTORS = 1024
_INODE_BYTES = 1200
_HAS_PROC = os.path.isdir("/proc/self")


class Death(NamedTuple):
    """How a process ended. signal: 0 if it ended by itself, with exit_code."""

    pid: int
    signal: int
    exit_code: int
    cpu_ms: float
    max_rss: int


def hide() -> None:
    """Close /proc/PID/fd and /mem of this process to others of the same user; adopt orphans even if not PID 1."""
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def show() -> None:
    """Undo `hide` in a forked child: its own /proc/self is its to read; out-of-memory kills are to hit it."""
    _prctl(_PR_SET_DUMPABLE, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # where the box is no PID namespace, which ends with PID 1
    set_oom_score(1000)


def set_oom_score(score: int) -> None:
    _write("/proc/self/oom_score_adj", b"%d" % score)


def reap() -> list[Death]:
    """Everybody who has ended since the last time."""
    deaths: list[Death] = []
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return deaths
        if pid == 0:
            return deaths
        by_signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
        deaths.append(Death(pid, by_signal, exit_code, cpu_ms, usage.ru_maxrss * 1024))


def kill_all_but(keep: set[int], group: int) -> list[Death]:
    """Kill every process of the box but this one and those; returns when they are gone, or after five seconds.

    As PID 1 everything is stopped first: a process that is stopped cannot fork away from the kill, and `kill(-1)`
    reaches all of them at one moment. Elsewhere it goes by parentage, in rounds. group: the worker's process group,
    which is all that can be reached without /proc.
    """
    deaths: list[Death] = []
    deadline = time.monotonic() + _KILL_S
    while True:
        if os.getpid() == 1:
            _kill(-1, signal.SIGSTOP)
        victims = (_others() if _HAS_PROC else {-group}) - keep
        for pid in victims:
            _kill(pid, signal.SIGKILL)
        deaths += reap()
        if not victims or not _HAS_PROC or time.monotonic() > deadline:
            break
        time.sleep(0.002)
    for pid in keep:
        _kill(pid, signal.SIGCONT)
    return deaths


def max_processes() -> int:
    """Of the box, by its cgroup (v2 or v1) or by its user; 0 where the limit is not the box's own, or there is none."""
    if os.getpid() != 1:
        return 0
    by_user = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    limits = [int(text) for text in map(_read, _PROCESS_LIMITS) if text.strip().isdigit()]
    return min([*limits, *([by_user] if by_user != resource.RLIM_INFINITY else [])], default=0)


def n_processes() -> int:
    """Of the box, but this one."""
    return len(_others())


def n_oom_kills() -> int:
    """How often the kernel has killed for want of memory in this box's cgroup (v2 or v1); 0 where it is not seen."""
    for path in _OOM_COUNTERS:
        for line in _read(path).splitlines():
            name, _, value = line.partition(b" ")
            if name == b"oom_kill":
                return int(value)
    return 0


def resident_bytes() -> int:
    """What all processes but this one hold, with shared pages counted for each of them."""
    # The dead hold nothing: they need not be told from the living, and a box may be full of both.
    pids = _pids() if os.getpid() == 1 else _others()
    return sum(_pages(pid) + _buffers(pid) for pid in pids)


def shares() -> Iterator[int]:
    """What each of them holds, with shared pages divided among their holders: in sum exact, and slow.

    Linux makes whoever asks wait while the process forks, and one that has no processor takes long to fork.
    """
    return (_share(pid) + _buffers(pid) for pid in _others())


def kernel_bytes(folders: Sequence[str]) -> int:
    """What the files below folders cost besides their content: a file system in memory has room for millions of names.

    Of a box that is a PID namespace; elsewhere the folders are not its own.
    """
    if os.getpid() != 1:
        return 0
    mounts = {os.stat(folder).st_dev: os.statvfs(folder) for folder in folders if os.path.isdir(folder)}
    return sum(max(0, mount.f_files - mount.f_ffree) for mount in mounts.values()) * _INODE_BYTES


def clear(folders: Sequence[str]) -> None:
    """Remove everything below folders of a box that is a PID namespace: they are mounts, which stay.

    By a program: it may be half a million files. Elsewhere the folders are not the box's own.
    """
    if os.getpid() != 1:
        return
    pid = os.fork()
    if pid == 0:
        try:
            os.close(2)
            os.execvp("rm", ["rm", "-rf", "--", *folders])
        finally:
            os._exit(1)
    os.waitpid(pid, 0)


def _pages(pid: int) -> int:
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def _share(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _pages(pid)  # who hides (PR_SET_DUMPABLE) cannot be asked, and has no advantage of it


def _buffers(pid: int) -> int:
    """What sockets and pipes can hold, which is nobody's memory by the books."""
    folder = f"/proc/{pid}/fd"
    try:
        n_open = os.stat(folder).st_size or len(os.listdir(folder))  # the size is their number since Linux 6.2
    except PermissionError:  # it is dead, or hides: as many as it can have
        n_open = 0 if _is_zombie(pid) else _MAX_DESCRIPTORS
    except OSError:
        n_open = 0
    return max(0, n_open - _FREE_DESCRIPTORS) * _BUFFER_BYTES


def _others() -> set[int]:
    """All processes of the box, or this one's descendants where the box is not a PID namespace."""
    me = os.getpid()
    pids = _pids()
    if me == 1:
        return {pid for pid in pids if not _is_zombie(pid)}
    parents = {pid: _parent(pid) for pid in pids}
    ours = {me}
    while True:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        if not more:
            return {pid for pid in ours - {me} if not _is_zombie(pid)}
        ours |= more


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid()}


def _stat(pid: int) -> list[bytes]:
    """The fields after the name, which may hold anything."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if len(fields) > 1 else 0


def _is_zombie(pid: int) -> bool:
    fields = _stat(pid)
    return not fields or fields[0] in (b"Z", b"X")


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _write(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, data)
    except OSError:
        return
    finally:
        os.close(fd)


def _prctl(option: int, value: int) -> None:
    if _HAS_PROC:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
