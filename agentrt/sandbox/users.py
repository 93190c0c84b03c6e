"""Whom the code runs as: a user of its own for each sandbox.

Linux keeps some accounts by user and not by process, cgroup or namespace: files on their way through sockets, inotify
instances, queued signals, message queues, memory in pipes. Two sandboxes with one user could use them up for each
other; the sleeping copy of the one's variables would be the first to go.
"""

from __future__ import annotations

import random
from typing import Final

# Where systemd takes the users of services from that have none: nobody logs in as one of them. Below 65536, so that
# they exist in an engine's user namespace as well.
_USERS: Final = range(61184, 65520)

_users_now: set[int] = set()  # of all drivers in this process; another process is unlikely to choose the same


def take_user() -> int:
    """One that no other sandbox of this process has, for `give_back`."""
    some = random.sample(_USERS, min(len(_users_now) + 1, len(_USERS)))
    user = next((user for user in some if user not in _users_now), some[0])
    _users_now.add(user)
    return user


def keep_user(user: int) -> None:
    """This one is in use: a sandbox was found that has it."""
    _users_now.add(user)


def give_back(user: int) -> None:
    _users_now.discard(user)
