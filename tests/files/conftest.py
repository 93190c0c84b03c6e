"""One Extractor for all tests of formats: what they are about is what comes out, and starting a process costs most."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from tests.files.extractor import Extractor

Read: TypeAlias = Callable[[bytes | str, str], Awaitable[Extracted]]
Refuse: TypeAlias = Callable[[bytes | str, str], Awaitable[ExtractionError]]


@pytest.fixture
async def extractor() -> AsyncIterator[Extractor]:
    async with Extractor() as extractor:
        yield extractor


@pytest.fixture
def read(extractor: Extractor, tmp_path: Path) -> Read:
    """Write these bytes (or this text, as UTF-8) to a file and extract it under a name."""

    async def read(data: bytes | str, filename: str) -> Extracted:
        path = tmp_path / "blob"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return await extractor.extract(path, filename)

    return read


@pytest.fixture
def refuse(read: Read) -> Refuse:
    """As read, for what has to fail; the error."""

    async def refuse(data: bytes | str, filename: str) -> ExtractionError:
        with pytest.raises(ExtractionError) as caught:
            await read(data, filename)
        return caught.value

    return refuse
