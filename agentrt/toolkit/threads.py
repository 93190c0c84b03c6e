"""Threads for synchronous tools: cheap to hand a call to, and impossible to clog for good.

Python cannot stop a thread. A call that is given up (timeout, cancelled run) keeps its thread for as long as it likes,
but no longer counts: another thread may be started in its place, and its own ends when the call does. The threads are
daemons, so a call that never returns does not keep the process alive either. That is why this is not a
ThreadPoolExecutor, whose size is fixed and whose threads are joined at exit; it also costs half as much again per call,
and twice as much with 64 calls at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple, TypeVar

_T = TypeVar("_T")


class ExpiredError(Exception):
    """The call did not return in time. has_started is False when it never got a thread and never will run."""

    def __init__(self, *, has_started: bool) -> None:
        super().__init__(has_started)
        self.has_started = has_started


class CloggedError(Exception):
    """Too many calls of the same owner were given up and still run."""


class _Outcome(NamedTuple):
    kind: Literal["returned", "raised", "expired"]
    value: Any = None


class _Job:
    """One call. Its state changes under the pool's lock only."""

    __slots__ = ("future", "is_finished", "is_lost", "loop", "owner", "work")

    def __init__(self, work: Callable[[], object], owner: Hashable, loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.owner = owner
        self.loop = loop
        self.future: asyncio.Future[_Outcome] = loop.create_future()
        self.is_finished = False
        self.is_lost = False

    def execute(self) -> None:
        outcome = _call(self.work)
        try:
            self.loop.call_soon_threadsafe(_deliver, self.future, outcome)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return


class WorkerThreads:
    """A pool that grows when calls block and shrinks when idle. Used from any number of event loops.

    n_core threads are started on demand. Only when calls wait longer than growth_delay_s are more started, up to n_max:
    a burst of short calls is quicker on few threads (64 at once: 28 µs a call on 4, 63 µs on 32).
    n_lost_max: calls of one owner that may hang at the same time before further ones are refused.
    """

    def __init__(
        self,
        *,
        n_core: int = 4,
        n_max: int = 64,
        n_lost_max: int = 16,
        growth_delay_s: float = 0.005,
        idle_s: float = 10.0,
    ) -> None:
        self._n_core = n_core
        self._n_max = n_max
        self._n_lost_max = n_lost_max
        self._growth_delay_s = growth_delay_s
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Job]] = []  # the last one to become idle is the first to be used
        self._waiting: deque[_Job] = deque()
        self._lost: Counter[Hashable] = Counter()
        self._n_threads = 0
        self._grows_at = 0.0
        self._n_taken = 0  # calls that threads took from the queue so far

    async def run(self, work: Callable[[], _T], *, owner: Hashable, timeout_s: float | None) -> _T:
        """Call work() in a thread, with this task's context variables; returns or raises what it does.

        timeout_s covers waiting for a thread too. Raises ExpiredError, and CloggedError without having called anything.
        """
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        job = _Job(lambda: context.run(work), owner, loop)
        self._submit(job)
        timer = None if timeout_s is None else loop.call_later(timeout_s, _deliver, job.future, _Outcome("expired"))
        try:
            outcome = await job.future
        except asyncio.CancelledError:
            self._give_up(job)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if outcome.kind == "expired":
            raise ExpiredError(has_started=self._give_up(job))
        if outcome.kind == "raised":
            raise outcome.value
        result: _T = outcome.value
        return result

    def _submit(self, job: _Job) -> None:
        with self._lock:
            if self._lost[job.owner] >= self._n_lost_max:
                raise CloggedError
            if self._idle:
                self._idle.pop().put(job)
                return
            self._waiting.append(job)
            if self._n_threads >= self._n_core:
                self._plan_growth(job.loop)
            elif not self._start_thread() and self._n_threads == 0:
                self._waiting.remove(job)
                raise RuntimeError("no thread can be started")

    def _plan_growth(self, loop: asyncio.AbstractEventLoop) -> None:
        # A time and not a flag: the loop that was to do it may be closed before.
        if self._n_threads < self._n_max and (now := time.monotonic()) >= self._grows_at:
            self._grows_at = now + self._growth_delay_s
            loop.call_later(self._growth_delay_s, self._grow, loop, self._n_taken)

    def _grow(self, loop: asyncio.AbstractEventLoop, n_taken_before: int) -> None:
        with self._lock:
            self._grows_at = 0.0
            if self._waiting and self._n_taken - n_taken_before >= self._n_threads:
                self._plan_growth(loop)  # they get on: short calls, and many of them
                return
            while self._waiting and self._n_threads < self._n_max and self._start_thread():
                continue

    def _start_thread(self) -> bool:
        """Start a thread on the call that has waited longest; False when the system gives none."""
        job = self._waiting.popleft()
        self._n_threads += 1
        try:
            threading.Thread(target=self._work, args=(job,), name="agentrt-tool", daemon=True).start()
        except RuntimeError:
            self._n_threads -= 1
            self._waiting.appendleft(job)
            return False
        return True

    def _work(self, job: _Job | None) -> None:
        mailbox: SimpleQueue[_Job] = SimpleQueue()
        while job is not None:
            job.execute()
            job = self._next_job(job, mailbox)

    def _next_job(self, finished: _Job, mailbox: SimpleQueue[_Job]) -> _Job | None:
        """The next call for this thread; None when it shall end."""
        with self._lock:
            finished.is_finished = True
            if finished.is_lost:
                self._lost -= Counter((finished.owner,))
                return None
            if self._waiting:
                self._n_taken += 1
                return self._waiting.popleft()
            self._idle.append(mailbox)
        try:
            return mailbox.get(timeout=self._idle_s)
        except Empty:
            with self._lock:
                if mailbox in self._idle:
                    self._idle.remove(mailbox)
                    self._n_threads -= 1
                    return None
            return mailbox.get()  # taken from the idle ones just now: its job is on the way

    def _give_up(self, job: _Job) -> bool:
        """Nobody waits for the call any more. True when it had been started."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                return False
            if not job.is_finished:
                job.is_lost = True
                self._lost[job.owner] += 1
                self._n_threads -= 1
                if self._waiting:
                    self._start_thread()
            return True


def _call(work: Callable[[], object]) -> _Outcome:
    try:
        return _Outcome("returned", work())
    except StopIteration as error:  # cannot leave a coroutine
        return _Outcome("raised", RuntimeError(f"StopIteration: {error}"))
    except Exception as error:
        return _Outcome("raised", error)
    except BaseException as error:  # SystemExit and the like must not reach the loop
        return _Outcome("raised", RuntimeError(f"{type(error).__name__}: {error}"))


def _deliver(future: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
