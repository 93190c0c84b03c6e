"""What the worker has used: processor time and memory. Apart from it, since nothing here knows of calls.

The code shares the process: what is needed here is taken aside, as in agentrt_worker.py. Stdlib only; see runner.py.
"""

from __future__ import annotations

import builtins
import os
import resource
import sys
import types

globals()["__builtins__"] = dict(vars(builtins))
for _module in (os, resource):
    _aside = types.ModuleType(_module.__name__)
    _aside.__dict__.update(_module.__dict__)
    globals()[_module.__name__] = _aside


def cpu_s() -> float:
    """Of this process and of the children that it has waited for."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def forget_peak() -> None:
    """Start measuring the peak anew, where Linux lets a process do that."""
    try:
        fd = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, b"5")
    except OSError:
        return
    finally:
        os.close(fd)


def peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def rss_bytes() -> int:
    try:
        fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return peak_bytes()
    try:
        return int(os.read(fd, 128).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(fd)
