"""What is remembered of a code session beside its sandbox: who had it, and its files, each kept as a File.

The port. Its driver on the database is stored_shelf.py, the one in memory memory_shelf.py; what a sandbox's folder
really holds is folder.py's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Collection, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple, Protocol

import msgspec

from agentrt.engine.spec import RunSpec
from agentrt.sandbox.paths import MAX_PATH_BYTES, is_safe_path

_NAME_BYTES: Final = MAX_PATH_BYTES - 20  # room for the number that tells two files of one name apart


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A file that belongs in a session's folder. name: what its owner calls it; its path is another if that was taken.

    file_id: what it is stored as; is_lost: its owner has deleted that. input_id: the file of the thread or its
    assistant that stood here first, "" = code wrote it.
    """

    path: str
    file_id: str
    sha256: str
    size_bytes: int
    name: str
    input_id: str = ""
    is_lost: bool = False

    @property
    def is_input(self) -> bool:
        """As it was given, not written by code since."""
        return self.file_id == self.input_id


class Kept(NamedTuple):
    """What a file's bytes were stored as."""

    file_id: str
    sha256: str
    size_bytes: int


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it was left. box_id: its sandbox, "" = it had none yet. is_ours: no other process had it since.

    synced_at: up to when `files` is what the folder held, Unix seconds.
    """

    box_id: str = ""
    is_ours: bool = True
    synced_at: float = 0.0
    files: tuple[Held, ...] = ()


class Shelf(Protocol):
    """Of one session."""

    async def open(self, spec: RunSpec | None) -> Remembered:
        """What is remembered; new files of the run's thread and assistant get their places. None: no new files."""
        ...

    def read(self, file: Held) -> AsyncGenerator[bytes, None]:
        """A file's bytes, in pieces. Raises NotFoundError when it was deleted, UnavailableError when they are gone."""
        ...

    async def keep(self, name: str, data: AsyncIterable[bytes], *, unless_sha256: str | None = None) -> Kept | None:
        """Make bytes a file; None when they are those of this hash. Raises UnavailableError when there is no room."""
        ...

    async def remember(self, box_id: str, *, made: Sequence[Held] = (), gone: Collection[str] = ()) -> None:
        """The session has this sandbox now; code wrote these files and deleted those paths."""
        ...


async def one_piece(data: bytes) -> AsyncGenerator[bytes, None]:
    """Bytes as a file that comes in pieces."""
    yield data


def free_path(filename: str, taken: Collection[str]) -> str:
    """Where a file stands: under its own name, made safe if it must be, with a number when that is taken."""
    stem, suffix = _safe(filename)
    path, n = stem + suffix, 2
    while path in taken:
        path, n = f"{stem}-{n}{suffix}", n + 1
    return path


def _safe(filename: str) -> tuple[str, str]:
    """A file's name in two halves, short enough and without anything that may not stand in a path."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(char for char in name if is_safe_path(f"a{char}a")).strip().lstrip("-").strip()
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > _NAME_BYTES // 2:
        suffix = ""
    stem = name[: len(name) - len(suffix)] if suffix else name
    stem = stem.encode()[: _NAME_BYTES - len(suffix.encode())].decode(errors="ignore").strip()
    return (stem, suffix) if is_safe_path(stem + suffix) else ("file", "")
