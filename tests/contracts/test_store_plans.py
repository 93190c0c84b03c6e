"""Every statement of the store finds its rows by an index, on both engines, however many rows there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agentrt.engine.events import RunQueued
from agentrt.engine.run import Run, RunStatus
from agentrt.errors import NotFoundError
from agentrt.ids import new_id
from agentrt.store import (
    assistants,
    blobs,
    code_files,
    disabled_webhooks,
    embedded_files,
    embedding_cache,
    files,
    history,
    jobs,
    messages,
    postings,
    run_events,
    run_lists,
    run_log,
    run_steps,
    runs,
    schedules,
    search_files,
    search_index,
    search_tables,
    search_vectors,
    searchable,
    segment_ids,
    threads,
    tool_resources,
    uploads,
    vector_graphs,
    vector_store_batches,
    vector_store_files,
    vector_stores,
    webhook_deliveries,
    workers,
)
from agentrt.store.database import Store, Tx
from agentrt.store.pages import PageQuery
from agentrt.store.run_lists import RunFilter
from agentrt.store.runs import StoredRun
from agentrt.store.threads import Thread
from tests.contracts.rows import HOME, a_delivery, a_file, a_message, a_step, an_assistant, put_run, put_thread


class Recorder:
    """A driver's connection that remembers the statements, each with its last values."""

    def __init__(self, dbapi: Any) -> None:
        self._dbapi = dbapi
        self.seen: dict[str, Any] = {}

    def cursor(self) -> Any:
        return _RecordingCursor(self._dbapi.cursor(), self.seen)


class _RecordingCursor:
    def __init__(self, cursor: Any, seen: dict[str, Any]) -> None:
        self._cursor = cursor
        self._seen = seen

    def execute(self, sql: str, values: Any) -> None:
        self._seen[sql] = values
        self._cursor.execute(sql, values)

    def executemany(self, sql: str, many: Any) -> None:
        self._seen[sql] = many[0]
        self._cursor.executemany(sql, many)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def every_page(first: str, last: str) -> Iterator[PageQuery]:
    for order, (after, before) in product(("asc", "desc"), ((None, None), (first, None), (None, last), (first, last))):
        yield PageQuery(limit=3, order=order, after=after, before=before)  # type: ignore[arg-type]


def call_everything(tx: Tx) -> None:
    """Every function of the store at least once, with every shape of page."""
    thread = put_thread(tx, 12, meta={"a": "1", "b": "2", "c": "3"})
    put_thread(tx, meta={"a": "1", "b": "2", "c": "3"})
    call_threads(tx, thread)
    call_messages(tx, thread)
    call_runs(tx, thread)
    call_assistants_and_files(tx)
    call_uploads_and_blobs(tx)
    call_webhooks(tx)
    call_schedules(tx)
    call_search(tx)
    messages.delete_message(tx, messages.list_messages(tx, HOME, thread.id, PageQuery()).items[0].id)
    jobs.finish_jobs_of_thread(tx, thread.id)
    threads.delete_thread(tx, thread.id)


def call_threads(tx: Tx, thread: Thread) -> None:
    deleted = new_id("thread")
    for metadata in (None, {"a": "1"}, {"a": "1", "b": "2", "c": "3"}):
        for cursor in (thread.id, deleted):
            for query in every_page(cursor, cursor):
                threads.list_threads(tx, HOME, query, metadata=metadata)
    threads.list_undated_threads(tx, limit=5)
    threads.date_threads(tx, [thread.id], now=1.0)
    threads.list_inactive_threads(tx, before=5e9, limit=5)
    threads.delete_inactive_thread(tx, thread.id, before=1.0)
    threads.touch_thread(tx, thread.id, now=1.0)
    threads.find_thread(tx, HOME, thread.id)
    threads.lock_thread(tx, thread.id)
    threads.update_thread(tx, thread.id, {"meta": {"x": "y"}, "on_busy": "enqueue"})


def call_messages(tx: Tx, thread: Thread) -> None:
    first = a_message(thread, 50, run_id="run_x")
    messages.insert_messages(tx, [first])
    for cursor in (first.id, new_id("msg")):
        for query in every_page(cursor, cursor):
            messages.list_messages(tx, HOME, thread.id, query)
            messages.list_messages(tx, HOME, thread.id, query, run_id="run_x")
    messages.find_message(tx, HOME, thread.id, first.id)
    messages.update_message(tx, first.id, {"status": "incomplete", "parts": []})
    searchable.list_calls(tx, thread.id, 1)
    history.read_history(tx, thread.id, before=None, limit=5)


def call_runs(tx: Tx, thread: Thread) -> None:
    run = put_run(tx, thread)
    step = a_step(run, 60)
    run_steps.insert_step(tx, step)
    for query in every_page(run.id, run.id):
        runs.list_runs(tx, HOME, thread.id, query)
    call_run_lists(tx, run)
    for query in every_page(step.id, step.id):
        run_steps.list_steps(tx, HOME, run.id, query)
    run_steps.find_step(tx, HOME, thread.id, run.id, step.id)
    run_steps.update_step(tx, step.id, {"status": "completed"})
    runs.find_run(tx, HOME, thread.id, run.id)
    runs.load_run(tx, run.id)
    runs.find_active_run(tx, thread.id)
    runs.find_held_run(tx, thread.id)
    runs.list_live_runs(tx, thread.id)
    runs.list_overdue_runs(tx, 5.0)
    runs.list_runs_past_retention(tx, before=5e9, limit=5)
    runs.list_undated_runs(tx, limit=5)
    runs.date_ended_runs(tx, [run.id])
    runs.mark_events_gone(tx, run.id, now=1.0)
    call_a_drive(tx, run.to_run())


def call_run_lists(tx: Tx, run: StoredRun) -> None:
    run_lists.find_run_of_project(tx, HOME, run.id)
    run_lists.list_runs_beginning(tx, HOME, "run_", limit=3)
    statuses = (frozenset[RunStatus](), frozenset({RunStatus.FAILED}), frozenset({RunStatus.QUEUED, RunStatus.EXPIRED}))
    spans = ((None, None), (1, None), (None, 2_000_000_000), (1, 2_000_000_000))
    for cursor in (run.id, new_id("run")):
        for query in every_page(cursor, cursor):
            for wanted, assistant_id, thread_id, (since, until) in product(
                statuses, (None, "asst_1"), (None, run.thread_id), spans
            ):
                only = RunFilter(wanted, assistant_id, thread_id, since, until)
                run_lists.list_project_runs(tx, HOME, query, only)


def call_a_drive(tx: Tx, run: Run) -> None:
    run_id = run.spec.id
    epoch = call_jobs(tx, run_id)
    run_events.append_events(tx, run_id, [run_events.NumberedEvent(epoch, 0, RunQueued(at=1.0))])
    run_events.read_events(tx, run_id)
    run_events.read_events(tx, run_id, after=(epoch, 0))
    run_log.read_log(tx, run_id, after=(epoch, 0), limit=1, joins_deltas=True)
    run_events.next_seq(tx, run_id)
    runs.advance_run(tx, run)
    runs.mark_cancelling(tx, run_id)
    runs.update_run(tx, run_id, {"meta": "{}"})
    run_events.delete_events(tx, run_id)
    jobs.finish_held_job(tx, run_id, epoch)
    jobs.finish_job(tx, run_id)


def call_jobs(tx: Tx, run_id: str) -> int:
    """Everything that happens to a job until it is driven. Returns the epoch."""
    jobs.insert_job(tx, jobs.Job(id=run_id, kind="run", subject_id=run_id, project=HOME, ready_at=0.0))
    jobs.find_job(tx, run_id)
    jobs.mark_ready(tx, run_id, at=1.0)
    jobs.waiting_jobs(tx, now=2.0)
    hold = jobs.take_job(tx, run_id, worker="ada", now=1.0, lease_s=15.0)
    assert hold is not None
    jobs.is_held(tx, run_id)
    jobs.touch_held(tx, "ada", now=2.0)
    jobs.fence(tx, run_id, hold.epoch, now=2.0)
    jobs.rest_job(tx, hold)
    jobs.hand_back(tx, run_id, hold.epoch, now=2.0)
    jobs.free_dead_jobs(tx, "bob", now=99.0, lease_s=15.0)
    jobs.free_jobs_of(tx, "ada", now=99.0)
    jobs.free_all_jobs(tx, now=99.0)
    me = workers.WorkerProcess(id="ada", role="all", host="h", pid=1, version="1", started_at=1, seen_at=1.0)
    workers.beat_worker(tx, me)
    workers.list_workers(tx)
    workers.forget_worker(tx, "ada")
    workers.forget_silent_workers(tx, before=5.0)
    seized = jobs.seize_job(tx, run_id, now=99.0)
    assert seized is not None
    return seized.epoch


def call_assistants_and_files(tx: Tx) -> None:
    assistant, file = an_assistant(), a_file(expires_at=1)
    assistants.insert_assistant(tx, assistant)
    files.insert_file(tx, file)
    for query in every_page(assistant.id, assistant.id):
        assistants.list_assistants(tx, HOME, query)
    for query in every_page(file.id, file.id):
        files.list_files(tx, HOME, query)
        files.list_files(tx, HOME, query, purpose="assistants")
    assistants.find_assistant(tx, HOME, assistant.id)
    assistants.list_declared(tx)
    assistants.update_assistant(tx, assistant.id, {"name": "n"})
    assistants.delete_assistant(tx, assistant.id)
    files.find_file(tx, HOME, file.id)
    files.list_expired_files(tx, 5.0)
    files.list_old_files(tx, before=5e9, limit=5)
    files.list_undated_files(tx, limit=5)
    files.date_files(tx, [file.id])
    files.keep_file(tx, file.id, now=1.0)
    files.hold_files(tx, HOME, [file.id])
    files.find_file_to_delete(tx, HOME, file.id)
    in_store = vector_store_files.VectorStoreFile(store_id="vs_1", file_id=file.id, project=HOME, created_at=1)
    a_store = vector_stores.VectorStore(id="vs_1", project=HOME, created_at=1, last_active_at=1)
    vector_stores.insert_vector_store(tx, a_store)
    vector_store_files.attach_files(tx, [in_store])
    vector_stores.find_vector_store(tx, HOME, "vs_1")
    vector_stores.hold_vector_store(tx, HOME, "vs_1")
    vector_stores.touch_vector_stores(tx, ["vs_1"], now=9.0)
    call_vector_stores(tx, "vs_1", in_store)
    vector_stores.list_due_stores(tx, now=5e9, limit=5)
    vector_stores.expire_vector_store(tx, "vs_1", now=9.0)
    vector_store_files.is_in_vector_store(tx, file.id)
    files.delete_file(tx, file)
    with pytest.raises(NotFoundError):
        files.find_file(tx, HOME, file.id)


def call_vector_stores(tx: Tx, store_id: str, file: vector_store_files.VectorStoreFile) -> None:
    for query in every_page(store_id, store_id):
        vector_stores.list_vector_stores(tx, HOME, query)
    vector_stores.update_vector_store(tx, store_id, {"name": "n"})
    batch = vector_store_batches.VectorStoreBatch(id=new_id("vsfb"), project=HOME, store_id=store_id, created_at=1)
    vector_store_batches.insert_batch(tx, batch, [file.file_id])
    vector_store_batches.find_batch(tx, HOME, store_id, batch.id)
    vector_store_batches.count_batch(tx, batch.id)
    for query in every_page(file.file_id, file.file_id):
        vector_store_files.list_store_files(tx, store_id, query)
        vector_store_files.list_store_files(tx, store_id, query, status="in_progress")
        vector_store_batches.list_batch_files(tx, batch.id, query)
        vector_store_batches.list_batch_files(tx, batch.id, query, status="in_progress")
    vector_store_files.find_in_store(tx, store_id, [file.file_id])
    vector_store_files.list_forgotten_files(tx, limit=5)
    vector_store_files.update_store_file(tx, store_id, file.file_id, {"job_id": "job_1", "attributes": {}})
    vector_store_files.files_of_job(tx, "job_1")
    vector_store_files.end_store_file(tx, store_id, file.file_id, job_id="job_1", changes={"status": "failed"})
    vector_store_files.count_files(tx, store_id)
    searchable.list_file_names(tx, store_id, limit=5)
    searchable.list_unready_files(tx, store_id, limit=5)
    vector_store_batches.cancel_batch(tx, batch, now=1)
    vector_store_files.find_store_file(tx, store_id, file.file_id)
    search_index.hide_file(tx, store_id, file.file_id)
    vector_store_files.leave_places(tx, file.file_id, now=1.0)
    vector_store_files.detach_file(tx, store_id, file.file_id, now=1.0)
    for query in every_page(file.file_id, file.file_id):
        vector_store_files.list_store_files(tx, store_id, query)
    vector_store_files.has_old_places(tx, now=9.0)
    vector_store_files.forget_places(tx, now=9.0)
    vector_stores.insert_vector_store(
        tx, vector_stores.VectorStore(id="vs_3", project=HOME, created_at=1, last_active_at=1)
    )
    vector_stores.delete_vector_store(tx, "vs_3")


def call_search(tx: Tx) -> None:
    file = a_file()
    files.insert_file(tx, file)
    a_store = vector_stores.VectorStore(id="vs_2", project=HOME, created_at=1, last_active_at=1)
    in_store = vector_store_files.VectorStoreFile(
        store_id="vs_2", file_id=file.id, project=HOME, created_at=1, attributes={"a": "b", "n": 1}
    )
    vector_stores.insert_vector_store(tx, a_store)
    vector_store_files.attach_files(tx, [in_store])
    index_key = search_index.open_index(tx, "vs_2")
    search_index.abandon_file(tx, search_index.stage_file(tx, index_key, now=1))
    file_key = search_index.stage_file(tx, index_key, now=1)
    segment = segment_ids.segment_id(file_key, 0, (9, 0))
    row = search_tables.Segment(id=segment, start=0, end=5, n_tokens=1, text="liver")
    search_index.add_segments(tx, index_key, [search_index.IndexedSegment(row, "liver cell^3")])
    search_vectors.insert_vectors(tx, index_key, "m", [search_vectors.StoredVector(segment, 0, b"1234")])
    assert search_index.publish_file(
        tx,
        file_key,
        store_id="vs_2",
        file_id=file.id,
        language="english",
        analyser=1,
        n_chunks=1,
        n_terms=4,
        embedded_with="m",
    )
    search_index.index_attributes(tx, "vs_2", file.id, {"a": "c", "n": 2})
    call_embedding(tx, index_key, file_key)
    search_index.read_stats(tx, "vs_2")
    call_reading(tx, index_key, segment_ids.chunk_id(file_key, 0))
    files.delete_file(tx, file)
    while search_index.purge_index(tx, now=2**31, n_segments=1):
        pass


def call_embedding(tx: Tx, index_key: int, file_key: int) -> None:
    embedded_files.mark_embedded(tx, index_key, file_key, "m")
    embedded_files.files_missing(tx, index_key, "m", limit=10)
    embedded_files.serving_models(tx, ["vs_2"])
    embedded_files.find_index(tx, "vs_2")
    embedded_files.file_texts(tx, file_key)
    embedded_files.visible_files(tx, index_key)
    embedded_files.is_visible(tx, file_key)
    embedded_files.set_size(tx, file_key, 1)
    embedded_files.serve_if_complete(tx, index_key, "m")
    search_vectors.read_file_vectors(tx, index_key, "m", file_key)
    search_vectors.insert_vectors(tx, index_key, "older", [search_vectors.StoredVector(file_key << 40, 0, b"1234")])
    search_vectors.delete_other_vectors(tx, index_key, "m")
    search_vectors.delete_file_vectors(tx, index_key, "none", file_key)
    search_vectors.first_vector(tx, index_key, "m")
    vector_graphs.find_graph(tx, index_key, "m")
    graph = vector_graphs.Graph(1, index_key, "m", 2, False, 0)
    vector_graphs.graphed_files(tx, 1)
    vector_graphs.new_files(tx, graph, limit=1)
    embedding_cache.keep_cached(tx, "m", {b"digest": b"1234"}, now=1)
    embedding_cache.find_cached(tx, "m", [b"digest"])
    embedding_cache.purge_cached(tx, until=2)


def call_reading(tx: Tx, index_key: int, chunk: int) -> None:
    assert len(postings.find_postings(tx, index_key, ["cell", "none"])["cell"]) == 1
    search_files.read_passages(tx, [chunk])
    search_files.find_indexed_files(tx, [chunk >> segment_ids.CHUNK_FILE_SHIFT])
    search_files.files_with(tx, index_key, "a")
    for comparing in ("eq", "gt", "gte", "lt", "lte"):
        search_files.files_where(tx, index_key, "a", comparing, "b")
        search_files.files_where(tx, index_key, "n", comparing, 1)
    list(search_vectors.read_vectors(tx, index_key, "m"))
    search_vectors.read_segment_vectors(tx, index_key, "m", [segment_ids.ids_of_chunk(chunk)[0]])


def call_uploads_and_blobs(tx: Tx) -> None:
    upload = uploads.Upload(
        id=new_id("upload"),
        project=HOME,
        created_at=1,
        expires_at=2,
        filename="a",
        purpose="vision",
        size_bytes=1,
        media_type="image/png",
    )
    uploads.insert_upload(tx, upload)
    uploads.find_upload(tx, HOME, upload.id)
    uploads.lock_upload(tx, HOME, upload.id)
    part = uploads.UploadPart(id=new_id("part"), upload_id=upload.id, created_at=1, size_bytes=1, blob="aa-1")
    uploads.insert_part(tx, part)
    uploads.list_parts(tx, upload.id)
    uploads.list_overdue_uploads(tx, now=5e9, limit=5)
    uploads.update_upload(tx, upload.id, {"status": "expired"})
    uploads.delete_parts(tx, upload.id)
    uploads.forget_uploads(tx, before=5.0)
    blob = blobs.new_blob("aa", now=1.0)
    blobs.insert_blob(tx, blob)
    blobs.settle_blob(tx, blob.name, now=2.0)
    blobs.find_live_blob(tx, "aa")
    blobs.hold_blob(tx, blob.name)
    blobs.release_blob(tx, blob.name, now=3.0)
    blobs.release_blob(tx, "bb", now=3.0)
    blobs.give_up_blob(tx, blob.name, now=3.0)
    blobs.abandon_blobs(tx, before=3.0, now=3.0)
    blobs.list_dead_blobs(tx, limit=5)
    blobs.delete_blob(tx, blob.name)
    code_files.THREADS.owners(tx, "file-1")
    put_thread(tx, tool_resources={"code_interpreter": {"file_ids": ["file-x"]}})
    tool_resources.is_listed_by_assistant(tx, "file-x")
    tool_resources.forget_code_file(tx, "file-x")


def call_webhooks(tx: Tx) -> None:
    delivery = a_delivery()
    webhook_deliveries.insert_deliveries(tx, [delivery])
    for query in every_page(delivery.id, delivery.id):
        webhook_deliveries.list_deliveries(tx, HOME, query)
        webhook_deliveries.list_deliveries(tx, HOME, query, status="failed")
        webhook_deliveries.list_deliveries(tx, HOME, query, subject_id="run_1")
        webhook_deliveries.list_deliveries(tx, HOME, query, status="pending", type="run.failed", webhook="crm")
    webhook_deliveries.find_delivery(tx, HOME, delivery.id)
    webhook_deliveries.load_delivery(tx, delivery.id)
    webhook_deliveries.update_delivery(tx, delivery.id, {"status": "failed", "attempts": [], "ended_at": 1})
    webhook_deliveries.has_expired_deliveries(tx, 5.0)
    webhook_deliveries.expire_deliveries(tx, 5.0)
    disabled_webhooks.disable_webhook(tx, disabled_webhooks.DisabledWebhook(name="crm", url_hash="00ff", disabled_at=1))
    disabled_webhooks.list_disabled_webhooks(tx)
    disabled_webhooks.enable_webhook(tx, "crm")


def call_schedules(tx: Tx) -> None:
    schedule = schedules.Schedule(
        id=new_id("sched"),
        project=HOME,
        created_at=1,
        cron="* * * * *",
        assistant_id="asst_1",
        message="Hi",
        next_at=60,
    )
    schedules.insert_schedule(tx, schedule)
    for query in every_page(schedule.id, schedule.id):
        schedules.list_schedules(tx, HOME, query)
    for query in every_page(new_id("run"), new_id("run")):
        runs.list_scheduled_runs(tx, HOME, schedule.id, query)
    schedules.find_schedule(tx, HOME, schedule.id)
    schedules.lock_schedule(tx, schedule.id)
    schedules.list_declared_schedules(tx)
    schedules.list_coming(tx, limit=5)
    schedules.claim_due(tx, schedule.id, seen=60, next_at=120, due_at=60)
    schedules.update_schedule(tx, schedule.id, {"error": "x"})
    schedules.delete_schedule(tx, schedule.id)


class _UndoError(Exception):
    """Ends a transaction without keeping anything."""


def seen_by(tx: Tx) -> dict[str, Any]:
    """All statements of the store with some values."""
    real = tx.dbapi
    recorder = Recorder(real)
    tx.dbapi = recorder  # type: ignore[assignment]
    call_everything(tx)
    tx.dbapi = real
    return recorder.seen


# Whoever lists the assistants or schedules of agents.toml wants them all.
# What is swept up next is whatever comes first of what is hidden, which an index of its own holds.
# What a recursive query has found is one row at a time.
MAY_BE_SCANNED = {
    "SCAN CONSTANT ROW",
    "SCAN found",
    "SCAN assistant USING INDEX ix_assistant_shared",
    "SCAN schedule USING INDEX ix_schedule_declared",
    "SCAN indexed_file USING INDEX ix_indexed_file_hidden",
    "SCAN vector_store_file USING INDEX ix_vector_store_file_forgotten",
}
# The keyword index is a table that SQLite knows nothing of but that it looks things up by itself.
LOOKED_UP_BY_ITSELF = "segment_terms VIRTUAL TABLE"

# Patterns: another index would do as well in a short thread, and cost a look at every row of a long one.
EXPECTED = {
    "AND NOT is_held": "uq_run_active_thread",
    "AND is_held": "ix_run_held",
    "AND run.expires_at <=": "ix_run_live",
    "AND run.ended_at": "ix_run_ended",
    "run.schedule_id =": "ix_run_schedule",
    "next_at IS NOT NULL": "ix_schedule_next",
    "type = 'tool_calls'": "ix_run_step_tool",
    "ORDER BY message.turn_pos": "ix_message_thread_turn",
    "AND message.run_id = ": "ix_message_run",
    'run.project = \\S+( COLLATE "C")? AND run.status = .+ ORDER BY': "ix_run_status_created",
    "AND run.assistant_id = .+ ORDER BY": "ix_run_(assistant|status)_created",
    "run.thread_id = .+ IN .+ ORDER BY run.position": "ix_run_thread_position",
    "run.id >= .+ ORDER BY": "pk_run|sqlite_autoindex_run",
    "AND webhook_delivery.subject_id = ": "ix_webhook_delivery_project_subject",
    "AND file.purpose = ": "ix_file_project_",  # few purposes: the planner may walk all files of the project in order
}


def troubles_of(sql: str, steps: list[str]) -> list[str]:
    if "FROM worker" in sql or "UPDATE worker" in sql:  # as many rows as processes
        return []
    if "disabled_webhook" in sql:  # as many rows as endpoints
        return []
    # PostgreSQL thinks by a sample that most stores have one file, and counting that needs no order; SQLite does not.
    bad = {"Seq Scan"} if "GROUP BY" in sql else {"Seq Scan", "Sort"}
    found = [step for step in steps if step in bad or "TEMP B-TREE" in step]
    found += [
        step for step in steps if "SCAN" in step and step not in MAY_BE_SCANNED and LOOKED_UP_BY_ITSELF not in step
    ]
    if "ORDER BY" in sql or "LIMIT" in sql:
        for words, index in EXPECTED.items():
            if re.search(words, sql, re.DOTALL) and not any(re.search(index, step) for step in steps):
                found.append(f"not {index} but {steps}")
    return [f"{trouble}: {sql}" for trouble in found]


def sqlite_troubles(tx: Tx) -> list[str]:
    found = []
    for sql, values in seen_by(tx).items():
        cursor = tx.dbapi.cursor()
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}", values)
        found += troubles_of(sql, [step for *_, step in cursor.fetchall()])
    return found


def postgres_troubles(tx: Tx) -> list[str]:
    for statement in (Path(__file__).parent / "many_rows.sql").read_text().split(";"):
        tx.conn.exec_driver_sql(statement)
    found = []
    for sql, values in seen_by(tx).items():
        cursor = tx.dbapi.cursor()
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", values)
        found += troubles_of(sql, list(steps_of(cursor.fetchall()[0][0][0]["Plan"])))
    return found


def steps_of(plan: dict[str, Any]) -> Iterator[str]:
    yield plan["Node Type"]
    yield plan.get("Index Name", "")
    for part in plan.get("Plans", []):
        yield from steps_of(part)


async def test_no_statement_reads_a_whole_table_or_sorts(store: Store) -> None:
    troubles: list[str] = []

    def look(tx: Tx) -> None:
        nonlocal troubles
        troubles = sqlite_troubles(tx) if tx.conn.dialect.name == "sqlite" else postgres_troubles(tx)
        raise _UndoError

    with pytest.raises(_UndoError):
        await store.write(look)
    assert not troubles, "\n".join(troubles)
