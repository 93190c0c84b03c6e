"""Threads and their messages: create, add, change, delete. Reading is plain store functions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from agentrt.clock import Clock
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.message import JsonObject, Part
from agentrt.errors import ThreadBusyError
from agentrt.ids import new_id
from agentrt.runtime.busy import busy_policy, request_cancel
from agentrt.runtime.requests import NewMessage, NewThread, OnBusy
from agentrt.runtime.resources import THREAD_STORE_DAYS, attach, resolve_resources
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import finish_jobs_of_thread
from agentrt.store.messages import Message, delete_message, find_message, insert_messages, update_message
from agentrt.store.runs import find_active_run, list_live_runs
from agentrt.store.threads import (
    Thread,
    date_threads,
    delete_inactive_thread,
    delete_thread,
    find_thread,
    hour_of,
    insert_thread,
    list_inactive_threads,
    list_undated_threads,
    lock_thread,
    take_positions,
    touch_thread,
    update_thread,
)

_DATED_AT_ONCE = 200
_DELETED_AT_ONCE = 50


class Threads:
    """What callers do to threads and messages."""

    def __init__(self, *, store: Store, dispatcher: Dispatcher, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._bus = bus
        self._clock = clock

    async def create(self, project: str, new: NewThread) -> Thread:
        """A thread with its first messages. Raises NotFoundError for files and stores that do not exist."""
        return await self._store.write(
            lambda tx: create_thread(tx, project, new, dispatcher=self._dispatcher, now=self._clock.now())
        )

    async def update(
        self, project: str, thread_id: str, *, metadata: dict[str, str] | None, tool_resources: JsonObject | None
    ) -> Thread:
        """Replace what is given; None leaves it. Raises NotFoundError."""

        def write(tx: Tx) -> Thread:
            thread = find_thread(tx, project, thread_id)
            changes: dict[str, Any] = {}
            if tool_resources is not None:
                lock_thread(tx, thread_id)  # before files, as messages do; and what one of them has just given it stays
                thread = find_thread(tx, project, thread_id)
                kept = resolve_resources(
                    tx,
                    project,
                    tool_resources,
                    dispatcher=self._dispatcher,
                    now=self._clock.now(),
                    expires_after_days=THREAD_STORE_DAYS,
                )
                changes["tool_resources"] = thread.tool_resources = {**thread.tool_resources, **kept}
            if metadata is not None:
                changes["meta"] = thread.meta = metadata
            update_thread(tx, thread_id, changes)
            return thread

        return await self._store.write(write)

    async def delete(self, project: str, thread_id: str) -> None:
        """Delete a thread with all that is in it; a run that is active on it stops. Raises NotFoundError."""

        def write(tx: Tx) -> None:
            find_thread(tx, project, thread_id)
            lock_thread(tx, thread_id)  # before its jobs, as their drivers do
            live = list_live_runs(tx, thread_id)
            finish_jobs_of_thread(tx, thread_id)
            delete_thread(tx, thread_id)
            self._bus.notify(tx, "cancel", live)
            self._bus.notify(tx, "gone", [*live, thread_id])

        await self._store.write(write)

    async def delete_inactive(self, *, before: float) -> int:
        """Delete the threads in which nothing has happened since a time, of every project; how many there were.

        A run that waits for its caller keeps its thread.
        """
        while undated := await self._store.read(lambda tx: list_undated_threads(tx, limit=_DATED_AT_ONCE)):
            await self._store.write(partial(date_threads, thread_ids=undated, now=self._clock.now()))
        n = 0
        while found := await self._store.read(
            lambda tx: list_inactive_threads(tx, before=before, limit=_DELETED_AT_ONCE)
        ):
            for thread_id in found:
                n += await self._store.write(partial(self._forget, thread_id=thread_id, before=before))
        return n

    async def add_message(
        self, project: str, thread_id: str, new: NewMessage, *, on_busy: OnBusy | None = None
    ) -> Message:
        """Add a message. Raises NotFoundError, ThreadBusyError when a run is active and the policy is `reject`."""

        def write(tx: Tx) -> Message:
            thread = find_thread(tx, project, thread_id)
            pos = take_positions(tx, thread_id, 1, now=self._clock.now())
            active = find_active_run(tx, thread_id)
            if active is not None:
                policy = busy_policy(tx, on_busy, thread, active.assistant_id)
                if policy == "reject":
                    raise ThreadBusyError(thread_id=thread_id, run_id=active.id, adding="message")
                if policy == "interrupt":
                    request_cancel(tx, active.id, now=self._clock.now(), bus=self._bus, dispatcher=self._dispatcher)
            return add_messages(tx, thread, [new], first_pos=pos, dispatcher=self._dispatcher, now=self._clock.now())[0]

        return await self._store.write(write)

    async def update_message(
        self, project: str, thread_id: str, message_id: str, *, metadata: dict[str, str] | None
    ) -> Message:
        """Replace the metadata; None leaves it. Raises NotFoundError."""

        def write(tx: Tx) -> Message:
            message = find_message(tx, project, thread_id, message_id)
            if metadata is not None:
                message.meta = metadata
                update_message(tx, message_id, {"meta": metadata})
            return message

        return await self._store.write(write)

    async def delete_message(self, project: str, thread_id: str, message_id: str) -> None:
        """Raises NotFoundError."""

        def write(tx: Tx) -> None:
            find_message(tx, project, thread_id, message_id)
            delete_message(tx, message_id)

        await self._store.write(write)

    def _forget(self, tx: Tx, *, thread_id: str, before: float) -> bool:
        if list_live_runs(tx, thread_id):
            touch_thread(tx, thread_id, now=self._clock.now())
            return False
        return delete_inactive_thread(tx, thread_id, before=before)


def create_thread(
    tx: Tx, project: str, new: NewThread, *, dispatcher: Dispatcher, now: float, n_places: int = 0
) -> Thread:
    """Insert a thread and its first messages. n_places: how many places behind them are taken already."""
    resources = resolve_resources(
        tx, project, new.tool_resources, dispatcher=dispatcher, now=now, expires_after_days=THREAD_STORE_DAYS
    )
    thread = Thread(
        id=new_id("thread"),
        project=project,
        created_at=int(now),
        meta=new.metadata,
        tool_resources=resources,
        next_pos=len(new.messages) + n_places,
        active_at=hour_of(now),
        on_busy=new.on_busy,
    )
    insert_thread(tx, thread)
    add_messages(tx, thread, new.messages, first_pos=0, dispatcher=dispatcher, now=now)
    return thread


def add_messages(
    tx: Tx, thread: Thread, new: Sequence[NewMessage], *, first_pos: int, dispatcher: Dispatcher, now: float
) -> list[Message]:
    """Insert messages at places that are reserved, and give their attachments to the thread."""
    messages = [
        Message(
            id=new_id("msg"),
            project=thread.project,
            thread_id=thread.id,
            pos=first_pos + i,
            turn_pos=first_pos + i,
            created_at=int(now),
            role=message.role,
            parts=parts_json(message.parts),
            attachments=_attachments_json(message),
            meta=message.metadata,
            completed_at=int(now),
        )
        for i, message in enumerate(new)
    ]
    for message in new:
        attach(tx, thread, message.attachments or (), dispatcher=dispatcher, now=now)
    insert_messages(tx, messages)
    return messages


def parts_json(parts: Sequence[Part]) -> list[JsonObject]:
    """Parts as a message's row keeps them."""
    found: list[JsonObject] = msgspec.to_builtins(tuple(parts))
    return list(found)


def _attachments_json(message: NewMessage) -> list[JsonObject] | None:
    if message.attachments is None:
        return None
    return [{"file_id": a.file_id, "tools": [{"type": tool} for tool in a.tools]} for a in message.attachments]
