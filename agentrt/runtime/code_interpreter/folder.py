"""A session's folder, /mnt/data: what belongs in it is put in, what code writes there is found and kept."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from agentrt.errors import AgentrtError, SandboxGoneError
from agentrt.runtime.code_interpreter.shelf import Held, Remembered, Shelf
from agentrt.sandbox.events import FileEntry
from agentrt.sandbox.sandbox import Sandbox

log = logging.getLogger(__name__)

MAX_KEPT: Final = 200
MAX_KEPT_BYTES: Final = 100 * 1024**2
"""Of what one call writes: so many files, and so much of them, are kept."""

_MAX_LISTED: Final = 10_000  # more files than the kernel lists

Mark: TypeAlias = tuple[int, float]
"""Size and time of a file: what tells one state of it from another."""


class Harvest(NamedTuple):
    """What a call left in the folder. made: newly kept files. gone: paths that were deleted. n_left: not kept."""

    made: tuple[Held, ...] = ()
    gone: tuple[str, ...] = ()
    n_left: int = 0


class Folder:
    """The folder of one sandbox, as far as this process has seen it."""

    def __init__(self, box: Sandbox, max_bytes: int) -> None:
        self._box = box
        self._max_bytes = max_bytes
        self._there: set[str] | None = None  # None: nobody has looked yet
        self._marks: dict[str, Mark] = {}
        self._refused: set[str] = set()
        self._half: set[str] = set()  # what is being put in, or was left so by who gave up: no work of the code's

    async def fill(self, remembered: Remembered, shelf: Shelf) -> list[str]:
        """Put in the files that are missing, take out those whose owner deleted them.

        Answers with what could not be put in, in words. Raises SandboxGoneError.
        """
        there = self._recognise(await self._box.list(), remembered) if self._there is None else self._there
        complaints, is_changed = list[str](), False
        for file in remembered.files:
            if not file.is_lost and file.path not in there | self._refused:
                if complaint := await self._put(file, shelf, there):
                    complaints.append(complaint)
                else:
                    is_changed = True
            elif file.is_lost and file.is_input and file.path in there:
                await self._delete(file.path, there)
        if is_changed:
            for entry in await self._box.list():
                if self._marks.get(entry.path) == _JUST_PUT:
                    self._marks[entry.path] = _mark(entry)
        return complaints

    async def harvest(self, remembered: Remembered, shelf: Shelf, *, written: Iterable[str] = ()) -> Harvest:
        """Keep what is new or different since the last look. written: paths of which the sandbox said so.

        Raises SandboxGoneError.
        """
        said = set(written)
        self._half -= said
        entries = {entry.path: entry for entry in await self._box.list() if entry.path not in self._half}
        if self._there is None:
            self._recognise(entries.values(), remembered)
        known = {file.path: file for file in remembered.files}
        news = [e for path, e in entries.items() if path in said or self._marks.get(path) != _mark(e)]
        made: list[Held] = []
        n_bytes = n_left = 0
        for entry in news:
            n_bytes += entry.size_bytes
            if len(made) >= MAX_KEPT or n_bytes > MAX_KEPT_BYTES:
                n_left += 1
            elif file := await self._keep(
                entry,
                known.get(entry.path),
                shelf,
                is_written=entry.path in said,
                max_bytes=MAX_KEPT_BYTES - n_bytes + entry.size_bytes,
            ):
                made.append(file)
                n_bytes += max(0, file.size_bytes - entry.size_bytes)  # it may have grown since it was listed
        gone = () if len(entries) >= _MAX_LISTED else known.keys() - entries.keys() - self._refused - self._half
        self._there = set(entries)
        self._marks = {path: _mark(entry) for path, entry in entries.items()}
        return Harvest(tuple(made), tuple(sorted(gone)), n_left)

    def _recognise(self, entries: Collection[FileEntry], remembered: Remembered) -> set[str]:
        """Paths that are there. What is as it was when the session was left need not be kept again."""
        sizes = {file.path: file.size_bytes for file in remembered.files}
        for entry in entries:
            if sizes.get(entry.path) == entry.size_bytes and entry.modified_at <= remembered.synced_at:
                self._marks[entry.path] = _mark(entry)
        self._there = {entry.path for entry in entries}
        return self._there

    async def _put(self, file: Held, shelf: Shelf, there: set[str]) -> str | None:
        """Put a file in; why not, in words."""
        if file.size_bytes > self._max_bytes:
            self._refused.add(file.path)
            return f"{file.path} ({file.size_bytes:,} bytes) is not in the folder: it holds {self._max_bytes:,} bytes."
        self._half.add(file.path)
        try:
            await self._box.put(file.path, shelf.read(file))
        except SandboxGoneError:
            raise
        except AgentrtError as error:
            log.info("code.file_refused", extra={"file": file.file_id, "error": type(error).__name__})
            self._refused.add(file.path)
            return f"{file.path} is not in the folder: {error.message}"
        self._half.discard(file.path)
        there.add(file.path)
        self._marks[file.path] = _JUST_PUT
        return None

    async def _delete(self, path: str, there: set[str]) -> None:
        try:
            await self._box.delete(path)
        except FileNotFoundError:
            log.debug("code.file_gone_already", extra={"box": self._box.box_id})
        there.discard(path)

    async def _keep(
        self, entry: FileEntry, known: Held | None, shelf: Shelf, *, is_written: bool, max_bytes: int
    ) -> Held | None:
        """The file as it is kept now; None when it is what we have, or could not be read."""
        name = PurePosixPath(entry.path).name
        # What its owner has deleted comes back only when code has written it anew.
        same = None if known is None or (known.is_lost and is_written) else known.sha256
        try:
            data = self._box.read(entry.path, max_bytes=max_bytes)
            kept = await shelf.keep(name, data, unless_sha256=same)
        except SandboxGoneError:
            raise
        except (AgentrtError, FileNotFoundError) as error:
            log.info("code.file_not_kept", extra={"box": self._box.box_id, "error": type(error).__name__})
            return None
        if kept is None:
            return None
        return Held(
            path=entry.path,
            file_id=kept.file_id,
            sha256=kept.sha256,
            size_bytes=kept.size_bytes,
            name=name,
            input_id="" if known is None else known.input_id,
        )


class Folders:
    """The folders of all sandboxes that are in use here."""

    def __init__(self) -> None:
        self._folders: WeakKeyDictionary[Sandbox, Folder] = WeakKeyDictionary()

    def of(self, box: Sandbox, *, max_bytes: int) -> Folder:
        folder = self._folders.get(box)
        if folder is None:
            folder = self._folders[box] = Folder(box, max_bytes)
        return folder


_JUST_PUT: Final[Mark] = (-1, -1.0)


def _mark(entry: FileEntry) -> Mark:
    return entry.size_bytes, entry.modified_at
