from __future__ import annotations

from agentrt.runtime.vector_stores.places import Places


def test_who_finds_no_place_is_woken_when_there_is_one() -> None:
    woken: list[str] = []
    places = Places(2, wake=woken.append)
    assert (places.enter("a"), places.enter("b")) == (None, None)
    waits = [places.enter(job) for job in ("c", "d", "c")]
    assert all(wait is not None and 5 <= wait < 6 for wait in waits)
    places.leave()
    assert woken == ["c"]
    assert places.enter("c") is None
    places.leave()
    places.leave()
    assert woken == ["c", "d"]
    assert places.enter("e") is None
    places.leave()
    assert woken == ["c", "d"]


def test_the_more_wait_the_less_often_all_of_them_ask() -> None:
    places = Places(0, wake=lambda job: None)
    waits = [places.enter(str(n)) for n in range(200)]
    assert waits[0] is not None
    assert waits[-1] is not None
    assert waits[-1] > 10 * waits[0]
