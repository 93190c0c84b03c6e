"""The queue in PostgreSQL: jobs go in with the transaction that made them ready, and out to whoever claims them.

PgQueuer's tables and statements. A row leaves the queue in the transaction that claims it: the job's own row says who
drives it, and what a crash makes void is found there. So nothing here needs a heartbeat, nothing is ever claimed and
not done, and a row that another one makes superfluous is one that nobody has begun with (see `enqueue`).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any, TypeVar

from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries, SyncQueries

from agentrt.clock import Clock
from agentrt.dispatch.postgres_tables import NAMES, SQL, queries_on
from agentrt.store.database import Tx
from agentrt.store.jobs import Ready
from agentrt.store.postgres_connect import connect
from agentrt.store.postgres_errors import is_passing, sqlstate
from agentrt.store.statements import run_text

T = TypeVar("T")

log = logging.getLogger(__name__)

_ANSWER_WITHIN_S = 10.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

# Their program never came back, or a person took them out of our tables. A job that is still there is reminded of.
_DELETE_FORGOTTEN = f"DELETE FROM {NAMES.queue_table} WHERE execute_after < now() - interval '1 day'"  # noqa: S608
# What a crash of the server takes back of a claim is claimed twice, which is allowed: no need to wait for the disk.
# To plan PgQueuer's statement costs ten times as much as to run it: planned once, and by indexes however short the
# queue is at that moment.
_BEGIN = "; ".join(
    (
        "BEGIN",
        "SET LOCAL synchronous_commit = off",
        "SET LOCAL plan_cache_mode = force_generic_plan",
        "SET LOCAL enable_seqscan = off",
    )
)
_NO_LIMIT = EntrypointExecutionParameter(concurrency_limit=0)
_NEVER = timedelta(days=1)


class _InTx:
    """PgQueuer's SyncDriver on a transaction of ours."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return run_text(self._tx, query, args)


def enqueue(tx: Tx, job: Ready, *, delay_s: float = 0.0) -> None:
    """Put the job into its queue with this transaction. The same Ready is not in there twice, delayed ones aside."""
    SyncQueries(_InTx(tx), SQL).enqueue(
        job.queue,
        _pack(job),
        execute_after=timedelta(seconds=delay_s) if delay_s > 0 else None,
        # One that is put off must not stand in the way of one for now.
        dedupe_key=None if delay_s > 0 else f"{job.epoch} {job.job_id}",
        on_conflict="skip",
    )


class JobQueue:
    """The queue as one process claims from it, one call at a time. It waits for a server that is away.

    url: where the server is; through a pooler is fine. Nothing is connected before the first call.
    """

    def __init__(self, url: str, *, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._id = QueueManagerId(uuid.uuid4())
        self._conn: Any = None
        self._is_away = False

    async def claim(self, queues: Collection[str], n: int, *, unless: Callable[[], bool]) -> list[Ready]:
        """Take up to n jobs out of these queues, unless it is true by then. A claim that is cancelled takes none."""
        entrypoints = {QueueEntrypoint(queue): _NO_LIMIT for queue in queues}

        async def claim(conn: Any, queries: Queries) -> list[Ready]:
            await conn.execute(_BEGIN)
            jobs = await queries.dequeue(n, entrypoints, self._id, None, _NEVER)
            if unless():
                await conn.execute("ROLLBACK")
                return []
            ids = ", ".join(str(int(job.id)) for job in jobs)
            remove = f"DELETE FROM {NAMES.queue_table} WHERE id IN ({ids}); " if jobs else ""  # noqa: S608
            try:
                await conn.execute(f"{remove}COMMIT")
            except Exception as error:
                if not is_passing(error):
                    raise
                self.close()  # perhaps it was committed: rather handed out twice than not at all
            return [_unpack(job) for job in jobs]

        return await self._ask(claim)

    async def next_due_s(self, queues: Collection[str]) -> float | None:
        """In how many seconds the next delayed job is due; None when there is none."""
        entrypoints = [QueueEntrypoint(queue) for queue in queues]
        eta = await self._ask(lambda _, queries: queries.next_deferred_eta(entrypoints))
        return None if eta is None else eta.total_seconds()

    def close(self) -> None:
        """Let go of the connection; a claim that is under way is void."""
        if self._conn is not None:
            self._conn.terminate()
            self._conn = None

    async def _ask(self, question: Callable[[Any, Queries], Awaitable[T]]) -> T:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                conn = self._conn or await self._connect()
                answer = await question(conn, queries_on(conn))
            except BaseException as error:
                self.close()
                if not (is_passing(error) or sqlstate(error)):
                    raise
                if not self._is_away:
                    self._is_away = True
                    log.warning("queue.lost", extra={"why": f"{type(error).__name__}: {error}"})
            else:
                if self._is_away:
                    self._is_away = False
                    log.info("queue.back")
                return answer
            await self._clock.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connect(self) -> Any:
        self._conn = await connect(self._url, name="agentrt queue", command_timeout_s=_ANSWER_WITHIN_S)
        await self._conn.execute(_DELETE_FORGOTTEN)
        return self._conn


def _pack(job: Ready) -> bytes:
    return f"{job.epoch} {job.job_id}".encode()


def _unpack(row: Job) -> Ready:
    epoch, _, job_id = (row.payload or b"").decode().partition(" ")
    return Ready(job_id, str(row.entrypoint), int(epoch))
