"""The frame of a sandbox's connections, among the others of its channel: tunnel.py here, agentrt_relay.py there."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Op: TypeAlias = Literal["open", "data", "end", "ack", "close"]


class NetFrame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t", tag="net"):
    """Both directions. c: the connection's number; n: bytes that were taken (ack)."""

    op: Op
    c: int
    n: int = 0
