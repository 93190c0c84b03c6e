"""Which driver is taken, and what is said when there is none."""

from __future__ import annotations

import msgspec
import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.choose import AUTO, Make, choose_driver
from agentrt.sandbox.driver import Available, Box, Capabilities, Left, Probe, Unavailable

SPEC = SandboxSpec(name="python")


class Pretended:
    """A driver that works or does not."""

    def __init__(self, name: str, *, works: bool, capabilities: Capabilities) -> None:
        self.name = name
        self.capabilities = capabilities
        self.is_closed = False
        self._works = works

    async def probe(self) -> Probe:
        if self._works:
            return Available(detail=f"{self.name} 1.0")
        return Unavailable(why=f"{self.name} is not there", remedy=f"install {self.name}")

    async def open(self, session: str | None = None) -> Box:
        raise AssertionError("only probed")

    async def left(self) -> list[Left]:
        return []

    async def attach(self, left: Left) -> Box:
        raise AssertionError("only probed")

    async def close(self) -> None:
        self.is_closed = True


def world(**works: bool) -> tuple[dict[str, Make], dict[str, Pretended]]:
    drivers = {
        name: Pretended(name, works=works.get(name, False), capabilities=Capabilities(network=name != "monty"))
        for name in (*AUTO, "unsafe-local")
    }

    def maker(name: str) -> Make:
        return lambda spec: drivers[name]

    return {name: maker(name) for name in drivers}, drivers


async def test_auto_takes_the_first_that_works_and_says_why_not_the_others() -> None:
    make, drivers = world(bubblewrap=True, monty=True)
    chosen = await choose_driver(SPEC, make=make)
    assert chosen.driver is drivers["bubblewrap"]
    assert chosen.detail == "bubblewrap 1.0"
    assert chosen.tried == ("docker (docker is not there: install docker)",)
    assert drivers["docker"].is_closed


async def test_without_any_the_error_says_what_was_tried_and_how_to_get_each() -> None:
    make, _ = world()
    with pytest.raises(SandboxError) as caught:
        await choose_driver(SPEC, make=make)
    assert caught.value.message == (
        "No code sandbox available. Tried: docker (docker is not there: install docker); "
        "bubblewrap (bubblewrap is not there: install bubblewrap); monty (monty is not there: install monty)."
    )


async def test_no_isolation_is_never_chosen_but_by_name() -> None:
    make, drivers = world(**{"unsafe-local": True})
    with pytest.raises(SandboxError):
        await choose_driver(SPEC, make=make)
    chosen = await choose_driver(msgspec.structs.replace(SPEC, driver="unsafe-local"), make=make)
    assert chosen.driver is drivers["unsafe-local"]


async def test_a_driver_that_is_named_is_the_only_one_tried() -> None:
    make, _ = world(docker=True)
    with pytest.raises(SandboxError, match=r"Tried: monty \("):
        await choose_driver(msgspec.structs.replace(SPEC, driver="monty"), make=make)


@pytest.mark.parametrize(("key", "value"), [("image", "x:1"), ("packages", ("scipy",)), ("runtime", "runsc")])
async def test_what_only_containers_can_do_is_not_left_out_silently(key: str, value: object) -> None:
    make, _ = world(bubblewrap=True, monty=True)
    with pytest.raises(SandboxError, match=f"it has no use for `{key}`: use docker"):
        await choose_driver(msgspec.structs.replace(SPEC, **{key: value}), make=make)


async def test_a_list_of_hosts_needs_a_driver_that_can_let_code_out() -> None:
    make, drivers = world(bubblewrap=True, monty=True)
    spec = msgspec.structs.replace(SPEC, network=("api.example.com",))
    assert (await choose_driver(spec, make=make)).driver is drivers["bubblewrap"]
    make, _ = world(monty=True)
    with pytest.raises(SandboxError, match="list of hosts"):
        await choose_driver(spec, make=make)
