"""A container engine that speaks Docker's API, found and asked what it can: Docker, Podman, Docker Desktop, Colima.

Everything here blocks: call it in a thread. The `docker` package is imported when an engine is first looked for.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agentrt.config.environment import process_environment
from agentrt.errors import SandboxError

if TYPE_CHECKING:
    from docker import APIClient

_TIMEOUT_S: Final = 60
_DEFAULT_URL: Final = "unix:///var/run/docker.sock"


class NoEngineError(SandboxError):
    """No engine answers. The message is what was tried and why it did not work."""


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine says of itself. detail: for people. limits_memory, …: what it really holds containers to."""

    url: str
    detail: str
    is_podman: bool
    limits_memory: bool
    limits_processes: bool
    limits_cpus: bool
    has_seccomp: bool
    runtimes: tuple[str, ...]


def connect(url: str | None = None) -> tuple[APIClient, Engine]:
    """A client of the first engine that answers: url, else DOCKER_HOST, else the usual places.

    Raises NoEngineError with what was tried.
    """
    failures: list[str] = []
    for place, kwargs in _places(url, process_environment()):
        if why := _nobody_listens(place):
            failures.append(f"cannot connect to {place}: {why}")
            continue
        import docker.errors

        try:
            client = docker.APIClient(version="auto", timeout=_TIMEOUT_S, **kwargs)
        except (docker.errors.DockerException, OSError) as error:
            failures.append(f"cannot connect to {place}: {_reason(error)}")
            continue
        return client, _ask(client, place)
    raise NoEngineError("; ".join(failures))


@contextmanager
def engine() -> Iterator[APIClient]:
    """A client for the length of the block, which may raise the SDK's errors: they leave it as SandboxError.

    Raises NoEngineError.
    """
    client, _ = connect()
    from docker.errors import DockerException

    try:
        yield client
    except DockerException as error:
        raise refusal(error) from error
    finally:
        client.close()


def refusal(error: Exception) -> SandboxError:
    """An error of the SDK's in our words."""
    return SandboxError(f"The container engine refused: {getattr(error, 'explanation', None) or error}")


def _nobody_listens(place: str) -> str | None:
    """Why nobody answers at a Unix socket; None for one that answers, and for other places.

    Asked before the SDK is: it takes half a second to import, and leaves a socket open where it cannot connect.
    """
    path = place.removeprefix("unix://")
    if path == place:
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
    return None


def _places(url: str | None, environ: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where engines are, in the order of who was meant most plainly, with the arguments for a client."""
    if url is not None:
        yield url, {"base_url": url}
        return
    if environ.get("DOCKER_HOST"):
        from docker.utils import kwargs_from_env

        yield environ["DOCKER_HOST"], dict(kwargs_from_env(environment=dict(environ)))
        return
    context = _context_url(environ)
    if context:
        yield context, {"base_url": context}
    yield _DEFAULT_URL, {"base_url": _DEFAULT_URL}
    if environ.get("XDG_RUNTIME_DIR"):
        podman = Path(environ["XDG_RUNTIME_DIR"]) / "podman" / "podman.sock"
        if podman.exists():
            yield f"unix://{podman}", {"base_url": f"unix://{podman}"}


def _context_url(environ: Mapping[str, str]) -> str | None:
    """The engine that `docker context use` has chosen (Docker Desktop and Colima do), if it needs no certificate."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")
    name = environ.get("DOCKER_CONTEXT") or _json(folder / "config.json").get("currentContext")
    if not name or name == "default":
        return None
    for file in folder.glob("contexts/meta/*/meta.json"):
        meta = _json(file)
        if meta.get("Name") == name:
            host = meta.get("Endpoints", {}).get("docker", {}).get("Host")
            return str(host) if host else None
    return None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ask(client: APIClient, place: str) -> Engine:
    info, version = client.info(), client.version()
    components = [str(component.get("Name", "")) for component in version.get("Components") or []]
    is_podman = any("podman" in name.lower() for name in components)
    name = "Podman" if is_podman else "Docker"
    cgroup = info.get("CgroupVersion") or "1"
    options = [str(option).lower() for option in info.get("SecurityOptions") or []]
    extras = [word for word in ("rootless", "userns") if any(f"name={word}" in option for option in options)]
    detail = f"{name} {version.get('Version', '')}, {info.get('DefaultRuntime') or 'runc'}, cgroup v{cgroup}"
    return Engine(
        url=place,
        detail=", ".join([detail, *extras]),
        is_podman=is_podman,
        limits_memory=bool(info.get("MemoryLimit", True)),
        limits_processes=bool(info.get("PidsLimit", True)),
        limits_cpus=bool(info.get("CpuCfsQuota", info.get("CPUCfsQuota", True))),
        has_seccomp=any("seccomp" in option for option in options),
        runtimes=tuple(info.get("Runtimes") or ()),
    )


def _reason(error: BaseException) -> str:
    """The innermost cause in words: docker-py wraps a socket's error four times over."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return str(seen)
        if isinstance(seen, OSError) and seen.errno:
            return os.strerror(seen.errno)
        seen = seen.__cause__ or seen.__context__
    return str(error)[:200]
