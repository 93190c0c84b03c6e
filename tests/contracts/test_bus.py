"""Hints: delivered when their transaction is durable, to whoever listens."""

from __future__ import annotations

import logging

import pytest

from agentrt.store.database import Tx
from tests.contracts.nodes import Node


async def test_a_hint_is_delivered_after_the_commit_and_before_the_write_returns(node: Node) -> None:
    heard: list[str] = []
    node.bus.listen("cancel", heard.append)

    def notify(tx: Tx) -> None:
        node.bus.notify(tx, "cancel", ["run_1", "run_2"])
        assert heard == []

    await node.store.write(notify)
    assert heard == ["run_1", "run_2"]


async def test_what_is_rolled_back_was_never_said(node: Node) -> None:
    heard: list[str] = []
    node.bus.listen("cancel", heard.append)

    def fail(tx: Tx) -> None:
        node.bus.notify(tx, "cancel", ["run_1"])
        raise KeyError("the write failed")

    with pytest.raises(KeyError):
        await node.store.write(fail)
    assert heard == []


async def test_hints_of_other_kinds_are_not_heard_and_nothing_after_leaving(node: Node) -> None:
    heard: list[str] = []
    leave = node.bus.listen("news", heard.append)
    node.bus.listen("gone", lambda run_id: heard.append(f"gone {run_id}"))
    await node.notify("run_1")
    leave()
    await node.notify("run_2")
    assert heard == ["run_1"]


async def test_a_listener_that_fails_keeps_nobody_else_from_hearing(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []
    node.bus.listen("news", lambda _: heard[100])  # type: ignore[arg-type]
    node.bus.listen("news", heard.append)
    with caplog.at_level(logging.CRITICAL):
        await node.notify("run_1", "run_2")
    assert heard == ["run_1", "run_2"]
