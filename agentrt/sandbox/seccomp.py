"""One rule about system calls in two languages: a profile for container engines, a BPF program for bubblewrap.

The program is written here rather than by libseccomp: it is a hundred lines, needs no library of a certain version, and
the same bytes come out everywhere, so tests can run it for both machines.
"""

from __future__ import annotations

import errno
import json
import platform
import socket
import struct
from collections.abc import Sequence
from typing import Final, get_args

from agentrt.sandbox.system_calls import NEWEST, Machine, names, numbers

# clone makes threads and processes, never namespaces: CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET and TIME.
NAMESPACE_FLAGS: Final = 0x7E020080
# 0 is Linux as usual, the other one only asks.
PERSONALITIES: Final = (0, 0xFFFFFFFF)
# Not AF_VSOCK, which reaches the hypervisor past the network namespace; not AF_ALG, AF_NETLINK, AF_PACKET.
SOCKET_FAMILIES: Final = (int(socket.AF_UNIX), int(socket.AF_INET), int(socket.AF_INET6))

# Of oneself only: the supervisor is of the same user, and would do its work under limits and priorities of the code's
# choice. The arguments that have to be 0, which is the caller.
_OWN: Final = {"prlimit64": 1, "sched_setattr": 1, "sched_setparam": 1, "sched_setscheduler": 1, "setpriority": 2}

_CONDITIONAL: Final = {"clone", "clone3", "personality", "socket", *_OWN}
_AUDIT_ARCHES: Final[dict[Machine, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP = 0x05  # BPF_JMP | BPF_JA
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_IF_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
# Offsets in struct seccomp_data. Both machines are little-endian: the low half of an argument comes first.
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_BYTES = 0, 4, 16, 8
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_UNKNOWN = 0x00050000 | errno.ENOSYS

_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def engine_profile() -> str:
    """The rule as the JSON that Docker and Podman take (`security_opt=["seccomp=" + …]`)."""
    only_if: list[tuple[str, dict[str, object]]] = [
        ("clone", {"value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"})
    ]
    for name, values in (("personality", PERSONALITIES), ("socket", SOCKET_FAMILIES)):
        only_if += [(name, {"value": value, "op": "SCMP_CMP_EQ"}) for value in values]
    allow: list[dict[str, object]] = [
        {"names": [name for name in names() if name not in _CONDITIONAL], "action": "SCMP_ACT_ALLOW"}
    ]
    allow += [{"names": [name], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, **test}]} for name, test in only_if]
    for name, n_arguments in _OWN.items():
        zeros = [{"index": index, "value": 0, "op": "SCMP_CMP_EQ"} for index in range(n_arguments)]
        allow.append({"names": [name], "action": "SCMP_ACT_ALLOW", "args": zeros})
    # clone3 hides its flags in memory: as if the kernel did not have it, the C library takes clone.
    refuse: list[dict[str, object]] = [{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}]
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EPERM, "syscalls": allow + refuse})


def this_machine() -> Machine | None:
    """None where the numbers of the system calls are not known."""
    machine = platform.machine()
    return next((known for known in get_args(Machine) if known == machine), None)


def bpf_program(machine: Machine, *, without: frozenset[str] = frozenset()) -> bytes:
    """The rule as a program for seccomp(2): an array of struct sock_filter, as `bwrap --seccomp FD` reads it.

    without: calls that are refused although the rule allows them.
    """
    calls = numbers(machine)
    verdicts: dict[int, Sequence[_Instruction]] = {
        number: _give(_ALLOW) for name, number in calls.items() if name not in _CONDITIONAL | without
    }
    verdicts[calls["clone"]] = [
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_IF_ANY_BIT, 0, 1, NAMESPACE_FLAGS),
        *_give(_REFUSE, _ALLOW),
    ]
    verdicts[calls["clone3"]] = _give(_UNKNOWN)
    verdicts[calls["personality"]] = _one_of(PERSONALITIES)
    verdicts[calls["socket"]] = _one_of(SOCKET_FAMILIES)
    verdicts |= {calls[name]: _zeros(n_arguments) for name, n_arguments in _OWN.items()}
    program = [
        (_LOAD, 0, 0, _ARCH),
        (_IF_EQUAL, 1, 0, _AUDIT_ARCHES[machine]),
        *_give(_REFUSE),  # another machine's calls (32 bits) have other numbers
        (_LOAD, 0, 0, _NUMBER),
        *_search(_ranges(verdicts)),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def _give(*actions: int) -> list[_Instruction]:
    return [(_RETURN, 0, 0, action) for action in actions]


def _one_of(values: Sequence[int]) -> list[_Instruction]:
    """Allow when the first argument, an int, is one of the values."""
    tests = [(_IF_EQUAL, len(values) - n, 0, value) for n, value in enumerate(values)]
    return [(_LOAD, 0, 0, _ARGUMENT_0), *tests, *_give(_REFUSE, _ALLOW)]


def _zeros(n_arguments: int) -> list[_Instruction]:
    """Allow when the first so many arguments, ints, are 0."""
    tests: list[_Instruction] = []
    for n in range(n_arguments):
        tests += [(_LOAD, 0, 0, _ARGUMENT_0 + n * _ARGUMENT_BYTES), (_IF_EQUAL, 0, 2 * (n_arguments - n) - 1, 0)]
    return [*tests, *_give(_ALLOW, _REFUSE)]


def _ranges(verdicts: dict[int, Sequence[_Instruction]]) -> list[tuple[int, Sequence[_Instruction]]]:
    """(first number, what to do from there on), ascending, without neighbours that do the same."""
    ranges: list[tuple[int, Sequence[_Instruction]]] = []
    for number in range(NEWEST + 1):
        verdict = verdicts.get(number) or _give(_REFUSE)
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((number, verdict))
    # Calls that came later, and those of x32, whose numbers have bit 30 set.
    ranges.append((NEWEST + 1, _give(_UNKNOWN)))
    return ranges


def _search(ranges: Sequence[tuple[int, Sequence[_Instruction]]]) -> list[_Instruction]:
    """A binary search: seven comparisons at most, where a list would take 250."""
    if len(ranges) == 1:
        return list(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _search(ranges[:middle]), _search(ranges[middle:])
    # An unconditional jump, since a conditional one reaches only 255 instructions far.
    return [(_IF_AT_LEAST, 0, 1, ranges[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]
