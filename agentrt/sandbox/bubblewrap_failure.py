"""Why bubblewrap does not start here, from its last words and the kernel's settings, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agentrt.sandbox.driver import Unavailable

_SYSCTLS: Final = Path("/proc/sys")
_APPARMOR_REMEDY: Final = (
    "give bwrap the profile that Ubuntu ships (apt install apparmor-profiles, then link bwrap-userns-restrict from "
    "/usr/share/apparmor/extra-profiles to /etc/apparmor.d and reload), "
    "or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
)
# setting → (the value that forbids, why, remedy); the first that forbids is named
_FORBIDDING: Final = (
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor keeps programs without a profile from making user namespaces",
        _APPARMOR_REMEDY,
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are disabled for ordinary users",
        "sysctl kernel.unprivileged_userns_clone=1",
    ),
    ("user/max_user_namespaces", "0", "user namespaces are disabled", "sysctl user.max_user_namespaces=15000"),
)
# what bwrap says → (why, remedy)
_SAID: Final = (
    ("Unknown option", "bwrap is too old, 0.7 is needed", "upgrade bubblewrap"),
    ("mount proc", "this container does not let bwrap mount /proc", "run agentrt outside of a container, or Docker"),
)


def why_not(said: str, *, sysctls: Path = _SYSCTLS) -> Unavailable:
    """The reason, as far as it can be told. said: what bwrap and the Python in it printed; sysctls: for tests."""
    for text, why, remedy in _SAID:
        if text in said:
            return Unavailable(why=f"{why} ({_last_line(said)})", remedy=remedy)
    for setting, forbids, why, remedy in _FORBIDDING:
        if _value(sysctls / setting) == forbids:
            return Unavailable(why=why, remedy=remedy)
    if "ermission" in said or "not permitted" in said:
        return Unavailable(
            why=f"namespaces are not allowed here ({_last_line(said)})",
            remedy="in a container, allow the calls unshare and mount (Docker: --privileged), or run Docker",
        )
    return Unavailable(why=f"it ended at once: {_last_line(said) or 'without a word'}", remedy="run Docker")


def _value(setting: Path) -> str | None:
    try:
        return setting.read_text().strip()
    except OSError:
        return None


def _last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else ""
