"""What monty asks its host for: /mnt/data, as files in the kernel's memory with limits, and time to sleep.

Monty's own answers (`OSAccess`) know no limit, copy a file for each piece that is written, and sleep to the end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from pydantic_monty import AbstractOS, MontyFileHandle, StatResult

ROOT: Final = PurePosixPath("/mnt/data")
MAX_ENTRIES: Final = 10_000
_MAX_PATH_BYTES: Final = 200


class QuotaFiles(AbstractOS):
    """Answers for the code's thread and for the host's requests at the same time.

    versions: of each file, ascending. is_stopped: set, it ends a sleep; the worker is killed then, too.
    """

    def __init__(self, max_bytes: int) -> None:
        self.versions: dict[PurePosixPath, int] = {}
        self.is_stopped = threading.Event()
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._contents: dict[PurePosixPath, bytearray] = {}
        self._folders: set[PurePosixPath] = {ROOT, *ROOT.parents}
        self._n_writes = 0
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[tuple[PurePosixPath, int]]:
        """Each file with its size."""
        with self._lock:
            return iter([(path, len(content)) for path, content in self._contents.items()])

    def write(self, path: PurePosixPath, data: bytes, *, at: int | None) -> None:
        """Put data at a place of a file that is there, or make one anew (None). Raises OSError."""
        with self._lock:
            self._check_place(path)
            old = self._contents.get(path)
            end = len(data) if at is None or old is None else max(len(old), at + len(data))
            n_more = end - (len(old) if old else 0)
            if self._n_bytes + n_more > self._max_bytes:
                raise OSError(f"[Errno 28] No space left on device: {str(path)!r}")
            if old is None or at is None:
                self._contents[path] = bytearray(data)
            else:
                old.extend(bytes(max(0, at - len(old))))
                old[at : at + len(data)] = data
            self._n_bytes += n_more
            self._touch(path)

    def read(self, path: PurePosixPath, *, start: int = 0, size: int | None = None) -> bytes:
        """Raises FileNotFoundError or IsADirectoryError."""
        with self._lock:
            content = self._file(path)
            return bytes(content[start : None if size is None else start + size])

    def remove(self, path: PurePosixPath) -> None:
        """Raises FileNotFoundError or IsADirectoryError."""
        with self._lock:
            self._n_bytes -= len(self._file(path))
            del self._contents[path]
            del self.versions[path]

    def path_exists(self, path: PurePosixPath) -> bool:
        return path in self._contents or path in self._folders

    def path_is_file(self, path: PurePosixPath) -> bool:
        return path in self._contents

    def path_is_dir(self, path: PurePosixPath) -> bool:
        return path in self._folders

    def path_is_symlink(self, path: PurePosixPath) -> bool:
        return False

    def path_open(self, path: PurePosixPath, mode: str) -> MontyFileHandle:
        handle = MontyFileHandle(str(path), mode)
        with self._lock:
            if handle.mode[0] == "r":
                self._file(path)
            elif handle.mode[0] == "w" or path not in self._contents:
                self.write(path, b"", at=None)
        return handle

    def path_read_text(self, path: PurePosixPath | MontyFileHandle) -> str:
        return self.read(_path(path)).decode()

    def path_read_bytes(self, path: PurePosixPath | MontyFileHandle) -> bytes:
        return self.read(_path(path))

    def path_write_text(self, path: PurePosixPath | MontyFileHandle, data: str) -> int:
        self.write(_path(path), data.encode(), at=None)
        return len(data)

    def path_write_bytes(self, path: PurePosixPath | MontyFileHandle, data: bytes) -> int:
        self.write(_path(path), data, at=None)
        return len(data)

    def path_append_text(self, path: PurePosixPath | MontyFileHandle, data: str) -> int:
        self._append(_path(path), data.encode())
        return len(data)

    def path_append_bytes(self, path: PurePosixPath | MontyFileHandle, data: bytes) -> int:
        self._append(_path(path), data)
        return len(data)

    def path_mkdir(self, path: PurePosixPath, parents: bool, exist_ok: bool) -> None:
        with self._lock:
            if path in self._folders and exist_ok:
                return
            if self.path_exists(path):
                raise FileExistsError(f"[Errno 17] File exists: {str(path)!r}")
            if parents:
                for parent in reversed(path.parents):
                    if parent not in self._folders:
                        self._make_folder(parent)
            self._make_folder(path)

    def path_unlink(self, path: PurePosixPath) -> None:
        self.remove(path)

    def path_rmdir(self, path: PurePosixPath) -> None:
        with self._lock:
            if path not in self._folders:
                raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
            if path == ROOT or ROOT.is_relative_to(path) or self.path_iterdir(path):
                raise OSError(f"[Errno 39] Directory not empty: {str(path)!r}")
            self._folders.remove(path)

    def path_iterdir(self, path: PurePosixPath) -> list[PurePosixPath]:
        with self._lock:
            if path not in self._folders:
                raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
            return sorted(entry for entry in (*self._contents, *self._folders) if entry.parent == path != entry)

    def path_stat(self, path: PurePosixPath) -> StatResult:
        with self._lock:
            if path in self._folders:
                return StatResult.dir_stat(mtime=0.0)
            return StatResult.file_stat(len(self._file(path)), mtime=0.0)

    def path_rename(self, path: PurePosixPath, target: PurePosixPath) -> None:
        """Files only: a folder is made anew where it is wanted."""
        with self._lock:
            self._file(path)
            self._check_place(target)
            if target in self._contents and target != path:
                self.remove(target)
            self._contents[target] = self._contents.pop(path)
            del self.versions[path]
            self._touch(target)

    def path_resolve(self, path: PurePosixPath) -> str:
        return self.path_absolute(path)

    def path_absolute(self, path: PurePosixPath) -> str:
        return str(path if path.is_absolute() else ROOT / path)

    def sleep(self, seconds: float) -> None:
        if self.is_stopped.wait(max(0.0, min(seconds, threading.TIMEOUT_MAX))):
            raise TimeoutError("stopped")

    def getenv(self, key: str, default: str | None = None) -> str | None:
        return default

    def get_environ(self) -> dict[str, str]:
        return {}

    def _append(self, path: PurePosixPath, data: bytes) -> None:
        with self._lock:
            self.write(path, data, at=len(self._contents.get(path, b"")))

    def _file(self, path: PurePosixPath) -> bytearray:
        if path in self._folders:
            raise IsADirectoryError(f"[Errno 21] Is a directory: {str(path)!r}")
        if path not in self._contents:
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
        return self._contents[path]

    def _check_place(self, path: PurePosixPath) -> None:
        """Whether a file may be there."""
        if path in self._folders:
            raise IsADirectoryError(f"[Errno 21] Is a directory: {str(path)!r}")
        if path not in self._contents:
            self._check_entry(path)

    def _make_folder(self, path: PurePosixPath) -> None:
        if path in self._contents:
            raise NotADirectoryError(f"[Errno 20] Not a directory: {str(path)!r}")
        self._check_entry(path)
        self._folders.add(path)

    def _check_entry(self, path: PurePosixPath) -> None:
        if not path.is_relative_to(ROOT) or ".." in path.parts:
            raise PermissionError(f"[Errno 13] Permission denied: {str(path)!r}")
        if path.parent not in self._folders:
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
        if len(str(path).encode("utf-8", "surrogatepass")) > _MAX_PATH_BYTES:
            raise OSError(f"[Errno 36] File name too long: {str(path)[:_MAX_PATH_BYTES]!r}")
        if len(self._contents) + len(self._folders) >= MAX_ENTRIES:
            raise OSError(f"[Errno 28] No space left on device: {str(path)!r}")

    def _touch(self, path: PurePosixPath) -> None:
        self._n_writes += 1
        self.versions[path] = self._n_writes


def _path(path: PurePosixPath | MontyFileHandle) -> PurePosixPath:
    return PurePosixPath(path.path) if isinstance(path, MontyFileHandle) else PurePosixPath(path)
