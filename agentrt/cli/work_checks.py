"""What `agentrt doctor` finds of the work: what waits, what is driven, and by whom. Read from the database itself, so
that it holds also when the service does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from agentrt.cli.connect import lock_holder
from agentrt.cli.health_check import Check
from agentrt.cli.screen import duration
from agentrt.clock import SystemClock
from agentrt.config.schema import Config
from agentrt.runtime.models import stored_embedding_name
from agentrt.runtime.pulse import Pulse, Queue, WorkerState, read_pulse, shared_time
from agentrt.store.database import Tx
from agentrt.store.look import look

_LONG_S = 60.0
"""How long a job may wait before that is worth a warning."""


def look_at_work(config: Config, *, is_file: bool) -> Pulse:
    """The pulse of a database whose tables are there. is_file: it is SQLite's. Raises StoreError."""
    clock = SystemClock()

    def read(tx: Tx) -> Pulse:
        name = config.search.embedding
        embedding = None if name is None else stored_embedding_name(config.models[name])
        return read_pulse(tx, now=shared_time(tx, clock), lease_s=config.runtime.lease_s, embedding=embedding)

    pulse = asyncio.run(look(config.runtime.database.reveal(), read, clock=clock))
    if not is_file:
        return pulse
    # Whether a file's one process lives, its lock says at once.
    holder = lock_holder(config)
    pid = None if holder is None else holder.pid
    return replace(pulse, workers=[replace(worker, is_alive=worker.pid == pid) for worker in pulse.workers])


def check_work(pulse: Pulse, *, is_file: bool) -> Iterator[Check]:
    """The queue, who works on it, and how far the vectors are."""
    alive = [worker for worker in pulse.workers if worker.is_alive]
    yield _queue(pulse.queue, has_drivers=any(worker.drives for worker in alive))
    yield _workers(alive)
    if pulse.vectors is not None:
        done, files = pulse.vectors.files - pulse.vectors.waiting, pulse.vectors.files
        text = f"{done} of {files} files have theirs" if pulse.vectors.waiting else f"all {files} files have theirs"
        yield Check("vectors", "ok", text)
    for worker in pulse.workers:
        if not worker.is_alive and not is_file:
            what = f"; its {_jobs(worker.driving)} go to others" if worker.driving else ""
            text = f"{worker.id} ({worker.role}) was not heard of for {duration(worker.seen_s)}{what}"
            yield Check("worker", "warn", text)


def _queue(queue: Queue, *, has_drivers: bool) -> Check:
    n_left = queue.waiting + (0 if has_drivers else queue.driving)
    said = []
    if n_left:
        oldest_s = queue.oldest_waiting_s
        since = "" if oldest_s is None else f", the oldest for {duration(oldest_s)}"
        said.append(f"{_jobs(n_left)} {'waits' if n_left == 1 else 'wait'}{since}")
    if has_drivers and queue.driving:
        said.append(f"{queue.driving} at work")
    if queue.waiting_for_caller:
        n = queue.waiting_for_caller
        said.append(f"{n} run{'' if n == 1 else 's'} waiting for {'its' if n == 1 else 'their'} caller")
    if queue.held:
        said.append(f"{queue.held} behind another run")
    text = " · ".join(said) or "empty"
    if n_left and not has_drivers:
        return Check("queue", "warn", text, "agentrt serve takes them up")
    if queue.oldest_waiting_s is not None and queue.oldest_waiting_s > _LONG_S:
        return Check("queue", "warn", text, "more workers, or a higher runtime.limits.max_concurrent_runs")
    return Check("queue", "ok", text)


def _workers(alive: Sequence[WorkerState]) -> Check:
    if not alive:
        return Check("workers", "ok", "none now; agentrt serve is one")
    lines = [
        f"{worker.id} ({worker.role}) · heard of {duration(worker.seen_s)} ago"
        + (f" · drives {worker.driving}" if worker.drives else "")
        for worker in alive
    ]
    return Check("workers", "ok", "\n".join(lines))


def _jobs(n: int) -> str:
    return f"{n} job{'' if n == 1 else 's'}"
