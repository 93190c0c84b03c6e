"""agentrt with a vector store under measurement: a process, and a client that fills its store and searches in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from bench.clients import open_client
from bench.processes import Process, free_port, python

_CONFIG: Final = """
version = 1
[runtime]
data_dir = "data"
{database}
[models.demo]
provider = "demo"
{embedding}
"""
_IN_A_BATCH: Final = 500
_UPLOADS_AT_ONCE: Final = 8
_LOOK_EVERY_S: Final = 0.2
_WORKING: Final = "in_progress"


def embedding_config(model: str, *, url: str | None = None, window_tokens: int | None = None) -> str:
    """What agents.toml says of the embedding model: `minilm`, or the name that the server at `url` knows it by."""
    if url is None:
        return f'[search]\nembedding = "{model}"'
    window = "" if window_tokens is None else f"window_tokens = {window_tokens}"
    return (
        f'[search]\nembedding = "upstream"\n[models.upstream]\nprovider = "compatible"\nbase_url = "{url}"\n'
        f'model = "{model}"\nembedding = {{ {window} }}'
    )


def reranked(config: str, model: str, *, url: str) -> str:
    """The same with a reranker, whose server is at `url`. config: an embedding_config, or "" for keywords alone."""
    rest = config.removeprefix("[search]\n")
    return (
        f'[search]\nrerank = "judge"\n{rest}\n[models.judge]\nprovider = "compatible"\nbase_url = "{url}"\n'
        f'model = "{model}"\nrerank = {{ within = "60s" }}'
    )


@contextmanager
def search_service(folder: Path, *, embedding: str = "", database: str | None = None) -> Iterator[tuple[Process, str]]:
    """The process and its URL. embedding: see embedding_config. database: None for a SQLite file in the folder."""
    config = folder / "agents.toml"
    config.write_text(
        _CONFIG.format(embedding=embedding, database="" if database is None else f'database = "{database}"')
    )
    url = f"http://127.0.0.1:{free_port()}"
    command = python("-m", "agentrt", "-q", "serve", "--config", str(config), "--port", url.rpartition(":")[2])
    process = Process(command, log=folder / "service.log", ready=f"{url}/healthz")
    try:
        yield process, url
    finally:
        process.stop()


class StoreClient:
    """One vector store, over HTTP. names: file ids → the names of the documents that were put in as them."""

    def __init__(self, client: httpx.AsyncClient, store_id: str) -> None:
        self._client = client
        self._store = f"/v1/vector_stores/{store_id}"
        self.names: dict[str, str] = {}

    async def put(
        self, documents: Mapping[str, str], *, attributes: Mapping[str, dict[str, Any]] | None = None
    ) -> None:
        """Upload documents (name → text), attach them in batches and wait until they are found."""
        for lot in _lots(list(documents.items())):
            file_ids = await self._upload(lot)
            files = [
                {"file_id": file_id, **({} if attributes is None else {"attributes": attributes[name]})}
                for file_id, (name, _) in zip(file_ids, lot, strict=True)
            ]
            batch = await self._send("POST", f"{self._store}/file_batches", {"files": files})
            while batch["status"] == _WORKING:
                await asyncio.sleep(_LOOK_EVERY_S)
                batch = await self._send("GET", f"{self._store}/file_batches/{batch['id']}")
            if batch["file_counts"]["completed"] != len(lot):
                raise RuntimeError(f"not every document has been indexed: {batch}")

    async def search(self, query: str, **options: Any) -> dict[str, Any]:
        """The answer of `POST /v1/vector_stores/{id}/search`."""
        return await self._send("POST", f"{self._store}/search", {"query": query, **options})

    async def delete(self, file_id: str) -> None:
        await self._send("DELETE", f"/v1/files/{file_id}")

    async def _upload(self, documents: Sequence[tuple[str, str]]) -> list[str]:
        free = asyncio.Semaphore(_UPLOADS_AT_ONCE)

        async def upload(number: int, text: str) -> str:
            async with free:
                file = (f"{number}.txt", text.encode(errors="replace"), "text/plain")
                response = await self._client.post("/v1/files", data={"purpose": "assistants"}, files={"file": file})
                return str(response.raise_for_status().json()["id"])

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(upload(number, text)) for number, (_, text) in enumerate(documents)]
        file_ids = [task.result() for task in tasks]
        self.names |= {file_id: name for file_id, (name, _) in zip(file_ids, documents, strict=True)}
        return file_ids

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = (await self._client.request(method, path, json=body)).raise_for_status().json()
        return found


@asynccontextmanager
async def open_vector_store(url: str, *, at_once: int = _UPLOADS_AT_ONCE) -> AsyncIterator[StoreClient]:
    """A new vector store of the service at url."""
    async with open_client(url, at_once=at_once) as client:
        made = await client.post("/v1/vector_stores", json={"name": "bench"})
        yield StoreClient(client, made.raise_for_status().json()["id"])


def _lots(documents: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    return (documents[at : at + _IN_A_BATCH] for at in range(0, len(documents), _IN_A_BATCH))
