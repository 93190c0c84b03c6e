"""kill -9 while a declared store takes in its folder, again and again, and the folder changes meanwhile: in the end
each file is there once, as it is now, and what was deleted is gone."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentrt.clock import SystemClock
from agentrt.store.database import Tx
from agentrt.store.open import open_store
from tests.compat.api import Api
from tests.compat.deployment import Deployment

Deploy = Callable[..., Deployment]

N_FILES = 150
STORE = "/vector_stores/vs_handbook"
TOML = """
[vector_stores.handbook]
folders = ["docs"]
check_every = "1s"
"""
_WITHIN_S = 120


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """A URL, empty for SQLite in the deployment's own folder."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


class Folder:
    """The documents: what is in each, by name. Each write is of another time, and none of a moment ago."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: dict[str, str] = {}
        self._time = 1_700_000_000

    def write(self, n: int, version: str = "first") -> None:
        name = f"part{n % 3}/{n}.txt"
        self.texts[name] = f"Note marker{n}x is of the {version}y version, and tells nothing else."
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._time += 10
        written = path.with_suffix(".tmp")  # left out, whoever looks in between
        written.write_text(self.texts[name])
        os.utime(written, (self._time, self._time))
        written.replace(path)

    def delete(self, n: int) -> None:
        name = f"part{n % 3}/{n}.txt"
        del self.texts[name]
        (self.path / name).unlink()


def until_completed(api: Api, n: int) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while (counts := api.get(STORE)["file_counts"])["completed"] < n:
        assert time.monotonic() < deadline, counts
        time.sleep(0.01)


def names_in_store(api: Api) -> list[str]:
    """The paths of all files of the store that are completed; of another one its status."""
    found: list[str] = []
    after: dict[str, Any] = {}
    while True:
        page = api.get(f"{STORE}/files", limit=100, **after)
        for file in page["data"]:
            path = str(file["attributes"]["path"]).removeprefix("docs/")
            found.append(path if file["status"] == "completed" else f"{path} is {file['status']}")
        if not page["has_more"]:
            return sorted(found)
        after = {"after": page["last_id"]}


def is_settled(api: Api, folder: Folder) -> bool:
    """Whether every file is found by what it says now, and by nothing that it said before."""
    if names_in_store(api) != sorted(folder.texts):
        return False
    for name, text in folder.texts.items():
        marker = text.split()[1]
        results = api.post(f"{STORE}/search", {"query": marker, "max_num_results": 5})["data"]
        if [(result["filename"], result["content"][0]["text"]) for result in results] != [(name, text)]:
            return False
    return True


def test_a_folder_is_taken_in_however_often_the_process_dies(deploy: Deploy, database: str) -> None:
    deployment = deploy(database=database, more=TOML, environment={"AGENTRT__RUNTIME__LEASE": "5s"})
    folder = Folder(deployment.folder / "docs")
    for n in range(N_FILES):
        folder.write(n)

    deployment.start()
    with Api(deployment.url) as api:
        until_completed(api, 10)
    deployment.kill()
    for n in range(10):
        folder.delete(n)
    for n in range(10, 20):
        folder.write(n, "second")
    for n in range(N_FILES, N_FILES + 10):
        folder.write(n)

    deployment.start()
    with Api(deployment.url) as api:
        until_completed(api, 60)
        for n in range(20, 30):
            folder.write(n, "second")
        for n in range(30, 40):
            folder.delete(n)
    deployment.kill()

    deployment.start()
    with Api(deployment.url) as api:
        until_completed(api, 120)
        for n in range(40, 60):
            folder.write(n, "second")
    deployment.kill()

    deployment.start()
    with Api(deployment.url) as api:
        deadline = time.monotonic() + _WITHIN_S
        while not is_settled(api, folder):
            assert time.monotonic() < deadline, set(names_in_store(api)) ^ set(folder.texts)
            time.sleep(0.2)
        assert api.get(STORE)["file_counts"]["total"] == len(folder.texts) == N_FILES - 10
        files = api.get("/files", limit=1000)["data"]
        assert sorted(file["filename"] for file in files) == sorted(folder.texts), "no file is left that nobody knows"
    assert deployment.stop() == 0
    url = database or f"sqlite:///{deployment.folder}/data/agentrt.db"
    assert asyncio.run(rows(url)) == {
        "file": 140,
        "vector_store_file": 140,
        "watched_file": 140,
        "found": 140,
        "job": 0,
    }


async def rows(url: str) -> dict[str, int]:
    """How many there are of everything that belongs to a file."""

    def count(tx: Tx) -> dict[str, int]:
        found = {
            name: tx.conn.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
            for name in ("file", "vector_store_file", "watched_file", "job")
        }
        visible = "SELECT count(*) FROM indexed_file WHERE file_id IS NOT NULL"
        return found | {"found": tx.conn.exec_driver_sql(visible).scalar_one()}

    store = await open_store(url, clock=SystemClock())
    try:
        return await store.read(count)
    finally:
        await store.close()
