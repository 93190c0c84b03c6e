"""A base image for `sandboxes/*/Dockerfile` without a registry: this machine's Python as a tar for `docker import`.

In it: the interpreter that runs the tests, moved to /usr/local with its standard library; the shared libraries that
it, its extension modules and manylinux wheels load; pip; a shell and a few commands; the CA file. Not in it: headers,
the interpreter's own tests, Tk, and anything that was installed beside the interpreter.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
COMMANDS = ("sh", "cat", "cp", "env", "false", "id", "ls", "mkdir", "mount", "rm", "sleep", "true", "uname")
# What the manylinux standard lets every wheel take for granted; the second line is empty shells since glibc 2.34.
WHEEL_LIBRARIES = (
    *("libstdc++.so.6", "libgcc_s.so.1", "libm.so.6"),
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"),
)
CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
CHANGES = ("ENV PATH=/usr/local/bin:/usr/bin", "ENV LANG=C.UTF-8", 'CMD ["python3"]')

_STDLIB = Path(os.__file__).parent
_LEFT_OUT = {
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "ensurepip",
}
_ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
_PIP = "#!/usr/local/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"


def write_base(path: Path) -> None:
    """Write the tar (about 100 MB) to path. Raises FileNotFoundError when a library or pip is missing here."""
    with tarfile.open(path, "w") as tar:
        for name in ("tmp", "var/tmp"):
            _add_folder(tar, name, mode=0o1777)
        for name in ("root", "proc", "sys", "dev", "usr/bin", "usr/lib", "usr/lib64", "usr/local/bin"):
            _add_folder(tar, name)
        for name in ("bin", "lib", "lib64"):
            _add_link(tar, name, f"usr/{name}")
        _add_python(tar)
        binaries = list(_add_commands(tar))
        _add_libraries(tar, [Path(sys._base_executable), *binaries, *_extension_modules()])  # type: ignore[attr-defined]
        for name, text in _ETC.items():
            _add_text(tar, name, text)
        for name in CA_FILES:
            if Path(name).exists():
                tar.add(Path(name).resolve(), CA_FILES[0].lstrip("/"))
                break


def interpreter_key() -> str:
    """What the tar depends on, as one line."""
    return f"{sys.version} {sys.base_prefix} {Path(os.__file__).stat().st_mtime_ns} {Path(__file__).read_text()}"


def _add_python(tar: tarfile.TarFile) -> None:
    tar.add(Path(sys._base_executable).resolve(), f"usr/local/bin/{VERSION}")  # type: ignore[attr-defined]
    _add_link(tar, "usr/local/bin/python3", VERSION)
    _add_link(tar, "usr/local/bin/python", VERSION)
    tar.add(_STDLIB, f"usr/local/lib/{VERSION}", filter=_only_what_runs)
    # Debian's interpreter looks for packages elsewhere than everybody's.
    packages = "dist-packages" if "dist-packages" in (_STDLIB / "site.py").read_text() else "site-packages"
    pip = importlib.util.find_spec("pip")
    if pip is None or pip.origin is None:
        raise FileNotFoundError(f"{sys.executable} has no pip")
    for folder in (Path(pip.origin).parent, *Path(pip.origin).parents[1].glob("pip-*.dist-info")):
        tar.add(folder, f"usr/local/lib/{VERSION}/{packages}/{folder.name}", filter=_only_what_runs)
    _add_text(tar, "usr/local/bin/pip", _PIP, mode=0o755)


def _only_what_runs(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = entry.name.rsplit("/", 1)[-1]
    if name in _LEFT_OUT or name.startswith(("config-", "_tkinter", "EXTERNALLY-MANAGED")) or ".opt-" in name:
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _extension_modules() -> Iterator[Path]:
    return (path for path in (_STDLIB / "lib-dynload").glob("*.so") if not path.name.startswith("_tkinter"))


def _add_commands(tar: tarfile.TarFile) -> Iterator[Path]:
    for name in COMMANDS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found is None:
            raise FileNotFoundError(f"no command {name} here")
        tar.add(Path(found).resolve(), f"usr/bin/{name}")
        yield Path(found).resolve()


def _add_libraries(tar: tarfile.TarFile, binaries: Iterable[Path]) -> None:
    libraries, loader = _closure(binaries)
    # One folder for all: the loader searches the C library's own without being told.
    folder = _in_usr(libraries["libc.so.6"].parent)
    for name in WHEEL_LIBRARIES:
        libraries.setdefault(name, libraries["libc.so.6"].parent / name)
    for name, path in sorted(libraries.items()):
        tar.add(path.resolve(), f"{folder}/{name}")
    tar.add(loader.resolve(), _in_usr(loader))


def _closure(binaries: Iterable[Path]) -> tuple[dict[str, Path], Path]:
    """All shared libraries that the binaries load, by name, and the loader."""
    said = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=True, timeout=60).stdout
    libraries = {name: Path(path) for name, path in re.findall(r"^\s+(\S+) => (/\S+)", said, re.MULTILINE)}
    loaders = re.findall(r"^\s+(/\S+/ld-\S+)", said, re.MULTILINE)
    if "libc.so.6" not in libraries or not loaders:
        raise FileNotFoundError(f"this machine's interpreter does not use the GNU C library:\n{said}")
    return libraries, Path(loaders[0])


def _in_usr(path: Path) -> str:
    """/lib/x → usr/lib/x: the image has /lib only as a link."""
    name = str(path).lstrip("/")
    return name if name.startswith("usr/") else f"usr/{name}"


def _add_folder(tar: tarfile.TarFile, name: str, *, mode: int = 0o755) -> None:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = mode
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.SYMTYPE
    entry.linkname = target
    tar.addfile(entry)


def _add_text(tar: tarfile.TarFile, name: str, text: str, *, mode: int = 0o644) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = mode
    tar.addfile(entry, io.BytesIO(data))
