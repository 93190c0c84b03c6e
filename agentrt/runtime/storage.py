"""Storage: bytes of files together with the rows that refer to them, so that neither is left without the other.

Bytes are announced in the database before they are put in place, and live from the transaction on that first refers to
them; the transaction that takes the last reference away declares them dead, and they are deleted after it. What a
process that died in between has left, the sweep finds (store/blobs.py).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from agentrt.clock import Clock
from agentrt.errors import RequestTooLargeError, UnavailableError
from agentrt.files.blobs import Blobs, Received
from agentrt.store.blobs import (
    Blob,
    abandon_blobs,
    delete_blob,
    find_live_blob,
    give_up_blob,
    hold_blob,
    insert_blob,
    list_dead_blobs,
    new_blob,
    release_blob,
    settle_blob,
)
from agentrt.store.database import Store, Tx

T = TypeVar("T")

log = logging.getLogger(__name__)

SWEEP_STORAGE_EVERY_S = 60.0
ABANDONED_AFTER_S = 6 * 3600.0
"""How long bytes may take from the disk of this machine to their place; that is minutes for 8 GB in a bucket."""

_BATCH = 100


class Storage:
    """The blob store and what the database knows of it."""

    def __init__(self, *, store: Store, blobs: Blobs, clock: Clock) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock

    def receive(self, chunks: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Received]:
        """Take bytes in before all is known about them. Leaving the block without `keep` forgets them.

        Raises what chunks raises, and UnavailableError when there is no room.
        """
        return self._blobs.receive(chunks)

    async def keep(self, received: Received, write: Callable[[Tx, str], T]) -> T:
        """Keep received bytes; durable, with all that write does, when this returns.

        write: begins to refer to the blob of the name it is given, in the transaction it is given; it is called again
        when that fails. Bytes that are there already are not stored twice. Raises what write raises, UnavailableError.
        """
        same = await self._find_same(received.sha256)
        if same is not None:
            shared = await self._store.write(lambda tx: (write(tx, same),) if hold_blob(tx, same) else None)
            if shared is not None:
                return shared[0]
        blob = new_blob(received.sha256, now=self._clock.now())
        await self._store.write(lambda tx: insert_blob(tx, blob))
        try:
            await received.keep(blob.name)
            return await self._store.write(lambda tx: self._settle(tx, blob, write))
        except Exception:
            # Asked, not assumed: a commit whose answer was lost may have made it live.
            if await self._store.write(lambda tx: give_up_blob(tx, blob.name, now=self._clock.now())):
                await self.bury([blob.name])
            raise

    def release(self, tx: Tx, names: Iterable[str]) -> list[str]:
        """To be called in the transaction that took references to these blobs away, after that.

        Returns those that are dead now, to be buried after the transaction; if nobody does, the sweep will.
        """
        now = self._clock.now()
        return [name for name in sorted(set(names)) if release_blob(tx, name, now=now)]

    async def bury(self, names: Iterable[str]) -> None:
        """Delete the bytes of dead blobs. What cannot be deleted now is left to the sweep."""
        for name in names:
            try:
                await self._delete(name)
            except (UnavailableError, OSError) as error:
                log.warning("storage.not_deleted", extra={"error": type(error).__name__})

    async def sweep(self, *, abandoned_after_s: float = ABANDONED_AFTER_S) -> None:
        """Delete what nothing refers to. abandoned_after_s: after how long bytes on their way are given up."""
        now = self._clock.now()
        n = await self._store.write(lambda tx: abandon_blobs(tx, before=now - abandoned_after_s, now=now))
        if n:
            log.info("storage.abandoned", extra={"n": n})
        while dead := await self._store.read(lambda tx: list_dead_blobs(tx, limit=_BATCH)):
            for name in dead:
                try:
                    await self._delete(name)
                except UnavailableError:  # nor would it delete the others: the next time
                    return

    async def has(self, name: str) -> bool:
        """Whether the bytes are there. Raises UnavailableError."""
        return await self._blobs.has(name)

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from start to before stop, in pieces. Raises FileNotFoundError, UnavailableError."""
        return self._blobs.read(name, start=start, stop=stop)

    @asynccontextmanager
    async def as_path(self, name: str) -> AsyncGenerator[Path, None]:
        """A file of this machine with the bytes, as long as the block lasts. Raises FileNotFoundError."""
        async with self._blobs.as_path(name) as path:
            yield path

    async def _find_same(self, sha256: str) -> str | None:
        """A blob with these bytes. One whose bytes somebody else has taken away is none."""
        name = await self._store.read(lambda tx: find_live_blob(tx, sha256))
        return name if name is not None and await self._blobs.has(name) else None

    def _settle(self, tx: Tx, blob: Blob, write: Callable[[Tx, str], T]) -> T:
        if not settle_blob(tx, blob.name, now=self._clock.now()):
            raise UnavailableError("Storing the file took too long, and was given up. Try again.")
        return write(tx, blob.name)

    async def _delete(self, name: str) -> None:
        # The bytes first: the other way round, a crash in between would leave bytes that nobody knows of.
        await self._blobs.delete(name)
        await self._store.write(lambda tx: delete_blob(tx, name))


async def limited(
    chunks: AsyncIterable[bytes], max_bytes: int, *, what: str, param: str
) -> AsyncGenerator[bytes, None]:
    """The same chunks. Raises RequestTooLargeError as soon as there are too many. what: for the message, `file`."""
    n_bytes = 0
    async for chunk in chunks:
        n_bytes += len(chunk)
        if n_bytes > max_bytes:
            raise too_large(max_bytes, what=what, param=param)
        yield chunk


def too_large(max_bytes: int, *, what: str, param: str) -> RequestTooLargeError:
    return RequestTooLargeError(f"The {what} is too large: at most {max_bytes} bytes.", param=param)
