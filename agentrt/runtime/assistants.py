"""Assistants: create, change, delete; and the ones that agents.toml declares, kept in step with it at every start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.exc import IntegrityError

from agentrt.clock import Clock
from agentrt.config.schema import DEFAULT_PROJECT
from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.message import JsonObject
from agentrt.errors import NotFoundError, PermissionDeniedError
from agentrt.ids import new_id
from agentrt.runtime.requests import NewAssistant
from agentrt.runtime.resources import resolve_resources
from agentrt.store.assistants import (
    MADE_BY_API,
    Assistant,
    delete_assistant,
    find_assistant,
    insert_assistant,
    list_declared,
    update_assistant,
)
from agentrt.store.database import Store, Tx


class Assistants:
    """What callers do to assistants. check_model: raises ModelNotFoundError for a name that no model answers to."""

    def __init__(
        self, *, store: Store, dispatcher: Dispatcher, clock: Clock, check_model: Callable[[str], None]
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._check_model = check_model

    async def create(self, project: str, new: NewAssistant) -> Assistant:
        """Raises NotFoundError for files and stores that do not exist, ModelNotFoundError."""
        self._check_model(new.model)

        def write(tx: Tx) -> Assistant:
            now = self._clock.now()
            assistant = Assistant(
                id=new_id("asst"),
                project=project,
                created_at=int(now),
                name=new.name,
                description=new.description,
                model=new.model,
                instructions=new.instructions,
                tools=msgspec.to_builtins(new.tools),
                tool_resources=self._resolve(tx, project, new.tool_resources),
                meta=new.metadata,
                temperature=new.temperature,
                top_p=new.top_p,
                response_format=msgspec.to_builtins(new.response_format),
                reasoning_effort=new.reasoning_effort,
            )
            insert_assistant(tx, assistant)
            return assistant

        return await self._store.write(write)

    async def update(self, project: str, assistant_id: str, changes: Mapping[str, Any]) -> Assistant:
        """Replace the given fields of NewAssistant; absent ones stay.

        Raises NotFoundError, ModelNotFoundError, PermissionDeniedError for a declared agent of another project.
        """
        if "model" in changes:
            self._check_model(changes["model"])

        def write(tx: Tx) -> Assistant:
            assistant = _changeable(tx, project, assistant_id)
            columns: dict[str, Any] = {_COLUMNS.get(k, k): msgspec.to_builtins(v) for k, v in changes.items()}
            if "tool_resources" in changes:
                resources = self._resolve(tx, project, changes["tool_resources"])
                columns["tool_resources"] = assistant.tool_resources | resources
            update_assistant(tx, assistant_id, columns)
            return find_assistant(tx, project, assistant_id)

        return await self._store.write(write)

    async def delete(self, project: str, assistant_id: str) -> None:
        """Raises NotFoundError, PermissionDeniedError. A declared agent comes back at the next start."""

        def write(tx: Tx) -> None:
            _changeable(tx, project, assistant_id)
            delete_assistant(tx, assistant_id)

        await self._store.write(write)

    async def declare(self, declared: Sequence[Assistant]) -> None:
        """Make the declared assistants what agents.toml says now; those it no longer names go.

        What has not changed in the file keeps what the API changed since.
        """

        def write(tx: Tx) -> None:
            known = {a.id: a for a in (find_assistant(tx, DEFAULT_PROJECT, i) for i in list_declared(tx))}
            for gone in known.keys() - {a.id for a in declared}:
                delete_assistant(tx, gone)
            for assistant in declared:
                _put(tx, known.get(assistant.id), assistant)

        await self._write_known(write)

    async def put(self, assistant: Assistant) -> None:
        """Make an assistant of the embedding program known, or bring it up to date."""

        def write(tx: Tx) -> None:
            try:
                known = find_assistant(tx, assistant.project, assistant.id)
            except NotFoundError:
                known = None
            _put(tx, known, assistant)

        await self._write_known(write)

    def _resolve(self, tx: Tx, project: str, requested: JsonObject) -> JsonObject:
        now = self._clock.now()
        return resolve_resources(tx, project, requested, dispatcher=self._dispatcher, now=now, expires_after_days=None)

    async def _write_known(self, write: Callable[[Tx], None]) -> None:
        try:
            await self._store.write(write)
        except IntegrityError:
            # Another process that starts at this moment was first: now it finds what that one wrote.
            await self._store.write(write)


_COLUMNS = {"metadata": "meta"}


def _put(tx: Tx, known: Assistant | None, assistant: Assistant) -> None:
    if known is None:
        insert_assistant(tx, assistant)
    elif known.declared_hash != assistant.declared_hash:
        update_assistant(tx, assistant.id, {**dict(assistant), "created_at": known.created_at})


def _changeable(tx: Tx, project: str, assistant_id: str) -> Assistant:
    assistant = find_assistant(tx, project, assistant_id)
    if assistant.origin != MADE_BY_API and project != DEFAULT_PROJECT:
        raise PermissionDeniedError(
            f"The assistant {assistant_id} is declared in agents.toml or in code and can be changed only in the "
            f"project '{DEFAULT_PROJECT}'."
        )
    return assistant
