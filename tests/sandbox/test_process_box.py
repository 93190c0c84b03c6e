"""A box that is a process of this machine."""

from __future__ import annotations

import asyncio

from agentrt.sandbox.process_box import ProcessBox


async def test_a_box_that_is_killed_twice_at_once_ends_once() -> None:
    """What its end lets go of may be somebody else's by the second time: the number of an open file, for one."""
    ends: list[str] = []
    box = await ProcessBox.start(
        ["sleep", "60"], environment={"PATH": "/usr/bin:/bin"}, on_end=lambda: ends.append("end"), sends_kernel=False
    )
    await asyncio.gather(box.kill(), box.kill())
    await box.kill()
    assert ends == ["end"]
