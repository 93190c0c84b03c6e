"""The port's vector stores over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from agentrt.cli.remote_api import PAGE, Api
from agentrt.cli.store_port import Asked, Placed, search_filter
from agentrt.errors import NotFoundError
from agentrt.wire.vector_stores import (
    SearchResultsPage,
    StoreFileStatus,
    StoreFoldersObject,
    VectorStoreFileBatchObject,
    VectorStoreFileObject,
    VectorStoreObject,
)

_FILES_PAGE: Final = 10_000
_FEW: Final = 20


class RemoteStores:
    """Works through the API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def all(self) -> list[VectorStoreObject]:
        return [cast(VectorStoreObject, item) async for item in self._api.pages("/vector_stores", {})]

    async def store(self, store_id: str) -> VectorStoreObject:
        return cast(VectorStoreObject, await self._api.call("GET", _path(store_id)))

    async def folders(self, store_id: str) -> StoreFoldersObject:
        return cast(StoreFoldersObject, await self._api.call("GET", f"{_path(store_id)}/folders"))

    async def files(self, store_id: str, *, status: StoreFileStatus | None = None) -> list[VectorStoreFileObject]:
        only: Mapping[str, str | int] = {} if status is None else {"filter": status}
        path = f"{_path(store_id)}/files"
        return [cast(VectorStoreFileObject, item) async for item in self._api.pages(path, only)]

    async def names(self, file_ids: Sequence[str]) -> Mapping[str, str]:
        if len(file_ids) > _FEW:
            wanted, files = set(file_ids), self._api.pages("/files", {"limit": _FILES_PAGE})
            return {item["id"]: item["filename"] async for item in files if item["id"] in wanted}
        found: dict[str, str] = {}
        for file_id in file_ids:
            try:
                item = await self._api.call("GET", f"/files/{quote(file_id, safe='')}")
            except NotFoundError:
                continue
            found[file_id] = item["filename"]
        return found

    async def create(self, name: str) -> VectorStoreObject:
        return cast(VectorStoreObject, await self._api.call("POST", "/vector_stores", body={"name": name}))

    async def delete(self, store_id: str) -> None:
        await self._api.call("DELETE", _path(store_id))

    async def delete_file(self, file_id: str) -> None:
        try:
            await self._api.call("DELETE", f"/files/{quote(file_id, safe='')}")
        except NotFoundError:
            return

    async def search(self, store_id: str, asked: Asked) -> SearchResultsPage:
        body = {
            "query": asked.query,
            "max_num_results": asked.limit,
            "filters": search_filter(asked.filters),
            "explain": True,
        }
        return cast(SearchResultsPage, await self._api.call("POST", f"{_path(store_id)}/search", body=body))

    async def upload(self, path: Path, *, filename: str) -> str:
        made = await self._api.upload("/files", path, filename=filename, fields={"purpose": "assistants"})
        return str(made["id"])

    async def put(self, store_id: str, placed: Sequence[Placed]) -> str:
        files = [{"file_id": one.file_id, "attributes": dict(one.attributes)} for one in placed]
        made = await self._api.call("POST", f"{_path(store_id)}/file_batches", body={"files": files})
        return str(made["id"])

    async def batch(self, store_id: str, batch_id: str) -> VectorStoreFileBatchObject:
        path = f"{_path(store_id)}/file_batches/{batch_id}"
        return cast(VectorStoreFileBatchObject, await self._api.call("GET", path))

    async def batch_failures(self, store_id: str, batch_id: str) -> list[VectorStoreFileObject]:
        path = f"{_path(store_id)}/file_batches/{batch_id}/files"
        found = self._api.pages(path, {"filter": "failed", "limit": PAGE})
        return [cast(VectorStoreFileObject, item) async for item in found]


def _path(store_id: str) -> str:
    return f"/vector_stores/{quote(store_id, safe='')}"
