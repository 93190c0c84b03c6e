"""Files: bytes come in and are kept, read, deleted and expired. What multipart forms look like is the server's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from agentrt.clock import Clock
from agentrt.errors import NotFoundError, UnavailableError
from agentrt.files.blobs import Received
from agentrt.ids import new_id
from agentrt.runtime.storage import Storage, limited
from agentrt.store.database import Store, Tx
from agentrt.store.files import (
    File,
    date_files,
    delete_file,
    find_file,
    find_file_to_delete,
    insert_file,
    keep_file,
    list_expired_files,
    list_old_files,
    list_undated_files,
)
from agentrt.store.tool_resources import forget_code_file, is_listed_by_assistant
from agentrt.store.vector_store_files import is_in_vector_store, leave_places

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""What a model may be shown of one image; it travels in the request, as base64."""

BATCH_FILES_LIVE_S = 30 * 24 * 3600
"""Files for batches go after a month unless their upload says otherwise. Source: API reference, files."""

_BATCH = 100
_WEBP = (b"RIFF", b"WEBP")
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


class Files:
    """What callers do to files. max_bytes: of a file that comes in one request."""

    def __init__(self, *, store: Store, storage: Storage, clock: Clock, max_bytes: int) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock
        self.max_bytes = max_bytes

    def receive(self, chunks: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Received]:
        """Take a file's bytes in before all is known about it. Leaving the block without `keep` forgets them.

        Raises RequestTooLargeError, UnavailableError when there is no room.
        """
        return self._storage.receive(limited(chunks, self.max_bytes, what="file", param="file"))

    async def keep(
        self,
        project: str,
        received: Received,
        *,
        filename: str,
        purpose: str,
        expires_after_s: int | None = None,
        media_type: str | None = None,
    ) -> File:
        """Make received bytes a file, durable when this returns. Raises UnavailableError when they cannot be stored."""

        def write(tx: Tx, blob: str) -> File:
            file = new_file(
                project,
                blob,
                size_bytes=received.size_bytes,
                filename=filename,
                purpose=purpose,
                expires_after_s=expires_after_s,
                media_type=media_type,
                now=self._clock.now(),
            )
            insert_file(tx, file)
            return file

        return await self._storage.keep(received, write)

    async def put(
        self,
        project: str,
        chunks: AsyncIterable[bytes],
        *,
        filename: str,
        purpose: str,
        expires_after_s: int | None = None,
    ) -> File:
        """Store a file whose bytes come in pieces. Raises as receive does."""
        async with self.receive(chunks) as received:
            return await self.keep(
                project, received, filename=filename, purpose=purpose, expires_after_s=expires_after_s
            )

    async def content(self, file: File, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The file's bytes from start to before stop, in pieces. Raises UnavailableError when they are gone."""
        if not await self._storage.has(file.sha256):
            raise _missing(file)
        return self._storage.read(file.sha256, start=start, stop=stop)

    @asynccontextmanager
    async def as_path(self, file: File) -> AsyncGenerator[Path, None]:
        """The file's bytes as a file of this machine, as long as the block lasts; for those who cannot read a stream.

        Its name is not the file's, and it must not be written to. Raises UnavailableError when the bytes are gone.
        """
        if not await self._storage.has(file.sha256):
            raise _missing(file)
        async with self._storage.as_path(file.sha256) as path:
            yield path

    async def delete(self, project: str, file_id: str) -> None:
        """Delete a file, and its name from every store and every code_interpreter list. Raises NotFoundError."""

        def write(tx: Tx) -> list[str]:
            file = find_file_to_delete(tx, project, file_id)
            forget_code_file(tx, file_id)
            leave_places(tx, file_id, now=self._clock.now())
            delete_file(tx, file)
            return self._storage.release(tx, [file.sha256])

        await self._storage.bury(await self._store.write(write))

    async def delete_old(self, *, before: float) -> int:
        """Delete the files that were uploaded before a time, of every project; how many there were.

        What has an expiry of its own is left to it. What a vector store holds or an assistant names is kept; a thread
        or a message that names a file does not keep it.
        """
        while undated := await self._store.read(lambda tx: list_undated_files(tx, limit=_BATCH)):
            await self._store.write(partial(date_files, file_ids=undated))
        n = 0
        while old := await self._store.read(lambda tx: list_old_files(tx, before=before, limit=_BATCH)):
            for file in old:
                n += await self._delete_unless_in_use(file)
        return n

    async def _delete_unless_in_use(self, file: File) -> bool:
        def look(tx: Tx) -> bool:
            return is_in_vector_store(tx, file.id) or is_listed_by_assistant(tx, file.id)

        if await self._store.read(look):
            await self._store.write(lambda tx: keep_file(tx, file.id, now=self._clock.now()))
            return False
        try:
            await self.delete(file.project, file.id)
        except NotFoundError:  # its owner was faster
            return False
        return True

    async def expire(self) -> int:
        """Delete the files whose time is over; how many there were."""
        n = 0
        while due := await self._store.read(lambda tx: list_expired_files(tx, self._clock.now())):
            for file in due:
                try:
                    await self.delete(file.project, file.id)
                    n += 1
                except NotFoundError:  # its owner was faster
                    continue
        return n

    async def read_image(self, project: str, file_id: str) -> tuple[bytes, str] | None:
        """An image and its media type, known by its first bytes (png, jpeg, gif, webp).

        None: there is no such file, it is none of these, or too large to be shown to a model.
        """
        try:
            file = await self._store.read(lambda tx: find_file(tx, project, file_id))
        except NotFoundError:
            return None
        if file.size_bytes > MAX_IMAGE_BYTES:
            return None
        try:
            data = b"".join([piece async for piece in self._storage.read(file.sha256)])
        except FileNotFoundError:
            return None
        media_type = image_type(data)
        return None if media_type is None else (data, media_type)


def new_file(
    project: str,
    blob: str,
    *,
    size_bytes: int,
    filename: str,
    purpose: str,
    expires_after_s: int | None,
    media_type: str | None,
    now: float,
) -> File:
    """A file's row, to be inserted."""
    if expires_after_s is None and purpose == "batch":
        expires_after_s = BATCH_FILES_LIVE_S
    return File(
        id=new_id("file"),
        project=project,
        created_at=int(now),
        filename=filename,
        size_bytes=size_bytes,
        purpose=purpose,
        sha256=blob,
        expires_at=None if expires_after_s is None else int(now) + expires_after_s,
        kept_at=int(now),
        media_type=media_type,
    )


def image_type(data: bytes) -> str | None:
    """The media type of an image that models take, None for anything else."""
    for start, media_type in _IMAGES:
        if data.startswith(start):
            return media_type
    return "image/webp" if (data[:4], data[8:12]) == _WEBP else None


def _missing(file: File) -> UnavailableError:
    return UnavailableError(f"The content of {file.id} is missing from where the server keeps files. Upload it again.")
