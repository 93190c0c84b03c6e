"""Sandboxes in containers: any engine that speaks Docker's API, through its SDK.

One hardened container per session (docker_box.py), spoken to over its attach socket: no network, no mount, no port.
The SDK blocks and is used in threads for the life cycle only; the attached socket is asyncio's.
Containers outlive this process: an owner finds his own again by label and name, and takes them over.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError, SandboxGoneError
from agentrt.sandbox import docker_box
from agentrt.sandbox.boot import boot_bytes
from agentrt.sandbox.channel import Channel
from agentrt.sandbox.docker_box import LABEL, OWNER_LABEL, SPEC_LABEL, DockerBox
from agentrt.sandbox.docker_engine import Engine, NoEngineError, connect, refusal
from agentrt.sandbox.docker_image import ensure_image, image_id, image_of
from agentrt.sandbox.docker_stream import attach
from agentrt.sandbox.driver import Available, Box, Capabilities, Left, Probe, Unavailable
from agentrt.sandbox.kernel import Kernel, KernelSettings
from agentrt.sandbox.users import give_back, take_user

if TYPE_CHECKING:
    from docker import APIClient

log = logging.getLogger(__name__)

_REMEDY: Final = "run Docker or set DOCKER_HOST"
_PROBE_S: Final = 60.0

_T = TypeVar("_T")


class DockerDriver:
    """Containers for one SandboxSpec.

    owner: who finds the containers again, `[A-Za-z0-9_.-]+`; None = nobody after this process. url: of the engine,
    None = DOCKER_HOST or the usual places.
    """

    name = "docker"

    def __init__(self, spec: SandboxSpec, *, owner: str | None = None, url: str | None = None) -> None:
        self._spec = spec
        self._owner = owner or secrets.token_hex(8)
        self._url = url
        self._opened: tuple[APIClient, Engine, str] | None = None  # the last is the image's id
        self._opening = asyncio.Lock()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(reattach=True, network=True, memory=self._opened is None or self._opened[1].limits_memory)

    async def probe(self) -> Probe:
        """Make the image if it is missing, start a container, and hear Python in it."""
        try:
            _, engine, _ = await self._open_engine()
            box = await self.open()
        except NoEngineError as error:
            return Unavailable(why=str(error), remedy=_REMEDY)
        except SandboxError as error:
            return Unavailable(why=str(error), remedy="see `agentrt sandbox build`")
        try:
            kernel = await Kernel.attach(box.channel, KernelSettings(), timeout_s=_PROBE_S)
        except SandboxGoneError as error:
            words = await box.last_words()
            return Unavailable(why=f"{error} {words}".strip(), remedy="is there a python3 in the image?")
        finally:
            await box.kill()
        return Available(detail=f"{engine.detail}, Python {kernel.hello.py}")

    async def open(self, session: str | None = None) -> Box:
        """See Driver.open. Raises SandboxError; the first one may have to make the image before."""
        client, engine, _ = await self._open_engine()
        user = take_user()

        def start() -> tuple[str, socket.socket, bytes]:
            with ExitStack() as on_failure:
                on_failure.callback(give_back, user)
                container = self._create(client, engine, session, user=user)
                on_failure.callback(docker_box.remove, client, container)
                stream, received = attach(client, container)  # before the start: nothing that is said is missed
                on_failure.callback(stream.close)
                client.start(container)
                on_failure.pop_all()
            return container, stream, received

        def undo(made: tuple[str, socket.socket, bytes]) -> None:
            made[1].close()
            docker_box.remove(client, made[0])
            give_back(user)

        container, stream, received = await self._call(start, undo=undo)
        try:
            channel = await Channel.open(stream, multiplexed=True, received=received)
        except BaseException:  # cancelled: nobody would know of it
            await asyncio.to_thread(undo, (container, stream, received))
            raise
        channel.write(boot_bytes())
        return DockerBox(client, container, channel, owner=self._owner, user=user)

    async def left(self) -> list[Left]:
        """See Driver.left."""
        client, _, image = await self._open_engine()
        labels = [f"{LABEL}={self._spec.name}", f"{OWNER_LABEL}={self._owner}"]
        up_to_date = docker_box.spec_hash(self._spec, image)

        def look() -> list[Left]:
            found = []
            for container in client.containers(all=True, filters={"label": labels}):
                if container["Labels"].get(SPEC_LABEL) == up_to_date and container["State"] == "running":
                    session = docker_box.session_of(container["Names"][0], self._owner)
                    found.append(Left(box_id=container["Id"], session=session))
                else:
                    docker_box.remove(client, container["Id"])
            return found

        return await self._call(look)

    async def attach(self, left: Left) -> Box:
        """See Driver.attach."""
        client, _, _ = await self._open_engine()
        user = await self._call(lambda: docker_box.keep_user_of(client, left.box_id))
        stream, received = await self._call(lambda: attach(client, left.box_id), undo=lambda made: made[0].close())
        channel = await Channel.open(stream, multiplexed=True, received=received)
        return DockerBox(client, left.box_id, channel, owner=self._owner, user=user)

    async def close(self) -> None:
        """See Driver.close."""
        if self._opened:
            await asyncio.to_thread(self._opened[0].close)
            self._opened = None

    async def _open_engine(self) -> tuple[APIClient, Engine, str]:
        """Once: find the engine and see to the image. Raises NoEngineError, SandboxError."""
        async with self._opening:
            if self._opened is None:
                client, engine = await self._call(lambda: connect(self._url), undo=lambda made: made[0].close())
                is_wanted = threading.Event()
                is_wanted.set()

                def report(line: str) -> None:
                    if not is_wanted.is_set():  # the engine stops as soon as nobody listens
                        raise SandboxError("The making of the image was given up.")
                    _log_progress(line)

                try:
                    if self._spec.runtime and self._spec.runtime not in engine.runtimes:
                        there = ", ".join(engine.runtimes)
                        raise SandboxError(f"The engine has no runtime '{self._spec.runtime}', only {there}.")
                    image = await self._call(lambda: ensure_image(client, self._spec, report))
                except BaseException:
                    is_wanted.clear()
                    client.close()
                    raise
                self._opened = client, engine, image
            return self._opened

    def _create(self, client: APIClient, engine: Engine, session: str | None, *, user: int) -> str:
        """A container that nothing has been started in; its id. Blocks."""
        from docker.errors import ImageNotFound

        name = docker_box.container_name(self._owner, session)
        if session is not None:
            docker_box.remove(client, name)  # what is left over of the same session
        assert self._opened is not None
        image = self._opened[2]
        try:
            return self._make(client, engine, image, name=name, user=user)
        except ImageNotFound:
            # Removed from the engine since: by `docker image prune`, or another project's `agentrt sandbox gc`.
            image = ensure_image(client, self._spec, _log_progress)
            self._opened = client, engine, image
            return self._make(client, engine, image, name=name, user=user)

    def _make(self, client: APIClient, engine: Engine, image: str, *, name: str, user: int) -> str:
        spec_hash = docker_box.spec_hash(self._spec, image)
        labels = {LABEL: self._spec.name, OWNER_LABEL: self._owner, SPEC_LABEL: spec_hash}
        return docker_box.create(client, engine, self._spec, image=image, name=name, labels=labels, user=user)

    async def _call(self, work: Callable[[], _T], *, undo: Callable[[_T], object] | None = None) -> _T:
        """Blocking work in a thread, its errors in our words. Cancelled, it is waited for where undo takes it back."""
        running = asyncio.get_running_loop().run_in_executor(None, _in_our_words, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(_hear)
            if undo is not None:
                with suppress(SandboxError, OSError):  # then nothing was made
                    await asyncio.shield(asyncio.to_thread(undo, await asyncio.shield(running)))
            raise


def _hear(done: asyncio.Future[_T]) -> None:
    """How something ended that nobody waits for any more is no news."""
    if not done.cancelled():
        done.exception()


def _in_our_words(work: Callable[[], _T]) -> _T:
    """Do it; what the engine or the way to it does wrong is a SandboxError. In a thread: the SDK is slow to import."""
    try:
        return work()
    except Exception as error:
        from docker.errors import DockerException

        if isinstance(error, DockerException):
            raise refusal(error) from error
        if isinstance(error, OSError):  # requests' errors are
            raise SandboxError(f"The container engine does not answer: {error}") from error
        raise


def _log_progress(line: str) -> None:
    log.info("sandbox.image", extra={"line": line})


async def look(spec: SandboxSpec) -> Probe:
    """What `probe` would find, as far as it can be told without making an image or starting anything."""

    def find() -> str:
        client, engine = connect()
        try:
            is_made = bool(image_id(client, image_of(spec)))
        finally:
            client.close()
        return engine.detail if is_made else f"image not made yet; {engine.detail}"

    try:
        return Available(detail=await asyncio.to_thread(_in_our_words, find))
    except NoEngineError as error:
        return Unavailable(why=str(error), remedy=_REMEDY)
    except SandboxError as error:
        return Unavailable(why=str(error), remedy="correct the table in agents.toml")
