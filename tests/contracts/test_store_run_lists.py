"""Lists of runs over all threads: every filter and every page beside a plain list that says what they should be."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import pytest

from agentrt.engine.run import RunStatus
from agentrt.errors import NotFoundError
from agentrt.store.database import Store, Tx
from agentrt.store.pages import Page, PageQuery
from agentrt.store.run_lists import RunFilter, find_run_of_project, list_project_runs, list_runs_beginning
from agentrt.store.runs import StoredRun, update_run
from agentrt.store.threads import delete_thread
from tests.contracts.rows import HOME, put_run, put_thread

FAILED, DONE, WAITS = RunStatus.FAILED, RunStatus.COMPLETED, RunStatus.REQUIRES_ACTION


@dataclass
class World:
    """made: every run of the project, oldest first. Three share a second, so that ids must break ties."""

    store: Store
    made: list[StoredRun] = field(default_factory=list)

    async def page(self, query: PageQuery | None = None, **only: object) -> Page[StoredRun]:
        wanted = RunFilter(**only)  # type: ignore[arg-type]
        return await self.store.read(lambda tx: list_project_runs(tx, HOME, query or PageQuery(limit=100), wanted))

    async def ids(self, query: PageQuery | None = None, **only: object) -> list[str]:
        return [run.id for run in (await self.page(query, **only)).items]


@pytest.fixture
async def world(store: Store) -> World:
    world = World(store)

    def write(tx: Tx) -> list[StoredRun]:
        threads = [put_thread(tx) for _ in range(2)]
        put_run(tx, put_thread(tx, project="other"), status="failed", created_at=1000)
        kinds = product((FAILED, DONE, WAITS), ("asst_1", "asst_2"), range(2))
        return [
            put_run(
                tx,
                threads[which],
                # One active run to a thread: the others of its kind are held.
                is_held=status is WAITS,
                status=status.value,
                assistant_id=assistant,
                created_at=1000 + i // 3,
            )
            for i, (status, assistant, which) in enumerate(kinds)
        ]

    world.made = await store.write(write)
    return world


async def test_all_runs_of_a_project_come_newest_first_or_oldest_first(world: World) -> None:
    ids = [run.id for run in world.made]
    assert await world.ids() == ids[::-1]
    assert await world.ids(PageQuery(limit=100, order="asc")) == ids


@pytest.mark.parametrize("statuses", [(), (FAILED,), (FAILED, WAITS), (DONE, RunStatus.EXPIRED), (RunStatus.QUEUED,)])
@pytest.mark.parametrize("assistant_id", [None, "asst_2", "asst_gone"])
@pytest.mark.parametrize("has_thread", [False, True])
@pytest.mark.parametrize("span", [(None, None), (1001, None), (None, 1003), (1001, 1003), (2000, None)])
async def test_filters_keep_what_fits_them_all(
    world: World,
    statuses: tuple[RunStatus, ...],
    assistant_id: str | None,
    has_thread: bool,
    span: tuple[int | None, int | None],
) -> None:
    since, until = span
    thread_id = world.made[0].thread_id if has_thread else None
    wanted = [
        run.id
        for run in world.made
        if (not statuses or run.status in statuses)
        and (assistant_id is None or run.assistant_id == assistant_id)
        and (thread_id is None or run.thread_id == thread_id)
        and (since is None or run.created_at >= since)
        and (until is None or run.created_at < until)
    ]
    only = {
        "statuses": frozenset(statuses),
        "assistant_id": assistant_id,
        "thread_id": thread_id,
        "since": since,
        "until": until,
    }
    assert await world.ids(PageQuery(limit=100, order="asc"), **only) == wanted
    found: list[str] = []
    query = PageQuery(limit=2, order="asc")
    while True:
        page = await world.page(query, **only)
        found += [run.id for run in page.items]
        if not page.has_more or len(found) > len(wanted):
            break
        query = PageQuery(limit=2, order="asc", after=found[-1])
    assert found == wanted
    if wanted:
        before = PageQuery(limit=2, order="asc", before=wanted[-1])
        assert await world.ids(before, **only) == wanted[:-1][-2:]


async def test_a_cursor_holds_its_place_when_its_run_is_not_in_the_list_any_more(world: World) -> None:
    waiting = [run.id for run in world.made if run.status == WAITS]
    assert await world.ids(PageQuery(limit=1), statuses=frozenset({WAITS})) == waiting[-1:]
    await world.store.write(lambda tx: update_run(tx, waiting[-1], {"status": "completed"}))
    after = PageQuery(limit=100, after=waiting[-1])
    assert await world.ids(after, statuses=frozenset({WAITS})) == waiting[-2::-1]


async def test_a_cursor_of_another_project_or_thread_is_not_found(world: World) -> None:
    other = (await world.store.read(lambda tx: list_project_runs(tx, "other", PageQuery(), RunFilter()))).items[0]
    with pytest.raises(NotFoundError):
        await world.ids(PageQuery(after=other.id))
    first, second = world.made[:2]
    with pytest.raises(NotFoundError):
        await world.ids(PageQuery(after=second.id), thread_id=first.thread_id)
    with pytest.raises(NotFoundError, match="No thread found"):
        await world.ids(thread_id=other.thread_id)


async def test_a_cursor_whose_run_is_deleted_holds_its_place(world: World) -> None:
    gone, kept = world.made[0].thread_id, [run.id for run in world.made if run.thread_id != world.made[0].thread_id]
    cursor = world.made[2]
    await world.store.write(lambda tx: update_run(tx, cursor.id, {"created_at": 1_700_000_000}))
    await world.store.write(lambda tx: delete_thread(tx, gone))
    assert await world.ids() == kept[::-1]
    assert await world.ids(PageQuery(limit=100, after=cursor.id)) == kept[::-1], "its id tells when it was made"


async def test_a_run_is_found_by_its_id_in_its_project_only(world: World) -> None:
    run = world.made[0]
    assert await world.store.read(lambda tx: find_run_of_project(tx, HOME, run.id)) == run
    with pytest.raises(NotFoundError):
        await world.store.read(lambda tx: find_run_of_project(tx, "other", run.id))


async def test_runs_are_found_by_the_beginning_of_their_ids(world: World) -> None:
    ids = [run.id for run in world.made]

    async def beginning(prefix: str, limit: int = 100) -> tuple[list[str], bool]:
        page = await world.store.read(lambda tx: list_runs_beginning(tx, HOME, prefix, limit=limit))
        return [run.id for run in page.items], page.has_more

    assert await beginning(ids[4]) == ([ids[4]], False)
    assert await beginning(ids[4][:-3]) == ([ids[4]], False)
    assert await beginning("run_") == (sorted(ids, reverse=True), False)
    assert await beginning("run_", limit=2) == (sorted(ids, reverse=True)[:2], True)
    assert await beginning("run_x") == ([], False)
    assert await beginning("thread_") == ([], False)
