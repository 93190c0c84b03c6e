"""The rule about system calls, as the kernel would judge by it: the BPF program is run here, for both machines."""

from __future__ import annotations

import errno
import json
import struct
from typing import Any, get_args

import pytest

from agentrt.sandbox.seccomp import bpf_program, engine_profile
from agentrt.sandbox.system_calls import Machine, names, numbers

MACHINES: tuple[Machine, ...] = get_args(Machine)
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW = "allow"


OWN = ("prlimit64", "sched_setattr", "sched_setparam", "sched_setscheduler", "setpriority")


def verdict(machine: Machine, number: int, *, argument: int = 0, second: int = 0, arch: int | None = None) -> str:
    """What the program says of a call: allow, or the name of the errno. Every step has to go forward."""
    program = list(struct.iter_unpack("<HBBI", bpf_program(machine)))
    data = struct.pack("<IIQ6Q", number, ARCHES[machine] if arch is None else arch, 0, argument, second, 0, 0, 0, 0)
    value = at = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, k)
            case 0x05:
                at += k
            case 0x15:
                at += if_true if value == k else if_false
            case 0x35:
                at += if_true if value >= k else if_false
            case 0x45:
                at += if_true if value & k else if_false
            case 0x06:
                return ALLOW if k == 0x7FFF0000 else errno.errorcode[k & 0xFFFF]
            case _:
                raise AssertionError(f"instruction {code:#x}")


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_on_the_list_are_allowed_and_all_others_are_not(machine: Machine) -> None:
    calls = numbers(machine)
    conditional = {"clone", "clone3", "personality", "socket", *OWN}
    free = {number for name, number in calls.items() if name not in conditional}
    judged = {number: verdict(machine, number) for number in range(451) if number not in set(calls.values()) - free}
    assert {number for number, said in judged.items() if said == ALLOW} == free
    assert {said for number, said in judged.items() if number not in free} == {"EPERM"}


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_threads_and_processes_but_no_namespaces(machine: Machine) -> None:
    clone = numbers(machine)["clone"]
    assert verdict(machine, clone, argument=0x3D0F00) == ALLOW  # what pthread_create asks for
    assert verdict(machine, clone, argument=0x01200011) == ALLOW  # fork
    for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, argument=flag | 17) == "EPERM"
    assert verdict(machine, numbers(machine)["clone3"]) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_only_local_and_internet_sockets_can_be_made(machine: Machine) -> None:
    call = numbers(machine)["socket"]
    assert [family for family in range(64) if verdict(machine, call, argument=family) == ALLOW] == [1, 2, 10]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_personality_can_be_asked_but_not_changed(machine: Machine) -> None:
    call = numbers(machine)["personality"]
    assert [verdict(machine, call, argument=value) for value in (0, 0xFFFFFFFF)] == [ALLOW, ALLOW]
    assert verdict(machine, call, argument=0x0040000) == "EPERM"  # ADDR_NO_RANDOMIZE


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", OWN)
def test_limits_and_priorities_are_ones_own(machine: Machine, name: str) -> None:
    number = numbers(machine)[name]
    assert verdict(machine, number) == ALLOW
    assert verdict(machine, number, argument=1) == "EPERM"
    assert verdict(machine, number, argument=(1 << 32) + 1) == "EPERM"
    assert verdict(machine, number, second=1) == ("EPERM" if name == "setpriority" else ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_that_are_newer_than_the_list_look_as_if_the_kernel_were_older(machine: Machine) -> None:
    assert {verdict(machine, number) for number in (451, 462, 1000)} == {"ENOSYS"}
    assert verdict(machine, 0x40000000) == "ENOSYS"  # x32


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_machine_are_refused(machine: Machine) -> None:
    assert verdict(machine, 0, arch=0x40000003) == "EPERM"


def test_the_dangerous_ones_are_on_no_list() -> None:
    dangerous = "mount umount2 ptrace bpf unshare setns keyctl add_key io_uring_setup userfaultfd perf_event_open"
    dangerous += (
        " process_vm_readv pivot_root chroot init_module kexec_load open_by_handle_at reboot swapon settimeofday"
    )
    assert not set(dangerous.split()) & set(names())


def test_the_profile_for_engines_says_the_same() -> None:
    profile: dict[str, Any] = json.loads(engine_profile())
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", errno.EPERM)
    said = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert said == set(names())
    unconditional = profile["syscalls"][0]
    assert "args" not in unconditional
    assert not {"clone", "clone3", "personality", "socket", *OWN} & set(unconditional["names"])
    tests = {name: rule["args"] for rule in profile["syscalls"][1:] for name in rule["names"] if name in OWN}
    assert set(tests) == set(OWN)
    assert {(test["value"], test["op"]) for args in tests.values() for test in args} == {(0, "SCMP_CMP_EQ")}
    assert [test["index"] for test in tests["setpriority"]] == [0, 1]
