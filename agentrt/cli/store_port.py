"""What the command line needs of vector stores, in this process or behind a server: the API's own objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agentrt.wire.vector_stores import (
    SearchResultsPage,
    StoreFileStatus,
    StoreFoldersObject,
    VectorStoreFileBatchObject,
    VectorStoreFileObject,
    VectorStoreObject,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A search. filters: attributes that files must have; a text that is a number also fits that number."""

    query: str
    limit: int
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """A file that is to be put into a store."""

    file_id: str
    attributes: Mapping[str, str]


class StoreDesk(Protocol):
    """Vector stores of the project `default`. Everything raises AgentrtError and CliError."""

    async def all(self) -> list[VectorStoreObject]:
        """Newest first."""
        ...

    async def store(self, store_id: str) -> VectorStoreObject: ...

    async def folders(self, store_id: str) -> StoreFoldersObject: ...

    async def files(self, store_id: str, *, status: StoreFileStatus | None = None) -> list[VectorStoreFileObject]:
        """All of them, newest first; with status, those that have it."""
        ...

    async def names(self, file_ids: Sequence[str]) -> Mapping[str, str]:
        """What files are called; one that is gone is missing."""
        ...

    async def create(self, name: str) -> VectorStoreObject: ...

    async def delete(self, store_id: str) -> None: ...

    async def delete_file(self, file_id: str) -> None:
        """One that is gone already is no error."""
        ...

    async def search(self, store_id: str, asked: Asked) -> SearchResultsPage:
        """With its explanation."""
        ...

    async def upload(self, path: Path, *, filename: str) -> str:
        """The file's id. Raises OSError, too."""
        ...

    async def put(self, store_id: str, placed: Sequence[Placed]) -> str:
        """Have files indexed together. Returns the batch's id."""
        ...

    async def batch(self, store_id: str, batch_id: str) -> VectorStoreFileBatchObject: ...

    async def batch_failures(self, store_id: str, batch_id: str) -> list[VectorStoreFileObject]: ...


def search_filter(filters: Mapping[str, str]) -> dict[str, object] | None:
    """The filters as the API takes them."""
    parts = [_comparison(key, value) for key, value in filters.items()]
    return None if not parts else parts[0] if len(parts) == 1 else {"type": "and", "filters": parts}


def _comparison(key: str, value: str) -> dict[str, object]:
    values: list[object] = [value]
    try:
        values.append(float(value))
    except ValueError:
        values += {"true": [True], "false": [False]}.get(value.lower(), [])
    options: list[dict[str, object]] = [{"type": "eq", "key": key, "value": one} for one in values]
    return options[0] if len(options) == 1 else {"type": "or", "filters": options}
