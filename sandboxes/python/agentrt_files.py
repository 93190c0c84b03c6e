"""The files of a sandbox: a folder that the code inside writes and the host reads and fills.

Whatever lies there is the code's doing: links, pipes and devices are never followed or opened, and a path is walked
part by part from the folder itself. Stdlib only; runs in the box, see runner.py.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from agentrt_frames import Frame

MAX_SCANNED = 10_000
MAX_DEPTH = 16
MAX_REPORTED = 200
MAX_REPORTED_BYTES = 100 * 1024 * 1024
_MAX_PATH_BYTES = 200
_PIECE = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """code: not_found, refused (not a plain file, or a name that climbs), full, failed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Mark(NamedTuple):
    """What tells one state of a file from another."""

    mtime_ns: int
    size: int
    inode: int


class Files:
    """The plain files below a folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._known: dict[str, Mark] = {}

    def listing(self) -> list[tuple[str, Mark]]:
        """Every plain file by path, at most MAX_SCANNED of them."""
        found = []
        for path, mark in self._walk():
            found.append((path, mark))
            if len(found) >= MAX_SCANNED:
                break
        return found

    def learn(self) -> None:
        """Take what there is now as known."""
        self._known = dict(self.listing())

    def changed(self) -> list[tuple[str, int, str]]:
        """(path, size, SHA-256) of what is new or different since the last time, and learn it."""
        before, self._known = self._known, dict(self.listing())
        news: list[tuple[str, int, str]] = []
        n_bytes = 0
        for path, mark in self._known.items():
            if before.get(path) == mark:
                continue
            n_bytes += mark.size
            if len(news) >= MAX_REPORTED or n_bytes > MAX_REPORTED_BYTES:
                break
            digest = self._digest(path, mark.size)
            if digest is not None:
                news.append((path, mark.size, digest))
        return news

    def read(self, path: str, offset: int, size: int) -> tuple[bytes, int]:
        """At most size bytes from offset, and the file's whole size."""
        fd = self._open(path, os.O_RDONLY)
        try:
            whole = os.fstat(fd).st_size
            return os.pread(fd, min(size, _PIECE), offset), whole
        finally:
            os.close(fd)

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write a piece; the one at 0 makes the file anew, with the folders above it."""
        flags = os.O_WRONLY | (os.O_CREAT | os.O_EXCL if offset == 0 else 0)
        if offset == 0:
            self._make_folders(path)
            self._unlink(path)
        fd = self._open(path, flags)
        try:
            while data:
                n_written = os.pwrite(fd, data, offset)
                data, offset = data[n_written:], offset + n_written
            self._known[path] = _mark(os.fstat(fd))
        except OSError as error:
            raise _refusal(error) from None
        finally:
            os.close(fd)

    def delete(self, path: str) -> None:
        self._unlink(path, missing_ok=False)
        self._known.pop(path, None)

    def answer(self, kind: str, frame: Frame, raw: bytes) -> tuple[str, Frame, bytes | None]:
        """Do what a frame of the host asks: the answer's kind, fields and raw bytes. Raises Refused."""
        path, offset = str(frame.get("path", "")), int(frame.get("offset", 0))
        if kind == "put":
            self.write(path, offset, raw)
        elif kind == "del":
            self.delete(path)
        elif kind == "get":
            data, size = self.read(path, offset, int(frame["size"]))
            return "data", {"size": size}, data
        elif kind == "list":
            entries = [{"path": path, "size": mark.size, "mtime": mark.mtime_ns} for path, mark in self.listing()]
            return "files", {}, json.dumps(entries).encode()
        else:
            raise Refused("unknown", "no such request")
        return "ok", {}, None

    def _walk(self) -> Iterator[tuple[str, Mark]]:
        folders = [("", 0)]
        while folders:
            folder, depth = folders.pop()
            try:
                with os.scandir(os.path.join(self.root, folder)) as scan:
                    entries = sorted(islice(scan, MAX_SCANNED), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                path = folder + "/" + entry.name if folder else entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                    folders.append((path, depth + 1))
                elif stat.S_ISREG(status.st_mode) and is_good_path(path):
                    yield path, _mark(status)

    def _digest(self, path: str, size: int) -> str | None:
        digest = hashlib.sha256()
        try:
            fd = self._open(path, os.O_RDONLY)
        except Refused:
            return None
        try:
            while size > 0:
                piece = os.read(fd, min(size, _PIECE))
                if not piece:
                    break
                digest.update(piece)
                size -= len(piece)
        except OSError:
            return None
        finally:
            os.close(fd)
        return digest.hexdigest()

    def _open(self, path: str, flags: int) -> int:
        """A plain file, opened without following a link anywhere and without waiting for a pipe's other end."""
        parent, name = self._parent(path)
        try:
            fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644, dir_fd=parent)
        except OSError as error:
            raise _refusal(error) from None
        finally:
            os.close(parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Refused("refused", "not a plain file")
        return fd

    def _parent(self, path: str) -> tuple[int, str]:
        """The folder that holds path, opened part by part, and the last part."""
        if not is_good_path(path):
            raise Refused("refused", "not a path of a file here")
        *folders, name = path.split("/")
        try:
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:  # the code has taken it away, or the rights to it
            raise Refused("failed", os.strerror(error.errno or 0)) from None
        for folder in folders:
            try:
                below = os.open(folder, _FOLDER, dir_fd=fd)
            except OSError as error:
                raise _refusal(error) from None
            finally:
                os.close(fd)
            fd = below
        return fd, name

    def _make_folders(self, path: str) -> None:
        parts = path.split("/")
        for n in range(1, len(parts)):
            parent, name = self._parent("/".join(parts[:n]))
            try:
                os.mkdir(name, 0o755, dir_fd=parent)
            except FileExistsError:
                continue
            except OSError as error:
                raise _refusal(error) from None
            finally:
                os.close(parent)

    def _unlink(self, path: str, missing_ok: bool = True) -> None:
        parent, name = self._parent(path)
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            if not missing_ok:
                raise Refused("not_found", "no such file") from None
        except OSError as error:
            raise _refusal(error) from None
        finally:
            os.close(parent)


def is_good_path(path: str) -> bool:
    """Relative, in plain parts, short enough. (The host filters more: what a person must not be shown.)"""
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    parts = path.split("/")
    return 0 < size <= _MAX_PATH_BYTES and "\0" not in path and not {"", ".", ".."}.intersection(parts)


def _mark(status: os.stat_result) -> Mark:
    return Mark(status.st_mtime_ns, status.st_size, status.st_ino)


def _refusal(error: OSError) -> Refused:
    if error.errno == errno.ENOENT:
        return Refused("not_found", "no such file")
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EEXIST, errno.EMLINK):
        return Refused("refused", "not a plain file")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM):
        return Refused("full", "no room left in the sandbox")
    return Refused("failed", os.strerror(error.errno or 0))
