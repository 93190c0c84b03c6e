"""Rows for tests of the store: every field has a value unless the test names one."""

from __future__ import annotations

from typing import Any

from agentrt.engine.run import Run
from agentrt.engine.spec import RunSpec
from agentrt.ids import new_id, time_of
from agentrt.store.assistants import Assistant
from agentrt.store.database import Tx
from agentrt.store.files import File
from agentrt.store.messages import Message, insert_messages
from agentrt.store.run_steps import RunStep
from agentrt.store.runs import StoredRun, encode_spec, encode_state, insert_run
from agentrt.store.threads import Thread, insert_thread, take_positions
from agentrt.store.webhook_deliveries import WebhookDelivery

HOME = "default"


def a_thread(**fields: Any) -> Thread:
    """A thread, made in the second that its id tells."""
    thread_id = new_id("thread")
    values: dict[str, Any] = {"id": thread_id, "project": HOME, "created_at": _second_of(thread_id)}
    return Thread(**{**values, **fields})


def a_message(thread: Thread, pos: int, **fields: Any) -> Message:
    """A user's message at a place of the thread."""
    message_id = new_id("msg")
    values: dict[str, Any] = {
        "id": message_id,
        "project": thread.project,
        "thread_id": thread.id,
        "pos": pos,
        "turn_pos": pos,
        "created_at": _second_of(message_id),
        "role": "user",
        "parts": [{"type": "text", "text": f"message {pos}"}],
    }
    return Message(**{**values, **fields})


def a_run(thread: Thread, position: int, **fields: Any) -> StoredRun:
    """A queued run at a place of the thread."""
    run_id = new_id("run")
    spec = RunSpec(id=run_id, thread_id=thread.id, assistant_id="asst_1", created_at=1, model="demo", position=position)
    values: dict[str, Any] = {
        "id": run_id,
        "project": thread.project,
        "thread_id": thread.id,
        "assistant_id": "asst_1",
        "position": position,
        "status": "queued",
        "created_at": _second_of(run_id),
        "expires_at": 2_000_000_000,
        "spec": encode_spec(spec),
        "state": encode_state(Run(spec=spec)),
    }
    return StoredRun(**{**values, **fields})


def a_step(run: StoredRun, pos: int, **fields: Any) -> RunStep:
    """A step of the run that wrote a message."""
    step_id = new_id("step")
    values: dict[str, Any] = {
        "id": step_id,
        "project": run.project,
        "thread_id": run.thread_id,
        "run_id": run.id,
        "assistant_id": run.assistant_id,
        "pos": pos,
        "turn_pos": run.position,
        "type": "message_creation",
        "created_at": _second_of(step_id),
    }
    return RunStep(**{**values, **fields})


def an_assistant(**fields: Any) -> Assistant:
    """An assistant made through the API."""
    assistant_id = new_id("asst")
    values: dict[str, Any] = {
        "id": assistant_id,
        "project": HOME,
        "created_at": _second_of(assistant_id),
        "model": "demo",
    }
    return Assistant(**{**values, **fields})


def a_file(**fields: Any) -> File:
    """A file of three bytes."""
    file_id = new_id("file")
    values: dict[str, Any] = {
        "id": file_id,
        "project": HOME,
        "created_at": _second_of(file_id),
        "filename": "notes.txt",
        "size_bytes": 3,
        "purpose": "assistants",
        "sha256": "00ff",
    }
    return File(**{**values, **fields})


def a_delivery(**fields: Any) -> WebhookDelivery:
    """A delivery that waits for its first try."""
    delivery_id = new_id("delivery")
    values: dict[str, Any] = {
        "id": delivery_id,
        "project": HOME,
        "created_at": _second_of(delivery_id),
        "webhook": "crm",
        "event_id": "evt_1",
        "type": "run.completed",
        "subject_id": "run_1",
        "payload": "{}",
        "job_id": "job_1",
        "next_at": 1.0,
    }
    return WebhookDelivery(**{**values, **fields})


def put_thread(tx: Tx, n_messages: int = 0, **fields: Any) -> Thread:
    """A stored thread with some messages."""
    thread = a_thread(**fields)
    insert_thread(tx, thread)
    if n_messages:
        first = take_positions(tx, thread.id, n_messages, now=thread.created_at)
        insert_messages(tx, [a_message(thread, first + i) for i in range(n_messages)])
    return thread


def put_run(tx: Tx, thread: Thread, **fields: Any) -> StoredRun:
    """A stored run at the thread's next place."""
    run = a_run(thread, take_positions(tx, thread.id, 1, now=thread.created_at)).model_copy(update=fields)
    insert_run(tx, run)
    return run


def _second_of(object_id: str) -> int:
    made_at = time_of(object_id)
    assert made_at is not None
    return int(made_at)
