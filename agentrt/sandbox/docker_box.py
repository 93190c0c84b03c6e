"""One container as a box, and everything that it is held to. See docker.py for its driver."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.boot import BOOT_COMMAND
from agentrt.sandbox.channel import Channel
from agentrt.sandbox.docker_engine import Engine
from agentrt.sandbox.seccomp import engine_profile
from agentrt.sandbox.users import give_back, keep_user

if TYPE_CHECKING:
    from docker import APIClient

LABEL: Final = "agentrt.sandbox"
OWNER_LABEL: Final = "agentrt.owner"
SPEC_LABEL: Final = "agentrt.spec"

_TMP_BYTES: Final = 64 * 1024**2
_SHM_BYTES: Final = 16 * 1024**2
# Names of files cost kernel memory that no file's removal by the out-of-memory killer gives back: without a limit of
# their own they would fill the memory of the container for good. One byte of content costs a page.
_PAGE_BYTES: Final = 4096
_MAX_NAMES: Final = 50_000
_OPEN_FILES: Final = 1024
# The owner too: where the image has such a folder, runc gives the mount the mode of that.
_MOUNT: Final = "rw,nosuid,nodev,mode=1777,uid={user},gid={user},size="
_GONE: Final = 404
_GOING: Final = 409  # its removal has begun already
_REMOVE_S: Final = 20


def spec_hash(spec: SandboxSpec, image_id: str) -> str:
    """Of everything that a running container has from its spec; another hash means that it is out of date."""
    plain = msgspec.structs.replace(spec, environment={}, pool=0, max_sessions=0, idle_s=None, life_s=None, timeout_s=0)
    environment = sorted((name, secret.reveal()) for name, secret in spec.environment.items())
    return hashlib.sha256(repr((plain, environment, image_id)).encode()).hexdigest()[:16]


def container_name(owner: str, session: str | None) -> str:
    """Where a session is written down: a label cannot be changed when a warm container is claimed, a name can."""
    return f"agentrt.{owner}.p.{secrets.token_hex(6)}" if session is None else f"agentrt.{owner}.s.{session}"


def session_of(name: str, owner: str) -> str | None:
    """The reverse: None for a container that nobody has claimed."""
    prefix = f"agentrt.{owner}.s."
    name = name.lstrip("/")
    return name[len(prefix) :] if name.startswith(prefix) else None


def create(
    client: APIClient, engine: Engine, spec: SandboxSpec, *, image: str, name: str, labels: dict[str, str], user: int
) -> str:
    """Create a container that nothing has been started in; its id. user: see users.py. Raises docker's errors."""
    answer: dict[str, Any] = client.create_container(
        image,
        list(BOOT_COMMAND),
        entrypoint=[],
        name=name,
        labels=labels,
        user=f"{user}:{user}",
        hostname="sandbox",
        working_dir="/mnt/data",
        environment=_environment(spec),
        stdin_open=True,
        tty=False,
        detach=True,  # else the SDK has stdin closed when we hang up (StdinOnce), and nobody could take over
        network_disabled=True,
        host_config=_host_config(client, engine, spec, user),
    )
    return str(answer["Id"])


def _host_config(client: APIClient, engine: Engine, spec: SandboxSpec, user: int) -> dict[str, Any]:
    from docker.types import LogConfig, Ulimit

    limits = spec.limits
    sizes = {"/tmp": _TMP_BYTES, "/mnt/data": limits.disk_bytes, "/dev/shm": _SHM_BYTES}  # noqa: S108
    mounts = {
        path: f"{_MOUNT.format(user=user)}{size},nr_inodes={min(_MAX_NAMES, size // _PAGE_BYTES)}"
        for path, size in sizes.items()
    }
    # Podman takes the path of a profile on its own disk there; its default profile stays.
    has_own_rule = engine.has_seccomp and not engine.is_podman
    rule = [f"seccomp={engine_profile()}"] if has_own_rule else []
    config: dict[str, Any] = client.create_host_config(
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", *rule],
        read_only=True,
        network_mode="none",
        ipc_mode="private",
        log_config=LogConfig(type="none", config={}),  # else every frame would be written to the engine's disk
        auto_remove=True,
        runtime=spec.runtime,
        tmpfs=mounts,
        shm_size=_SHM_BYTES,
        mem_limit=limits.memory_bytes if engine.limits_memory else None,
        memswap_limit=limits.memory_bytes if engine.limits_memory else None,
        pids_limit=limits.processes if engine.limits_processes else None,
        nano_cpus=int(limits.cpus * 1e9) if engine.limits_cpus else None,
        ulimits=[
            Ulimit(name="nofile", soft=_OPEN_FILES, hard=_OPEN_FILES),
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="fsize", soft=limits.disk_bytes, hard=limits.disk_bytes),
        ],
    )
    return config


def _environment(spec: SandboxSpec) -> dict[str, str]:
    """Built, never inherited."""
    threads = str(max(1, round(spec.limits.cpus)))
    return {
        "HOME": "/tmp",  # noqa: S108 - inside: a tmpfs of its own
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        **{name: secret.reveal() for name, secret in spec.environment.items()},
    }


class DockerBox:
    """A running container."""

    def __init__(self, client: APIClient, container: str, channel: Channel, *, owner: str, user: int) -> None:
        self.box_id = container
        self.channel = channel
        self._client = client
        self._owner = owner
        self._user = user

    async def claim(self, session: str) -> None:
        """Rename it. A container that has the name already is left over: it goes."""
        await asyncio.to_thread(self._rename, container_name(self._owner, session))

    def _rename(self, name: str) -> None:
        from docker.errors import APIError

        try:
            try:
                self._client.rename(self.box_id, name)
            except APIError as error:
                if error.status_code != 409:
                    raise
                remove(self._client, name)
                self._client.rename(self.box_id, name)
        except OSError as error:  # the engine's own and those of the way to it
            raise SandboxError(
                f"The container engine refused: {getattr(error, 'explanation', None) or error}"
            ) from None

    async def last_words(self) -> str:
        return self.channel.stderr

    async def kill(self) -> None:
        self.channel.close()
        await asyncio.shield(asyncio.to_thread(remove, self._client, self.box_id))
        give_back(self._user)

    def detach(self) -> None:
        self.channel.close()


def keep_user_of(client: APIClient, container: str) -> int:
    """The user of a container that was found, from now on in use."""
    user = int(str(client.inspect_container(container)["Config"]["User"]).partition(":")[0])
    keep_user(user)
    return user


def remove(client: APIClient, container: str) -> None:
    """Kill and remove it; nothing happens when it is gone. Answers when it is, and its name is free again.

    The engine removes it by itself as well, as soon as it has ended (AutoRemove): then it only says that it is at it.
    """
    from docker.errors import APIError

    try:
        client.remove_container(container, force=True)
    except APIError as error:
        if error.status_code == _GOING:
            with suppress(OSError):  # gone meanwhile; or it takes for ever, and nobody here can do more about it
                client.wait(container, timeout=_REMOVE_S, condition="removed")
        elif error.status_code != _GONE:
            raise
