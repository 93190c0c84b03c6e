"""Which driver isolates: the one that is named, or the first of a list that really starts something here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, TypeAlias

import msgspec

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.driver import Available, Driver, Probe, Unavailable

# In the order in which `auto` tries them: the most complete isolation with the most complete Python first.
AUTO: Final = ("docker", "bubblewrap", "monty")

Make: TypeAlias = Callable[[SandboxSpec], Driver]

_HOMES: Final = {
    "docker": "agentrt.sandbox.docker:DockerDriver",
    "bubblewrap": "agentrt.sandbox.bubblewrap:BubblewrapDriver",
    "monty": "agentrt.sandbox.monty:MontyDriver",
    "unsafe-local": "agentrt.sandbox.local:LocalDriver",
}


class NothingWorksError(SandboxError):
    """tried: each driver, why it does not work here and how to get it, for people."""

    def __init__(self, tried: Sequence[str]) -> None:
        self.tried = tuple(tried)
        super().__init__(f"No code sandbox available. Tried: {'; '.join(tried)}.")


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A driver that works here. detail: what with. tried: the ones before it, and why they do not, for people."""

    driver: Driver
    detail: str
    tried: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Which driver it is, and why not a better one, in a line."""
        instead = f", instead of {'; '.join(self.tried)}" if self.tried else ""
        return f"{self.driver.name}: {self.detail}{instead}"


def make_driver(name: str, spec: SandboxSpec, *, owner: str | None = None) -> Driver:
    """The driver of that name, nothing opened yet. owner: who may find its boxes again, where they can outlive us."""
    module, _, attribute = _HOMES[name].partition(":")
    make = getattr(import_module(module), attribute)
    driver: Driver = make(spec, owner=owner) if name == "docker" else make(spec)
    return driver


async def choose_driver(
    spec: SandboxSpec, *, owner: str | None = None, make: Mapping[str, Make] | None = None
) -> Chosen:
    """Probe in turn. make: drivers to take instead of our own, by name.

    Raises NothingWorksError with everything that was tried, why it does not work and how to get it.
    """

    def made(name: str) -> Driver:
        return make[name](spec) if make and name in make else make_driver(name, spec, owner=owner)

    return await _first(spec, made, lambda driver: driver.probe())


async def look_around(spec: SandboxSpec) -> Chosen:
    """What `choose_driver` would take, found out without making an image. For whoever only wants to know.

    Raises NothingWorksError.
    """

    async def look(driver: Driver) -> Probe:
        if driver.name != "docker":
            return await driver.probe()
        from agentrt.sandbox import docker

        return await docker.look(spec)

    return await _first(spec, lambda name: make_driver(name, spec), look)


async def _first(
    spec: SandboxSpec, make: Callable[[str], Driver], look: Callable[[Driver], Awaitable[Probe]]
) -> Chosen:
    """The first candidate that works. Raises NothingWorksError."""
    tried: list[str] = []
    for name in _candidates(spec):
        driver = make(name)
        probe = _unfit(driver, spec) or await look(driver)
        if isinstance(probe, Available):
            return Chosen(driver=driver, detail=probe.detail, tried=tuple(tried))
        tried.append(f"{name} ({probe.why}: {probe.remedy})")
        await driver.close()
    raise NothingWorksError(tried)


def _candidates(spec: SandboxSpec) -> Sequence[str]:
    return AUTO if spec.driver == "auto" else (spec.driver,)


def _unfit(driver: Driver, spec: SandboxSpec) -> Unavailable | None:
    """What the spec asks for and the driver cannot do: better no sandbox than one with less than was promised."""
    if spec.network and not driver.capabilities.network:
        return Unavailable(why="it cannot let code reach a list of hosts", remedy="use docker or bubblewrap")
    for key, value in (("image", spec.image), ("packages", spec.packages), ("runtime", spec.runtime)):
        if value and driver.name != "docker":
            return Unavailable(why=f"it has no use for `{key}`", remedy="use docker")
    return None
