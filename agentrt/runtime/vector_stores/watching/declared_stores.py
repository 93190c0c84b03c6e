"""Makes the stores of agents.toml what it says, at every start."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import msgspec
from sqlalchemy.exc import IntegrityError

from agentrt.clock import Clock
from agentrt.config.schema import DEFAULT_PROJECT, VectorStoreSpec
from agentrt.errors import NotFoundError
from agentrt.runtime.files import Files
from agentrt.store.database import Store, Tx
from agentrt.store.vector_stores import (
    DECLARED,
    VectorStore,
    delete_vector_store,
    expiry_of,
    insert_vector_store,
    list_declared_stores,
    load_vector_store,
    update_vector_store,
)
from agentrt.store.watched_folders import delete_watch, free_watch, insert_watch, list_watched_files

_OWN_STATE = ("created_at", "last_active_at", "expires_at", "expired_at")


async def declare_stores(store: Store, files: Files, specs: Sequence[VectorStoreSpec], *, clock: Clock) -> None:
    """Make the declared stores what agents.toml says now; those it no longer names go, with the files of their folders.

    What has not changed in the file keeps what the API changed since. One that has expired is used again.
    """

    def write(tx: Tx) -> list[str]:
        known = {found.id: found for found in list_declared_stores(tx)}
        for spec in specs:
            _put(tx, known.get(spec.id) or load_vector_store(tx, spec.id), spec, now=clock.now())
            if not store.is_shared:  # whoever was at it is gone: a file has one process
                free_watch(tx, spec.id)
        return sorted(known.keys() - {spec.id for spec in specs})

    try:
        gone = await store.write(write)
    except IntegrityError:  # another process that starts at this moment was first
        gone = await store.write(write)
    for store_id in gone:
        await _remove(store, files, store_id)


async def _remove(store: Store, files: Files, store_id: str) -> None:
    # The store last: who dies in between finds it at the next start.
    for known in await store.read(partial(list_watched_files, store_id=store_id)):
        for file_id in (known.file_id, known.next_file_id):
            if file_id is not None:
                await delete_if_there(files, file_id)
    await store.write(partial(delete_vector_store, store_id=store_id))


async def delete_if_there(files: Files, file_id: str) -> None:
    """Delete a file that came from a folder; somebody may have been faster."""
    try:
        await files.delete(DEFAULT_PROJECT, file_id)
    except NotFoundError:
        return


def _put(tx: Tx, known: VectorStore | None, spec: VectorStoreSpec, *, now: float) -> None:
    declared = VectorStore(
        id=spec.id,
        project=DEFAULT_PROJECT,
        created_at=int(now),
        last_active_at=int(now),
        name=spec.display_name,
        meta=dict(spec.metadata),
        expires_after_days=spec.expires_after_days,
        origin=DECLARED,
        declared_hash=hashlib.sha256(msgspec.json.encode(spec, enc_hook=str, order="sorted")).hexdigest(),
    )
    if known is None:
        insert_vector_store(tx, declared)
    elif known.declared_hash != declared.declared_hash:
        state = {name: getattr(known, name) for name in _OWN_STATE}
        state["expires_at"] = expiry_of(known.last_active_at, spec.expires_after_days)
        update_vector_store(tx, spec.id, {**dict(declared), **state})
    if known is not None and known.is_expired(now):
        expires_at = expiry_of(int(now), spec.expires_after_days)
        update_vector_store(tx, spec.id, {"expired_at": None, "last_active_at": int(now), "expires_at": expires_at})
    if not spec.folders:
        # The files of folders that are named no more go with the next look, so that one is left to be done.
        has_files = bool(list_watched_files(tx, spec.id))
        (insert_watch if has_files else delete_watch)(tx, spec.id)
    else:
        insert_watch(tx, spec.id)
    if known is not None and known.declared_hash != declared.declared_hash:
        free_watch(tx, spec.id)
