"""Bytes to and from a kernel, plain and as a container engine mixes them."""

from __future__ import annotations

import socket
import struct

import pytest

from agentrt.sandbox.channel import Channel


def block(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 1000])
async def test_an_engines_stream_is_taken_apart_wherever_it_is_cut(size: int) -> None:
    mixed = block(1, b"one ") + block(2, b"trouble") + block(1, b"") + block(1, b"two" * 50) + block(2, b"!")
    channel = Channel(multiplexed=True)
    heard: list[bytes] = []
    channel.listen(heard.append, lambda: None)
    for at in range(0, len(mixed), size):
        channel.data_received(mixed[at : at + size])
    assert b"".join(heard) == b"one " + b"two" * 50
    assert channel.stderr == "trouble!"


async def test_only_the_end_of_what_goes_wrong_is_kept() -> None:
    channel = Channel(multiplexed=True)
    channel.data_received(block(2, b"x" * 100_000) + block(2, b"the end"))
    assert channel.stderr.endswith("xthe end")
    assert len(channel.stderr) < 10_000


async def test_what_came_before_anybody_listened_is_heard_first() -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.open(ours, received=b"early ")
    theirs.sendall(b"late")
    theirs.close()
    await channel.wait_ended()
    heard: list[bytes] = []
    channel.listen(heard.append, lambda: heard.append(b"."))
    assert b"".join(heard) == b"early late."
    channel.write(b"to nobody")
    await channel.drain()
    assert not channel.is_open
