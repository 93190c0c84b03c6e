"""A fresh service for each test."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.server.api import Api, open_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    async with open_api(tmp_path) as opened:
        yield opened
