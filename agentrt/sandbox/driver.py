"""What isolates code: the port, and the values that pass through it. docker.py, bubblewrap.py, … are its drivers.

A driver starts a kernel (sandboxes/python/runner.py) in a place that it cannot leave, and hands out a channel to it.
What is said on the channel is not its business: that is kernel.py, the same for all.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import msgspec

from agentrt.sandbox.channel import Channel


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver's sandboxes can do. The contract suite and the words for the model go by it.

    python: real CPython with everything it brings; False is an interpreter of its own with a part of the language.
    packages: the packages of an image or of the host can be imported. processes: code may start other programs.
    checkpoint: variables survive a timeout, an out-of-memory kill, a segfault and `os._exit`.
    displays: figures and images come out. network: host names can be allowed. reattach: sessions outlive this process.
    isolated: the code cannot reach this machine. memory: something outside holds all of a sandbox's processes to the
    limit together; where False, the kernel watches them itself.
    folder: where the files are, as the code sees it; relative to where the kernel was started.
    note: what a model has to know besides ("no pandas, no classes with inheritance"), a sentence; "" = nothing.
    """

    python: bool = True
    packages: bool = True
    processes: bool = True
    checkpoint: bool = True
    displays: bool = True
    network: bool = False
    reattach: bool = False
    isolated: bool = True
    memory: bool = True
    folder: str = "/mnt/data"
    note: str = ""


class Available(msgspec.Struct, frozen=True, kw_only=True):
    """The driver works here: it has really started something. detail: what with (`Docker 28.2 with runc`)."""

    detail: str


class Unavailable(msgspec.Struct, frozen=True, kw_only=True):
    """It does not. Halves of one sentence: why it failed, and how to get it (`run Docker or set DOCKER_HOST`)."""

    why: str
    remedy: str


Probe: TypeAlias = Available | Unavailable


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A box that an earlier process of the same owner left running. session: whose it is, None = nobody's yet."""

    box_id: str
    session: str | None


class Box(Protocol):
    """One isolated place with a kernel started in it."""

    @property
    def box_id(self) -> str: ...

    @property
    def channel(self) -> Channel:
        """To the kernel; the driver has sent what brings the kernel up (`boot.py`), and nothing of the protocol."""
        ...

    async def claim(self, session: str) -> None:
        """Write down, where `Driver.left` finds it, whose the box is now. Nothing happens where nothing can be left."""
        ...

    async def last_words(self) -> str:
        """What is known about an end that nobody ordered, for the log and the error; "" = nothing."""
        ...

    async def kill(self) -> None:
        """End everything in it and release everything; returns when it is gone. Works any number of times."""
        ...

    def detach(self) -> None:
        """Let go of it and leave it running, where the driver can (`reattach`)."""
        ...


class Driver(Protocol):
    """One way to isolate, for one SandboxSpec. Nothing is opened before the first await."""

    @property
    def name(self) -> str:
        """As in agents.toml: `docker`."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def probe(self) -> Probe:
        """Whether it works here, by really starting something. Never raises for what a machine may lack."""
        ...

    async def open(self, session: str | None = None) -> Box:
        """Start a box for session; None = for the pool, to be claimed. Raises SandboxError."""
        ...

    async def left(self) -> list[Left]:
        """The boxes of this owner and spec that are still running from before; those of another spec are removed."""
        ...

    async def attach(self, left: Left) -> Box:
        """Take one of them over. Raises SandboxError if it is gone."""
        ...

    async def close(self) -> None:
        """Release the driver's own connections. Boxes are not touched."""
        ...
