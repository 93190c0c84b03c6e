"""ZIP archives: their members, read with a limit on what they may inflate to."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from agentrt.errors import ExtractionError

_MAX_BYTES = 200 * 1024 * 1024
_MAX_RATIO = 200
_RATIO_MATTERS_BYTES = 10 * 1024 * 1024
_MAX_MEMBERS = 50_000
_PIECE_BYTES = 1 << 16

_BOMB = (
    "The file is a ZIP archive that would inflate to far more than it should. It is damaged or made to do harm; "
    "if it is neither, save it anew with fewer images and split it."
)


class Archive:
    """An opened archive. What is read of it is counted, whatever its headers say."""

    def __init__(self, zipped: zipfile.ZipFile, *, size_bytes: int) -> None:
        self._zip = zipped
        self._n_left = _MAX_BYTES
        self.names = frozenset(zipped.namelist())
        _check_members(zipped.infolist(), size_bytes)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a member in pieces. Raises ExtractionError, also when there is no such member."""
        try:
            with self._zip.open(name) as member:
                yield from self._counted(member)
        except KeyError:
            raise ExtractionError("invalid_file", f"The document is incomplete: it has no part {name!r}.") from None
        except RuntimeError as error:  # zipfile's way to say that a member is encrypted
            raise _locked() from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
            raise _damaged() from error

    def read(self, name: str) -> bytes:
        """A whole member. Raises ExtractionError."""
        return b"".join(self.pieces(name))

    def _counted(self, member: IO[bytes]) -> Iterator[bytes]:
        while piece := member.read(_PIECE_BYTES):
            self._n_left -= len(piece)
            if self._n_left < 0:
                raise ExtractionError("invalid_file", _BOMB)
            yield piece


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """A file as an archive. Raises ExtractionError."""
    try:
        zipped = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        raise _damaged() from error
    with zipped:
        yield Archive(zipped, size_bytes=path.stat().st_size)


def _check_members(members: list[zipfile.ZipInfo], size_bytes: int) -> None:
    if len(members) > _MAX_MEMBERS:
        raise ExtractionError("invalid_file", _BOMB)
    # Pictures and films are not read here, and hardly shrink: what counts is what could be text.
    n_bytes = sum(member.file_size for member in members if member.filename.endswith((".xml", ".rels", ".xhtml")))
    if n_bytes > _MAX_BYTES or (n_bytes > _RATIO_MATTERS_BYTES and n_bytes > _MAX_RATIO * size_bytes):
        raise ExtractionError("invalid_file", _BOMB)
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts:
            raise ExtractionError(
                "invalid_file",
                "The document has parts whose names lead out of it (such as ../name): no program writes such a file. "
                "Upload the original.",
            )


def _locked() -> ExtractionError:
    return ExtractionError(
        "invalid_file", "The document needs a password to be opened. Remove the password and upload it again."
    )


def _damaged() -> ExtractionError:
    return ExtractionError(
        "invalid_file", "The document is damaged or cut off: it cannot be opened. Upload the original."
    )
