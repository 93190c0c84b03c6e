"""The service behind `agentrt serve` and `agentrt worker`: bind, open, say what is on, serve, drain."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from msgspec.structs import replace

from agentrt.access.keys import check_bind
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.service_banner import banner_lines
from agentrt.config.schema import Config
from agentrt.observability.logs import Level, set_up_logging
from agentrt.observability.stacks import log_stacks_on_signal
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.leases import Role
from agentrt.server.app import create_app
from agentrt.server.serving import Server

log = logging.getLogger("agentrt.serve")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SANDBOX_S = 5.0
"""How long the banner waits for what isolates code; runs are served meanwhile."""


LogFormat: TypeAlias = Literal["text", "json"]


def run_service(
    invocation: Invocation, *, host: str | None, port: int | None, role: Role, log_format: LogFormat
) -> None:
    """Serve until a signal comes. Raises CliError, ConfigError, StoreError for what prevents it."""
    config = invocation.config
    server = replace(
        config.server,
        host=config.server.host if host is None else host,
        port=config.server.port if port is None else port,
    )
    config = replace(config, server=server)
    if role != "worker":  # a worker's /healthz tells everybody the same, and nothing else answers there
        check_bind(server.host, server.keys)
    _set_up_logging(invocation, log_format)
    try:
        with _bound(server.host, server.port) as listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(invocation, config, listener, role=role, shows_banner=log_format == "text"))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None  # the second signal did not wait


def run_worker(invocation: Invocation, *, log_format: LogFormat) -> None:
    """Drive runs until a signal comes. Raises ConfigError, StoreError for what prevents it."""
    _set_up_logging(invocation, log_format)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_work(invocation, shows_banner=log_format == "text"))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _set_up_logging(invocation: Invocation, log_format: LogFormat) -> None:
    level: Level = "debug" if invocation.verbosity else "warning" if invocation.is_quiet else "info"
    form: Literal["console", "json"] = "json" if log_format == "json" else "console"
    set_up_logging(level=level, form=form, is_coloured=invocation.err.is_coloured)


async def _work(invocation: Invocation, *, shows_banner: bool) -> None:
    stop = asyncio.Event()
    async with Runtime(invocation.config, role="worker") as runtime:
        _on_signals(lambda **_: stop.set())
        await runtime.prepare_code(timeout_s=_SANDBOX_S)
        if shows_banner:
            lines = banner_lines(invocation.out, await runtime.health(), runtime.config, None, role="worker")
            invocation.out.write("".join(f"{line}\n" for line in lines))
        log.info("worker.ready", extra={"worker": runtime.worker_id})
        await stop.wait()
        log.info("worker.draining")
    log.info("worker.stopped")


async def _serve(
    invocation: Invocation, config: Config, listener: socket.socket, *, role: Role, shows_banner: bool
) -> None:
    url = _url(listener)
    # Opened here and not by the app's lifespan: what goes wrong is told like every other error of a command.
    async with Runtime(config, server_url=url, role=role) as runtime:

        async def announce() -> None:
            await runtime.prepare_code(timeout_s=_SANDBOX_S)
            if shows_banner:
                lines = banner_lines(invocation.out, await runtime.health(), config, url, role=role)
                invocation.out.write("".join(f"{line}\n" for line in lines))
            log.info("serve.ready", extra={"url": url})

        server = _SignalledServer(runtime, announce, host=config.server.host, port=config.server.port)
        await server.serve(sockets=[listener])
    log.info("serve.stopped")


class _SignalledServer(Server):
    """Stops at the first signal; at the second one without waiting, the runtime's drain included."""

    def __init__(self, runtime: Runtime, announce: Callable[[], Awaitable[None]], *, host: str, port: int) -> None:
        super().__init__(create_app(runtime), host=host, port=port)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("serve.draining")
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own sends the signals again when it is done, which would kill the process before the runs drain.
        def stop(*, is_first: bool) -> None:
            self.force_exit = not is_first
            self.should_exit = True

        _on_signals(stop)
        yield


def _on_signals(stop: Callable[..., None]) -> None:
    """Call `stop(is_first=…)` at every signal to end; the second one cancels the task that called this, too."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    n_signals = 0

    def hear(number: int) -> None:
        nonlocal n_signals
        n_signals += 1
        log.info("serve.signal", extra={"signal": signal.Signals(number).name})
        stop(is_first=n_signals == 1)
        # Once: a third one would interrupt the cleaning up.
        if n_signals == 2 and task is not None:
            task.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, hear, number)
    log_stacks_on_signal(loop)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound before anything is opened: nothing is migrated for a service that cannot start."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        fix = "--host 127.0.0.1, or an address of this machine"
        raise CliError("E206", f'"{host}" is no address to listen on', why=error.strerror or "", fix=fix) from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _cannot_bind(host, port, error) from None
        # Who comes while the database is being opened waits, rather than being refused.
        listener.listen()
        yield listener


def _cannot_bind(host: str, port: int, error: OSError) -> CliError:
    if error.errno == errno.EADDRINUSE:
        why = f"another program listens on {host}:{port}"
        return CliError("E207", f"port {port} is taken", why=why, fix="--port 0 takes a free one, or stop that program")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CliError("E207", f"port {port} may not be used", why=error.strerror or "", fix="--port 8700")
    fix = "--host 127.0.0.1, or an address of this machine"
    return CliError("E206", f'"{host}" is no address of this machine', why=error.strerror or "", fix=fix)


def _url(listener: socket.socket) -> str:
    """Where programs on this machine reach the socket."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not bound
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's when the extra is installed."""
    try:
        import uvloop  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
