"""What is in a folder that people keep their documents in: which files are worth indexing, and which are left out and
why. Nothing is read but names and sizes."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

_IGNORED_FOLDERS: Final = frozenset({"CVS", "_darcs", "__pycache__", "node_modules"})
_IGNORED_NAMES: Final = frozenset({"Thumbs.db", "desktop.ini", "Icon\r"})
_UNFINISHED: Final = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".swp", ".swo", "~")
_LONGEST_NAME: Final = 480


class FoundFile(msgspec.Struct, frozen=True):
    """name: below the folder, with slashes. path: where it is read, a link resolved."""

    name: str
    path: Path
    size_bytes: int
    mtime_ns: int


class LeftOut(msgspec.Struct, frozen=True):
    """A file that somebody may miss. why: `it leads out of the folder`."""

    name: str
    why: str


class FolderView(msgspec.Struct, frozen=True):
    """files: by name. left_out: not those that nobody expects (hidden, temporary, ignored).

    is_cut: there were more files than asked for. has_unread: a folder in it could not be read. Either way what is
    missing here may be there all the same.
    """

    files: list[FoundFile]
    left_out: list[LeftOut]
    is_cut: bool = False
    has_unread: bool = False


def view_folder(
    folder: Path, *, include: Sequence[str] = (), ignore: Sequence[str] = (), limit: int = 1_000_000
) -> FolderView:
    """Look through a folder and all below. include, ignore: globs; see is_matched. Blocks.

    Links to folders are not followed: what they show of this folder is found where it is. Links to files are, within
    the folder. Raises OSError when the folder itself cannot be read.
    """
    root = folder.resolve(strict=True)
    files: list[FoundFile] = []
    left_out: list[LeftOut] = []
    unread: list[LeftOut] = []
    for entry, name in _walk(root, ignore, unread):
        if ignore and is_matched(name, ignore):
            continue
        if include and not is_matched(name, include):
            continue
        found = _look_at(entry, name, root)
        if isinstance(found, LeftOut):
            left_out.append(found)
        elif found is not None:
            if len(files) == limit:
                return FolderView(_in_order(files), left_out + unread, is_cut=True, has_unread=bool(unread))
            files.append(found)
    return FolderView(_in_order(files), left_out + unread, has_unread=bool(unread))


def is_matched(name: str, globs: Sequence[str]) -> bool:
    """Whether a path with slashes fits one of the globs.

    `*.md` and `drafts` fit names at any depth, of folders too; with a slash inside a glob is about the whole path, and
    `**` stands for any folders: `guides/**`, `**/old/*.txt`.
    """
    return any(_pattern(glob).fullmatch(name) is not None for glob in globs)


def open_file(file: FoundFile) -> BinaryIO:
    """The file for reading, unless something else has come into its place. Raises OSError."""
    number = os.open(file.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError("it is no file any more")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def is_unchanged(file: FoundFile) -> bool:
    """Whether the file still is as it was found: nobody has written to it meanwhile."""
    try:
        now = file.path.stat(follow_symlinks=False)
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (file.size_bytes, file.mtime_ns)


def _walk(root: Path, ignore: Sequence[str], unread: list[LeftOut]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every entry that is no folder and not ignored by its name. Raises OSError for the root."""
    waiting = [("", os.fspath(root))]
    while waiting:
        above, path = waiting.pop()
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not above:
                raise
            unread.append(LeftOut(above.rstrip("/"), f"the folder cannot be read: {_reason(error)}"))
            continue
        for entry in found:
            name = above + entry.name
            if _is_nothing(entry.name):
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield entry, name
            elif entry.name not in _IGNORED_FOLDERS and not is_matched(name, ignore):
                waiting.append((f"{name}/", entry.path))


def _is_nothing(name: str) -> bool:
    """Hidden, temporary, half written, or of the file manager."""
    return name.startswith((".", "~$", "#")) or name in _IGNORED_NAMES or name.lower().endswith(_UNFINISHED)


def _look_at(entry: os.DirEntry[str], name: str, root: Path) -> FoundFile | LeftOut | None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return LeftOut(name.encode(errors="backslashreplace").decode(), "its name is not UTF-8")
    if len(name) > _LONGEST_NAME:
        return LeftOut(name, f"its name is longer than {_LONGEST_NAME} characters")
    try:
        path = Path(entry.path)
        if entry.is_symlink():
            path = path.resolve(strict=True)
            if path.is_dir():
                return None
            if not path.is_relative_to(root):
                return LeftOut(name, "it is a link that leads out of the folder")
        there = path.stat(follow_symlinks=False)
    except (OSError, RuntimeError) as error:
        return LeftOut(name, _reason(error))
    if not stat.S_ISREG(there.st_mode):
        return None
    return FoundFile(name, path, there.st_size, there.st_mtime_ns)


def _in_order(files: list[FoundFile]) -> list[FoundFile]:
    return sorted(files, key=lambda file: file.name)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    body = glob.strip("/")
    start = "" if "/" in body or glob.startswith("/") else "(?:.*/)?"
    text = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", body):
        text += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(f"{start}{text}(?:/.*)?", re.DOTALL)
