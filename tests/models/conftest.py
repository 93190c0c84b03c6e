"""What the tests of the model clients share: an open HTTP client, and a clock that only takes notes."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from agentrt.http import open_client
from tests.models.talk import NotingClock

# Made once, and without any certificates: loading them for every test would take longer than the test.
_TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(trust_env=False, verify=_TRUSTS_NOBODY, connect_timeout_s=5.0) as client:
        yield client


@pytest.fixture
def clock() -> NotingClock:
    return NotingClock()
