"""A Docker engine for tests: Debian's `docker.io`, started on a socket of its own, and the project's image built on it.

The engine touches nothing of the machine's: no bridge, no iptables, its own socket, state and containers; it ends with
the process that started it. What it has built stays in `~/.cache/agentrt-tests`, so only the first start is slow: the
base image (2.5 s) comes from this machine's interpreter and the wheels from pip, so no registry is asked. Where
`dockerd` cannot be started, an engine that runs already is used; where there is none, `leave_out` names the reason.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from tests.base_image import CHANGES, interpreter_key, write_base
from tests.compat.performance import leave_out

CACHE = Path.home() / ".cache" / "agentrt-tests"
SANDBOX = Path(__file__).resolve().parents[1] / "sandboxes" / "python"

_START_S = 60.0
_STOP_S = 20.0
_N_DOWNLOADS = 3
# For a machine whose init mounts none, as few containers' and small machines' do: the new kind where it has what is
# needed, the old kind otherwise. In a mount namespace of its own, so that it is gone with the engine.
_MOUNT_CGROUPS = """
mount -t cgroup2 none /sys/fs/cgroup
if ! grep -qw memory /sys/fs/cgroup/cgroup.controllers; then
    umount /sys/fs/cgroup
    mount -t tmpfs -o mode=755 none /sys/fs/cgroup
    for name in $(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups); do
        mkdir "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" none "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
    done
fi
exec "$@"
"""
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class DockerEngine:
    """An engine that answers. url is what DOCKER_HOST would be."""

    url: str

    def client(self) -> Any:
        """A low-level client, for the caller to close."""
        return docker.APIClient(self.url, version="auto", timeout=600)


@contextmanager
def running_engine() -> Iterator[DockerEngine]:
    """Start an engine of our own, or find one. Skips the test (in CI: fails it) where there is none."""
    reason = _why_not_our_own()
    with ExitStack() as stack:
        if reason is None:
            yield stack.enter_context(_our_own_engine())
        elif (engine := _engine_that_runs()) is not None:
            yield engine
        else:
            leave_out(f"no Docker engine: none runs here, and none can be started ({reason})")


def sandbox_image(engine: DockerEngine, folder: Path = SANDBOX) -> str:
    """The image of a sandbox folder, built unless it is there already. Its tag.

    On Linux it stands on this machine's interpreter; elsewhere on what the Dockerfile names, from its registry.
    """
    client = engine.client()
    try:
        key = hashlib.sha256(interpreter_key().encode())
        base = f"agentrt-tests-base:{key.hexdigest()[:16]}" if sys.platform == "linux" else None
        # Not the kernel's sources: they are not in the image.
        for path in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"):
            key.update(path.name.encode() + b"\0" + path.read_bytes())
        tag = f"agentrt-tests-{folder.name}:{key.hexdigest()[:16]}"
        if not _has_image(client, tag):
            if base is not None and not _has_image(client, base):
                _import_base(client, base)
            _build(client, folder, base=base, tag=tag)
            _forget_others(client, *filter(None, (base, tag)))
        return tag
    finally:
        client.close()


def _why_not_our_own() -> str | None:
    if sys.platform != "linux":
        return "only Linux has dockerd"
    if os.geteuid() != 0:
        return "only root can start dockerd"
    if shutil.which("dockerd") is None:
        return "dockerd is not installed: apt install docker.io"
    return None


def _engine_that_runs() -> DockerEngine | None:
    engine = DockerEngine(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")  # noqa: TID251
    if engine.url.startswith("unix:") and not _answers(engine.url.removeprefix("unix://")):
        return None
    try:
        engine.client().close()
    except DockerException:
        return None
    return engine


@contextmanager
def _our_own_engine() -> Iterator[DockerEngine]:
    with ExitStack() as stack:
        name, data = stack.enter_context(_free_slot())
        # Short: the path of a Unix socket has 108 bytes at most.
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="agentrt-docker-", ignore_cleanup_errors=True))
        )
        engine = DockerEngine(f"unix://{folder}/docker.sock")
        log = stack.enter_context((folder / "log").open("wb"))
        command = [
            *([] if _has_cgroups() else ["unshare", "--mount", "sh", "-c", _MOUNT_CGROUPS, "sh"]),
            "dockerd",
            f"--host={engine.url}",
            f"--data-root={data}",
            f"--exec-root={folder}/exec",
            f"--pidfile={folder}/pid",
            f"--containerd-namespace={name}",
            f"--containerd-plugins-namespace={name}-plugins",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--shutdown-timeout=1",
        ]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        stack.callback(_stop, process)
        _wait_until_it_answers(engine, process, folder / "log")
        yield engine


@contextmanager
def _free_slot() -> Iterator[tuple[str, Path]]:
    """A folder for an engine's images that no other engine uses now."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for n in itertools.count():
        with (CACHE / f"docker-{n}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"agentrt-tests-{n}", CACHE / f"docker-{n}"
            return


def _has_cgroups() -> bool:
    return any(line.split()[2].startswith("cgroup") for line in Path("/proc/mounts").read_text().splitlines())


def _die_with_parent() -> None:
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _wait_until_it_answers(engine: DockerEngine, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(engine.url.removeprefix("unix://")):
            return
        time.sleep(0.05)
    leave_out(f"dockerd does not start here:\n{log.read_text(errors='replace')[-3000:]}")


def _answers(path: str) -> bool:
    """A socket of our own: the SDK leaves one open for each attempt that fails."""
    with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
        sock.settimeout(5)
        sock.connect(path)
        sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return sock.recv(12).endswith(b"200")
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _has_image(client: Any, tag: str) -> bool:
    try:
        client.inspect_image(tag)
    except ImageNotFound:
        return False
    return True


def _forget_others(client: Any, *tags: str) -> None:
    """Remove the images of earlier Dockerfiles: the cache would grow for ever."""
    for tag in tags:
        for image in client.images(name=tag.partition(":")[0]):
            for other in set(image["RepoTags"] or ()) - set(tags):
                with suppress(DockerException):
                    client.remove_image(other)


def _import_base(client: Any, tag: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder) / "base.tar"
        write_base(tar)
        repository, _, version = tag.partition(":")
        client.import_image(str(tar), repository=repository, tag=version, changes=list(CHANGES))


def _build(client: Any, folder: Path, *, base: str | None, tag: str) -> None:
    with tempfile.TemporaryDirectory() as context:
        shutil.copytree(folder, context, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        options: dict[str, Any] = {}
        if base is not None:
            _fetch_wheels(folder / "requirements.txt", Path(context) / "wheels")
            options = {"buildargs": {"BASE": base}, "network_mode": "none"}
        lines = client.build(path=context, tag=tag, rm=True, forcerm=True, decode=True, **options)
        said = [str(line.get("stream") or line.get("error") or "") for line in lines]
    if not _has_image(client, tag):
        raise RuntimeError(f"the image was not built:\n{''.join(said)[-4000:]}")


def _fetch_wheels(requirements: Path, folder: Path) -> None:
    kept = CACHE / "wheels" / hashlib.sha256(requirements.read_bytes() + interpreter_key().encode()).hexdigest()[:16]
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=_made(CACHE / "wheels")) as fresh:
            _download(requirements, Path(fresh) / "wheels")
            with suppress(OSError):  # another process was faster
                Path(fresh, "wheels").rename(kept)
    shutil.copytree(kept, folder)


def _download(requirements: Path, folder: Path) -> None:
    """By pip, which tries each file several times itself; not so when it cannot reach the index at all."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
    for n in range(_N_DOWNLOADS):
        time.sleep(5 * n)
        command = [*pip, "-d", str(folder), "-r", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode == 0:
            return
    raise RuntimeError(f"pip could not download what {requirements} names:\n{done.stderr[-2000:]}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
