"""Sessions by key, and boxes that are warm before anybody wants them.

A key is a thread's id or any name. A session lives until it was idle for its time, or has lived as long as it may:
then its files are saved (the owner's callback) and it is removed. What an earlier process of the same owner left
running is taken over with its variables. Between processes a session survives as long as the kernel's lease.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from agentrt.clock import Clock, SystemClock
from agentrt.config.schema import SandboxSpec
from agentrt.errors import InvalidRequestError, SandboxError, SandboxGoneError
from agentrt.sandbox.driver import Driver, Left
from agentrt.sandbox.sandbox import Sandbox

log = logging.getLogger(__name__)

# Fills in a new session, or saves one that ends: the key and the sandbox.
Hook = Callable[[str, Sandbox], Awaitable[None]]

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TEND_S: Final = 1.0
_WARM_RETRY_S: Final = 15.0
_SAVE_S: Final = 60.0


class _Session:
    """One key's sandbox. n_users: calls that have it now. is_opening: it has a place among those that there may be."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.lock = asyncio.Lock()
        self.sandbox: Sandbox | None = None
        self.is_opening = False
        self.n_users = 0
        self.opened_at = 0.0
        self.used_at = 0.0

    @property
    def is_free(self) -> bool:
        """Nobody has it and nobody waits for it."""
        return self.n_users == 0 and not self.lock.locked()


class Pool:
    """The sessions of one SandboxSpec. An async context manager: inside it, warm boxes are kept and idle ones removed.

    fill: called with a session that has just been opened, before anybody gets it. save: with one that is to be removed
    while it still works; what it raises is logged. Leaving the block detaches what can be taken over later
    (`Driver.left`) and ends the rest, saved.
    """

    def __init__(
        self,
        driver: Driver,
        spec: SandboxSpec,
        *,
        fill: Hook | None = None,
        save: Hook | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._driver = driver
        self._spec = spec
        self._fill = fill
        self._save = save
        self._clock = clock or SystemClock()
        self._sessions: dict[str, _Session] = {}
        self._warm: list[Sandbox] = []
        self._wants_warm = asyncio.Event()
        self._tend_turn = asyncio.Lock()
        self._tasks: asyncio.TaskGroup | None = None
        self._tending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Pool:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        try:
            await self._take_over()
        except BaseException:
            await self._tasks.__aexit__(None, None, None)
            raise
        self._tending = self._tasks.create_task(self._tend_for_ever(), name="sandbox pool")
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._tasks is not None
        assert self._tending is not None
        self._tending.cancel()
        await asyncio.wait([self._tending])  # if it failed, the group says so: first comes the end of the sandboxes
        async with asyncio.TaskGroup() as ends:
            for session in list(self._sessions.values()):
                ends.create_task(self._leave(session))
            for sandbox in self._warm:
                ends.create_task(_end(sandbox))
        self._warm.clear()
        tasks, self._tasks = self._tasks, None
        await tasks.__aexit__(None, None, None)

    @property
    def n_sessions(self) -> int:
        return sum(session.sandbox is not None for session in self._sessions.values())

    @property
    def n_warm(self) -> int:
        return len(self._warm)

    @asynccontextmanager
    async def session(self, key: str) -> AsyncGenerator[Sandbox, None]:
        """The key's sandbox for the length of the block: the one that it has, a warm one, or a new one.

        It is not removed meanwhile. A sandbox that died since is replaced by a fresh one.
        Raises SandboxError when none can be opened, SandboxGoneError when the key is dropped meanwhile,
        InvalidRequestError for a key that is none.
        """
        if not _KEY.fullmatch(key):
            raise InvalidRequestError(f"'{key[:200]}' is no key of a sandbox session: letters, digits, '_', '.', '-'.")
        session = self._sessions.setdefault(key, _Session(key))
        session.n_users += 1
        try:
            async with session.lock:
                if session.sandbox is None or not session.sandbox.is_alive:
                    await self._open(session)
            assert session.sandbox is not None
            yield session.sandbox
        finally:
            session.n_users -= 1
            session.used_at = self._clock.monotonic()
            self._forget_if_empty(session)

    def find(self, key: str) -> Sandbox | None:
        """The key's sandbox if it has one that works. For interrupting it: `session` is for using it."""
        session = self._sessions.get(key)
        return session.sandbox if session and session.sandbox and session.sandbox.is_alive else None

    def has(self, key: str) -> bool:
        """Whether the key has a session, be it one whose sandbox is just being opened."""
        return key in self._sessions

    async def drop(self, key: str) -> None:
        """End the key's session without saving anything; nothing happens if it has none.

        One that is being opened is ended as soon as it is there.
        """
        session = self._sessions.pop(key, None)
        if session is not None and session.sandbox is not None:
            await _end(session.sandbox)

    async def tend(self) -> None:
        """Once: remove what has been idle or has lived too long, and what died."""
        async with self._tend_turn:
            now = self._clock.monotonic()
            for session in [session for session in self._sessions.values() if session.is_free]:
                if session.sandbox is not None and self._is_over(session, now):
                    await self._remove(session)
            for sandbox in [sandbox for sandbox in self._warm if not sandbox.is_alive]:
                self._warm.remove(sandbox)
                await _end(sandbox)
            if len(self._warm) < self._spec.pool:
                self._wants_warm.set()

    async def _tend_for_ever(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_warm())
            while True:
                await self._clock.sleep(_TEND_S)
                await self.tend()

    async def _keep_warm(self) -> None:
        """One after the other: a machine that is short of time should not spend it on what nobody wants yet."""
        while True:
            while len(self._warm) < self._spec.pool:
                try:
                    sandbox = await Sandbox.start(self._driver, self._spec)
                except Exception as error:  # sessions are served without warm ones, too
                    log.warning("sandbox.warm_failed", extra={"error": f"{type(error).__name__}: {error}"})
                    await self._clock.sleep(_WARM_RETRY_S)
                    continue
                self._warm.append(sandbox)
            self._wants_warm.clear()
            await self._wants_warm.wait()

    async def _open(self, session: _Session) -> None:
        if session.sandbox is not None:
            log.info("sandbox.died", extra={"session": session.key, "box": session.sandbox.box_id})
            await _end(session.sandbox)
            session.sandbox = None
        await self._make_room()
        session.is_opening = True
        try:
            await self._start(session)
        finally:
            session.is_opening = False

    async def _start(self, session: _Session) -> None:
        started = self._clock.monotonic()
        warm = self._claimable()
        sandbox = warm or await Sandbox.start(self._driver, self._spec, session=session.key)
        try:
            if warm:
                await sandbox.claim(session.key)
            if self._fill:
                await self._fill(session.key, sandbox)
            if self._sessions.get(session.key) is not session:  # dropped: nobody would find it again
                raise SandboxGoneError("The session was ended while its sandbox was opened.")
        except BaseException:
            await _end(sandbox)
            raise
        self._adopt(session, sandbox)
        ms = round((session.opened_at - started) * 1000)
        log.info("sandbox.opened", extra={"session": session.key, "box": sandbox.box_id, "warm": bool(warm), "ms": ms})

    def _adopt(self, session: _Session, sandbox: Sandbox) -> None:
        session.sandbox = sandbox
        session.opened_at = session.used_at = self._clock.monotonic()
        if self._spec.network:
            assert self._tasks is not None
            self._tasks.create_task(sandbox.serve_network(), name=f"network of {session.key}")

    def _claimable(self) -> Sandbox | None:
        # `tend` has it replaced, within a second: to start another one now would make this session's first call wait.
        while self._warm:
            sandbox = self._warm.pop(0)
            if sandbox.is_alive:
                return sandbox
        return None

    async def _make_room(self) -> None:
        """Remove the session that was idle for longest if there are as many as there may be."""
        while self._n_places_taken() >= self._spec.max_sessions:
            idle = [session for session in self._sessions.values() if session.sandbox is not None and session.is_free]
            if not idle:
                raise SandboxError(f"All {self._spec.max_sessions} sandboxes are in use (`max_sessions`).")
            await self._remove(min(idle, key=lambda session: session.used_at))

    def _n_places_taken(self) -> int:
        return sum(session.sandbox is not None or session.is_opening for session in self._sessions.values())

    def _forget_if_empty(self, session: _Session) -> None:
        if session.sandbox is None and session.is_free and self._sessions.get(session.key) is session:
            del self._sessions[session.key]

    async def _remove(self, session: _Session) -> None:
        """Save a session that nobody has, and end it. Whoever comes for it meanwhile waits, and gets a new one."""
        async with session.lock:
            sandbox, session.sandbox = session.sandbox, None
            if sandbox is None:
                return
            try:
                await self._save_files(session.key, sandbox)
            finally:
                await _end(sandbox)
            log.info("sandbox.removed", extra={"session": session.key, "box": sandbox.box_id})
        self._forget_if_empty(session)

    async def _save_files(self, key: str, sandbox: Sandbox) -> None:
        if self._save is None or not sandbox.is_alive:
            return
        try:
            async with asyncio.timeout(_SAVE_S):
                await self._save(key, sandbox)
        except Exception as error:  # whatever the owner's storage does: a sandbox must still come to its end
            log.warning("sandbox.save_failed", extra={"session": key, "error": type(error).__name__})

    async def _leave(self, session: _Session) -> None:
        """This process ends: what another one can take over goes on, the rest is saved and ended."""
        sandbox = session.sandbox
        if sandbox is not None and sandbox.is_alive and self._driver.capabilities.reattach:
            sandbox.detach()
        else:
            await self._remove(session)

    async def _take_over(self) -> None:
        for left in await self._driver.left():
            sandbox = await self._taken_over(left)
            if sandbox is None:
                continue
            if left.session is None:
                self._warm.append(sandbox)
            else:
                session = self._sessions.setdefault(left.session, _Session(left.session))
                self._adopt(session, sandbox)
                log.info("sandbox.taken_over", extra={"session": left.session, "box": left.box_id})

    async def _taken_over(self, left: Left) -> Sandbox | None:
        try:
            return await Sandbox.take_over(self._driver, self._spec, left)
        except SandboxError as error:  # its lease was over a moment ago
            log.info("sandbox.left_gone", extra={"box": left.box_id, "error": str(error)})
            return None

    def _is_over(self, session: _Session, now: float) -> bool:
        assert session.sandbox is not None
        idle_s, life_s = self._spec.idle_s, self._spec.life_s
        return (
            not session.sandbox.is_alive
            or (idle_s is not None and now - session.used_at >= idle_s)
            or (life_s is not None and now - session.opened_at >= life_s)
        )


async def _end(sandbox: Sandbox) -> None:
    """Close it; that it cannot be removed now is logged, and its lease ends it."""
    try:
        await sandbox.close()
    except Exception as error:  # whatever it is: it must not end the pool, and every other session with it
        log.warning("sandbox.close_failed", extra={"box": sandbox.box_id, "error": f"{type(error).__name__}: {error}"})
