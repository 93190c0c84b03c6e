"""How the folders of a store stand, for those who ask."""

from __future__ import annotations

from typing import Final

import msgspec

from agentrt.config.schema import Config
from agentrt.store.database import Tx
from agentrt.store.vector_stores import find_vector_store
from agentrt.store.watched_folders import WatchCounts, count_watched, find_watch, list_watch_failures

_MOST_FAILURES: Final = 200


class FolderState(msgspec.Struct, frozen=True, kw_only=True):
    """name: of the table in agents.toml; None: it declares no such store. folders: as they are written.

    checked_at: of the last look, Unix seconds. problems: of the folders. failures: (path, why), the first of them.
    """

    store_id: str
    name: str | None
    folders: tuple[str, ...]
    checked_at: int | None
    counts: WatchCounts
    problems: list[str]
    failures: list[tuple[str, str]]


def read_folder_state(tx: Tx, config: Config, project: str, store_id: str) -> FolderState:
    """Raises NotFoundError."""
    find_vector_store(tx, project, store_id)
    spec = next((spec for spec in config.vector_stores.values() if spec.id == store_id), None)
    watch = find_watch(tx, store_id)
    return FolderState(
        store_id=store_id,
        name=None if spec is None else spec.name,
        folders=() if spec is None else tuple(folder.label for folder in spec.folders),
        checked_at=None if watch is None else watch.checked_at,
        counts=count_watched(tx, store_id),
        problems=[] if watch is None else watch.problems,
        failures=[(file.path, file.error or "") for file in list_watch_failures(tx, store_id, limit=_MOST_FAILURES)],
    )
