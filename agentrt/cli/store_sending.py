"""Sending: files on their way into a store, a few at once, until each of them is indexed or has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agentrt.cli.problems import CliError
from agentrt.cli.store_port import Placed, StoreDesk
from agentrt.cli.store_progress import Progress
from agentrt.clock import SystemClock
from agentrt.errors import InvalidRequestError, RequestTooLargeError
from agentrt.files.folder import FoundFile

OWN_ATTRIBUTES: Final = ("path", "sha256")
"""What a file is known again by."""

_AT_ONCE: Final = 4
_LOT: Final = 16
_LOOK_EVERY_S: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file to be sent. path, digest: its attributes. known_id: the file in the store that has the path.

    is_same: that one has these very bytes, and was not indexed: it needs not be sent again.
    """

    file: FoundFile
    path: str
    digest: str
    known_id: str | None
    is_same: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that is not in the store, or not as it is."""

    path: str
    message: str


class Sending:
    """What came of it: n_added, n_replaced, sent_bytes, failures."""

    def __init__(self, desk: StoreDesk, store_id: str, progress: Progress, *, attributes: Mapping[str, str]) -> None:
        self._desk = desk
        self._store_id = store_id
        self._progress = progress
        self._attributes = attributes
        self._clock = SystemClock()
        self._lot: dict[str, Item] = {}
        self._batches: dict[str, dict[str, Item]] = {}
        self._coming: dict[str, int] = {}  # how many are through, of batches that are not
        self._is_sent = False
        self.n_added = 0
        self.n_replaced = 0
        self.sent_bytes = 0
        self.failures: list[Failure] = []

    async def run(self, items: Iterator[Item]) -> None:
        """Send all, and wait until they are indexed. items may block: it is asked in a thread."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            turn = asyncio.Lock()
            senders = [group.create_task(self._send(items, turn)) for _ in range(_AT_ONCE)]
            await asyncio.gather(*senders)
            await self.put_rest()
            self._is_sent = True
            await watching

    async def put_rest(self) -> None:
        """Have those indexed that were sent and are in no batch yet."""
        if self._lot:
            lot, self._lot = self._lot, {}
            placed = [
                Placed(file_id, {**self._attributes, "path": item.path, "sha256": item.digest})
                for file_id, item in lot.items()
            ]
            self._batches[await self._desk.put(self._store_id, placed)] = lot

    async def _send(self, items: Iterator[Item], turn: asyncio.Lock) -> None:
        while True:
            async with turn:
                item = await asyncio.to_thread(next, items, None)
            if item is None:
                return
            file_id = await self._upload(item)
            self._progress.sent(item.file.size_bytes)
            if file_id is None:
                self._progress.done(failed=1)
                continue
            self._lot[file_id] = item
            if len(self._lot) >= _LOT:
                await self.put_rest()

    async def _upload(self, item: Item) -> str | None:
        """The file's id; None when the server does not take it."""
        if item.is_same and item.known_id is not None:
            return item.known_id
        try:
            file_id = await self._desk.upload(item.file.path, filename=item.file.name)
        except (InvalidRequestError, RequestTooLargeError) as error:
            self.failures.append(Failure(item.path, error.message))
            return None
        except CliError as error:
            if error.code != "E210":
                raise
            self.failures.append(Failure(item.path, error.why or error.what))
            return None
        except OSError as error:
            self.failures.append(Failure(item.path, (error.strerror or str(error)).lower()))
            return None
        self.sent_bytes += item.file.size_bytes
        return file_id

    async def _watch(self) -> None:
        """Look after the batches until all files are done."""
        while not self._is_sent or self._batches:
            await self._clock.sleep(_LOOK_EVERY_S)
            for batch_id in list(self._batches):
                counts = (await self._desk.batch(self._store_id, batch_id))["file_counts"]
                self._coming[batch_id] = counts["total"] - counts["in_progress"]
                if counts["in_progress"]:
                    self._progress.done(coming=sum(self._coming.values()))
                else:
                    await self._conclude(batch_id)

    async def _conclude(self, batch_id: str) -> None:
        failed = {file["id"]: file for file in await self._desk.batch_failures(self._store_id, batch_id)}
        lot = self._batches[batch_id]
        for file_id, item in lot.items():
            is_new_version = item.known_id is not None and item.known_id != file_id
            if file_id in failed:
                error = failed[file_id]["last_error"]
                kept = "; the version before it is still found" if is_new_version else ""
                self.failures.append(Failure(item.path, f"{'' if error is None else error['message']}{kept}"))
            elif is_new_version:
                self.n_replaced += 1
            else:
                self.n_added += 1
            if is_new_version and item.known_id is not None:
                await self._desk.delete_file(file_id if file_id in failed else item.known_id)
        del self._batches[batch_id], self._coming[batch_id]
        coming = sum(self._coming.values())
        self._progress.done(failed=len(failed), indexed=len(lot) - len(failed), coming=coming)
