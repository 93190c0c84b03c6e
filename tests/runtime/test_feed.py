from __future__ import annotations

import pytest

from agentrt.engine.events import RunQueued
from agentrt.errors import UnavailableError
from agentrt.runtime.feed import Follower
from agentrt.store.run_events import NumberedEvent


async def test_a_follower_that_is_closed_hands_out_what_it_has_and_then_says_why() -> None:
    follower = Follower()
    events = [NumberedEvent(0, 1, RunQueued(at=1))]
    follower.put(events)
    follower.close("Closing.")
    assert await follower.take() == events
    with pytest.raises(UnavailableError, match="Closing"):
        await follower.take()
