"""What a FileSearch is to search in: files and folders of this machine, and texts of the program. Found, not read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from agentrt.errors import InvalidRequestError

Source: TypeAlias = str | os.PathLike[str] | tuple[str, str | bytes]
"""A file, a folder, or (name, content)."""

_MOST_FILES: Final = 100_000


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that is not searched in, as it is now. path: None for a text of the program."""

    name: str
    path: Path | None
    reason: str


@dataclass(frozen=True, slots=True)
class SearchedFile:
    """A file that is searched in. id: as citations name it. path: None for a text of the program."""

    id: str
    name: str
    path: Path | None
    size_bytes: int


class GivenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to search in. key: what it is known by from one look to the next.

    label: as the attribute `path` has it: the folder's name and the file's place below. path: None where `data` is the
    content. mtime_ns: 0 = says nothing.
    """

    key: str
    name: str
    label: str
    path: Path | None = None
    size_bytes: int
    mtime_ns: int = 0
    data: bytes = b""


class Gathered(msgspec.Struct, frozen=True):
    """files: by key. unread: beginnings of the keys of files that may be there all the same. problems: in words."""

    files: dict[str, GivenFile]
    left_out: list[FailedFile]
    unread: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check_sources(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Raises InvalidRequestError for what is no source; whether files are there is seen later."""
    names: set[str] = set()
    checked: list[Source] = []
    for source in sources:
        if isinstance(source, str | os.PathLike):
            checked.append(Path(source))
            continue
        if not (isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], str | bytes)):
            raise InvalidRequestError(
                f"FileSearch takes files, folders and (name, content), not {type(source).__name__}."
            )
        if not source[0] or source[0] in names:
            raise InvalidRequestError(f'FileSearch: each text needs a name of its own; "{source[0]}" is none.')
        names.add(source[0])
        checked.append(source)
    return tuple(checked)


def gather(sources: Sequence[Source], *, include: Sequence[str], ignore: Sequence[str]) -> Gathered:
    """Look what there is. Blocks. Raises InvalidRequestError for a path with nothing there."""
    files: dict[str, GivenFile] = {}
    left_out: list[FailedFile] = []
    unread: list[str] = []
    problems: list[str] = []
    for source in sources:
        if isinstance(source, tuple):
            data = source[1].encode(errors="replace") if isinstance(source[1], str) else source[1]
            name = source[0]
            files[f":{name}"] = GivenFile(key=f":{name}", name=name, label=name, size_bytes=len(data), data=data)
            continue
        path = Path(source)
        if path.is_dir():
            _gather_folder(path, files, left_out, unread, problems, include=include, ignore=ignore)
        elif path.is_file():
            file = _single(path)
            files.setdefault(file.key, file)
        else:
            raise InvalidRequestError(f"There is no file or folder {path} for file_search ({path.absolute()}).")
    return Gathered(files, left_out, tuple(unread), tuple(problems))


def _gather_folder(
    folder: Path,
    files: dict[str, GivenFile],
    left_out: list[FailedFile],
    unread: list[str],
    problems: list[str],
    *,
    include: Sequence[str],
    ignore: Sequence[str],
) -> None:
    from agentrt.files.folder import view_folder

    root = folder.resolve()
    try:
        view = view_folder(root, include=include, ignore=ignore, limit=_MOST_FILES)
    except OSError as error:
        problems.append(f"{folder}: {(error.strerror or str(error)).lower()}")
        unread.append(f"{root}{os.sep}")
        return
    if view.is_cut:
        problems.append(f"{folder} has more than {_MOST_FILES:,} files; the others are left out")
    if view.has_unread or view.is_cut:
        unread.append(f"{root}{os.sep}")
    left_out += [FailedFile(left.name, root / left.name, left.why) for left in view.left_out]
    for found in view.files:
        key = str(found.path)
        files.setdefault(
            key,
            GivenFile(
                key=key,
                name=found.name,
                label=f"{root.name}/{found.name}",
                path=found.path,
                size_bytes=found.size_bytes,
                mtime_ns=found.mtime_ns,
            ),
        )


def _single(path: Path) -> GivenFile:
    real = path.resolve()
    there = real.stat()
    # A name may hold bytes that are no text; nobody else has to cope with them.
    name = path.name.encode(errors="surrogateescape").decode(errors="replace")
    key = os.fspath(real).encode(errors="surrogateescape").decode(errors="backslashreplace")
    return GivenFile(key=key, name=name, label=name, path=real, size_bytes=there.st_size, mtime_ns=there.st_mtime_ns)
