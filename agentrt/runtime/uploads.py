"""Uploads: a file that comes in parts, in any order and side by side, and is put together when all are there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Final

from agentrt.clock import Clock
from agentrt.errors import InvalidRequestError, NotFoundError, UnavailableError
from agentrt.files.blobs import Received
from agentrt.ids import new_id
from agentrt.runtime.files import new_file
from agentrt.runtime.storage import Storage, limited, too_large
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, find_file, insert_file
from agentrt.store.uploads import (
    PENDING,
    Upload,
    UploadPart,
    delete_parts,
    find_upload,
    forget_uploads,
    insert_part,
    insert_upload,
    list_overdue_uploads,
    list_parts,
    lock_upload,
    update_upload,
)

MAX_PART_BYTES: Final = 64 * 1024 * 1024
UPLOADS_LIVE_S: Final = 3600
"""Source: API reference, uploads."""

_FORGOTTEN_AFTER_S = 24 * 3600
_BATCH = 100


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a caller says of the file to come. size_bytes: of all of it; expires_after_s: of the file, from when it is
    put together."""

    filename: str
    purpose: str
    size_bytes: int
    media_type: str
    expires_after_s: int | None = None


class _CompletedError(Exception):
    """The same request was sent twice, and the other one was faster."""


class Uploads:
    """What callers do to uploads. max_bytes: of all parts of one."""

    def __init__(self, *, store: Store, storage: Storage, clock: Clock, max_bytes: int) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock
        self.max_bytes = max_bytes

    async def create(self, project: str, new: NewUpload) -> Upload:
        """Raises RequestTooLargeError for a file that would be larger than one may be."""
        if new.size_bytes > self.max_bytes:
            raise too_large(self.max_bytes, what="file", param="bytes")
        now = int(self._clock.now())
        upload = Upload(
            id=new_id("upload"),
            project=project,
            created_at=now,
            expires_at=now + UPLOADS_LIVE_S,
            filename=new.filename,
            purpose=new.purpose,
            size_bytes=new.size_bytes,
            media_type=new.media_type,
            file_expires_after_s=new.expires_after_s,
        )
        await self._store.write(lambda tx: insert_upload(tx, upload))
        return upload

    async def check_open(self, project: str, upload_id: str) -> None:
        """Whether parts can be added now. Raises NotFoundError, InvalidRequestError when it has ended."""
        self._demand_pending(await self._store.read(lambda tx: find_upload(tx, project, upload_id)))

    def receive(self, chunks: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Received]:
        """Take a part's bytes in. Leaving the block without `add` forgets them.

        Raises RequestTooLargeError, UnavailableError when there is no room.
        """
        return self._storage.receive(limited(chunks, MAX_PART_BYTES, what="part", param="data"))

    async def add(self, project: str, upload_id: str, received: Received) -> UploadPart:
        """Make received bytes a part, durable when this returns.

        Raises NotFoundError, InvalidRequestError when the upload has ended meanwhile or its parts are too many bytes.
        """

        def write(tx: Tx, blob: str) -> UploadPart:
            self._demand_pending(lock_upload(tx, project, upload_id))
            n_before = sum(part.size_bytes for part in list_parts(tx, upload_id))
            if n_before + received.size_bytes > self.max_bytes:
                raise too_large(self.max_bytes, what="upload, with all parts that were added,", param="data")
            part = UploadPart(
                id=new_id("part"),
                upload_id=upload_id,
                created_at=int(self._clock.now()),
                size_bytes=received.size_bytes,
                blob=blob,
            )
            insert_part(tx, part)
            return part

        return await self._storage.keep(received, write)

    async def complete(
        self, project: str, upload_id: str, part_ids: Sequence[str], *, md5: str | None = None
    ) -> tuple[Upload, File]:
        """Put the parts together, in this order. md5: of all bytes, in hex; compared when it is given.

        An upload that was completed with the same parts is given back as it is: the answer may have been lost on the
        way. Raises NotFoundError, InvalidRequestError for parts that do not fit, or when it has ended otherwise.
        """
        upload, parts = await self._store.read(lambda tx: self._find_whole(tx, project, upload_id))
        if _is_completed_with(upload, part_ids):
            return await self._store.read(lambda tx: _completed(tx, project, upload_id))
        self._demand_pending(upload)
        chosen = _choose(upload, parts, part_ids)
        digest = hashlib.md5(usedforsecurity=False)
        try:
            async with self._storage.receive(self._joined(chosen, digest.update if md5 else None)) as received:
                if md5 is not None and digest.hexdigest() != md5.lower():
                    raise InvalidRequestError(
                        f"The parts, in this order, have the MD5 {digest.hexdigest()}, not {md5.lower()}.", param="md5"
                    )
                dead = await self._storage.keep(
                    received, lambda tx, blob: self._finish(tx, project, upload_id, part_ids, blob)
                )
                await self._storage.bury(dead)
        except _CompletedError:
            pass
        except FileNotFoundError:
            # Its end takes the parts away, also from who is reading them.
            now = await self._store.read(lambda tx: find_upload(tx, project, upload_id))
            if not _is_completed_with(now, part_ids):
                self._demand_pending(now)
                raise UnavailableError(f"A part of {upload_id} is missing from where the server keeps files.") from None
        return await self._store.read(lambda tx: _completed(tx, project, upload_id))

    async def cancel(self, project: str, upload_id: str) -> Upload:
        """Forget the parts. Raises NotFoundError, InvalidRequestError when it is completed or expired."""

        def write(tx: Tx) -> tuple[Upload, list[str]]:
            upload = lock_upload(tx, project, upload_id)
            if upload.status == "cancelled":
                return upload, []
            self._demand_pending(upload)
            return self._end(tx, upload, "cancelled")

        upload, dead = await self._store.write(write)
        await self._storage.bury(dead)
        return upload

    async def expire(self) -> None:
        """End the uploads whose time is over, and forget those that ended long ago."""
        now = self._clock.now()
        while due := await self._store.read(lambda tx: list_overdue_uploads(tx, now=now, limit=_BATCH)):
            for project, upload_id in due:
                await self._storage.bury(await self._expire(project, upload_id))
        await self._store.write(lambda tx: forget_uploads(tx, before=now - _FORGOTTEN_AFTER_S))

    async def _expire(self, project: str, upload_id: str) -> list[str]:
        def write(tx: Tx) -> list[str]:
            try:
                upload = lock_upload(tx, project, upload_id)
            except NotFoundError:
                return []
            return self._end(tx, upload, "expired")[1] if upload.status == PENDING else []

        return await self._store.write(write)

    def _find_whole(self, tx: Tx, project: str, upload_id: str) -> tuple[Upload, list[UploadPart]]:
        return find_upload(tx, project, upload_id), list_parts(tx, upload_id)

    def _finish(self, tx: Tx, project: str, upload_id: str, part_ids: Sequence[str], blob: str) -> list[str]:
        """The file is there: the last look at the upload, and its end. Returns the blobs that died."""
        upload = lock_upload(tx, project, upload_id)
        if _is_completed_with(upload, part_ids):
            raise _CompletedError
        self._demand_pending(upload)
        file = new_file(
            project,
            blob,
            size_bytes=upload.size_bytes,
            filename=upload.filename,
            purpose=upload.purpose,
            expires_after_s=upload.file_expires_after_s,
            media_type=upload.media_type,
            now=self._clock.now(),
        )
        insert_file(tx, file)
        update_upload(tx, upload_id, {"file_id": file.id, "part_ids": list(part_ids)})
        return self._end(tx, upload, "completed")[1]

    def _end(self, tx: Tx, upload: Upload, status: str) -> tuple[Upload, list[str]]:
        blobs = [part.blob for part in list_parts(tx, upload.id)]
        delete_parts(tx, upload.id)
        update_upload(tx, upload.id, {"status": status})
        upload.status = status
        return upload, self._storage.release(tx, blobs)

    def _demand_pending(self, upload: Upload) -> None:
        is_over = upload.status == PENDING and upload.expires_at <= self._clock.now()
        status = "expired" if is_over else upload.status
        if status != PENDING:
            raise InvalidRequestError(
                f"Upload {upload.id} has status '{status}': parts can be added, and it can be completed or cancelled, "
                f"only while it is '{PENDING}', up to an hour after its creation. Create a new upload."
            )

    async def _joined(
        self, parts: Sequence[UploadPart], note: Callable[[bytes], None] | None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of the parts, one after the other; note hears of each piece."""
        for part in parts:
            async with aclosing(self._storage.read(part.blob)) as pieces:
                async for piece in pieces:
                    if note is not None:
                        note(piece)
                    yield piece


def _is_completed_with(upload: Upload, part_ids: Sequence[str]) -> bool:
    return upload.status == "completed" and upload.part_ids == list(part_ids)


def _completed(tx: Tx, project: str, upload_id: str) -> tuple[Upload, File]:
    """Raises NotFoundError when its file was deleted since."""
    upload = find_upload(tx, project, upload_id)
    assert upload.file_id is not None  # it is completed
    return upload, find_file(tx, project, upload.file_id)


def _choose(upload: Upload, parts: Sequence[UploadPart], part_ids: Sequence[str]) -> list[UploadPart]:
    """The parts in the caller's order. Raises InvalidRequestError when they are not what the file was to be."""
    known = {part.id: part for part in parts}
    chosen: dict[str, UploadPart] = {}
    for i, part_id in enumerate(part_ids):
        if part_id not in known:
            raise InvalidRequestError(f"Upload {upload.id} has no part '{part_id}'.", param=f"part_ids[{i}]")
        if part_id in chosen:
            raise InvalidRequestError(f"Part '{part_id}' is named twice.", param=f"part_ids[{i}]")
        chosen[part_id] = known[part_id]
    n_bytes = sum(part.size_bytes for part in chosen.values())
    if n_bytes != upload.size_bytes:
        raise InvalidRequestError(
            f"The parts have {n_bytes} bytes together, and the upload was created for {upload.size_bytes}: name every "
            "part, or create a new upload with the right number.",
            param="part_ids",
        )
    return list(chosen.values())
