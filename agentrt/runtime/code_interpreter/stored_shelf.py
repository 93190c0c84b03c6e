"""The Shelf of a thread's code session in the database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterable, Sequence
from typing import Final

from agentrt.clock import Clock
from agentrt.engine.message import JsonObject, JsonValue
from agentrt.engine.spec import RunSpec
from agentrt.runtime.code_interpreter.shelf import Held, Kept, Remembered, free_path
from agentrt.runtime.files import Files
from agentrt.store.code_sessions import (
    CodeFile,
    CodeSession,
    find_code_session,
    list_code_files,
    put_code_files,
    put_code_session,
)
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, find_file, find_files
from agentrt.store.threads import find_thread

PURPOSE: Final = "assistants_output"


class StoredShelf:
    """See Shelf. holder: this process, to whoever else may have the session.

    check: raises FencedError in the transaction of a driver that has lost its run; None = nobody drives one.
    """

    def __init__(
        self,
        store: Store,
        files: Files,
        clock: Clock,
        *,
        holder: str,
        project: str,
        thread_id: str,
        sandbox: str,
        check: Callable[[Tx], None] | None = None,
    ) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._holder = holder
        self._project = project
        self._thread_id = thread_id
        self._sandbox = sandbox
        self._check = check

    async def open(self, spec: RunSpec | None) -> Remembered:
        """See Shelf.open."""
        found, new = await self._store.read(lambda tx: self._look(tx, spec))
        if new:
            found, _ = await self._store.write(lambda tx: self._look(tx, spec, writes=True))
        return found

    async def read(self, file: Held) -> AsyncGenerator[bytes, None]:
        """See Shelf.read."""
        stored = await self._store.read(lambda tx: find_file(tx, self._project, file.file_id))
        async for piece in await self._files.content(stored):
            yield piece

    async def keep(self, name: str, data: AsyncIterable[bytes], *, unless_sha256: str | None = None) -> Kept | None:
        """See Shelf.keep."""
        async with self._files.receive(data) as received:
            if received.sha256 == unless_sha256:
                return None
            file = await self._files.keep(self._project, received, filename=name, purpose=PURPOSE)
        return Kept(file.id, received.sha256, file.size_bytes)

    async def remember(self, box_id: str, *, made: Sequence[Held] = (), gone: Collection[str] = ()) -> None:
        """See Shelf.remember."""

        def write(tx: Tx) -> None:
            known = {row.path: row for row in list_code_files(tx, self._thread_id, self._sandbox)}
            rows = [self._row(file) for file in made]
            rows += [known[path].model_copy(update={"is_gone": True}) for path in gone if path in known]
            put_code_files(tx, rows)
            session = CodeSession(
                thread_id=self._thread_id,
                sandbox=self._sandbox,
                project=self._project,
                holder=self._holder,
                box_id=box_id,
                synced_at=self._clock.now(),
            )
            put_code_session(tx, session)
            if self._check is not None:  # the last: its row is locked behind the thread's, as everywhere
                self._check(tx)

        await self._store.write(write)

    def _look(self, tx: Tx, spec: RunSpec | None, *, writes: bool = False) -> tuple[Remembered, list[CodeFile]]:
        """What is remembered, and the new inputs that got their place for it."""
        session = find_code_session(tx, self._thread_id, self._sandbox)
        rows = list_code_files(tx, self._thread_id, self._sandbox)
        wanted = [] if spec is None else self._wanted(tx, spec)
        stored = find_files(tx, self._project, {row.file_id for row in rows}.union(wanted))
        taken, placed = {row.path for row in rows}, {file_id for row in rows for file_id in (row.file_id, row.input_id)}
        new: list[CodeFile] = []
        for file_id in wanted:
            if file_id in stored and file_id not in placed:
                path = free_path(stored[file_id].filename, taken)
                taken.add(path)
                placed.add(file_id)
                new.append(self._row(_held(path, stored[file_id])))
        if writes:
            put_code_files(tx, new)
        found = Remembered(
            box_id="" if session is None else session.box_id,
            is_ours=session is None or session.holder == self._holder,
            synced_at=0.0 if session is None else session.synced_at,
            files=tuple(_of_row(row, stored.get(row.file_id)) for row in [*rows, *new] if not row.is_gone),
        )
        return found, new

    def _wanted(self, tx: Tx, spec: RunSpec) -> list[str]:
        """Ids of the files that the run's assistant and thread give to code, each once."""
        thread = find_thread(tx, self._project, self._thread_id)
        return list(dict.fromkeys([*_code_files(spec.tool_resources), *_code_files(thread.tool_resources)]))

    def _row(self, file: Held) -> CodeFile:
        return CodeFile(
            thread_id=self._thread_id,
            sandbox=self._sandbox,
            path=file.path,
            file_id=file.file_id,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            input_id=file.input_id,
        )


async def session_project(store: Store, thread_id: str, sandbox: str) -> str | None:
    """Whose session it is; None when nothing is remembered of it, or nothing any more."""
    session = await store.read(lambda tx: find_code_session(tx, thread_id, sandbox))
    return None if session is None else session.project


def _held(path: str, file: File) -> Held:
    return Held(
        path=path,
        file_id=file.id,
        sha256=file.digest,
        size_bytes=file.size_bytes,
        name=file.filename,
        input_id=file.id,
    )


def _of_row(row: CodeFile, file: File | None) -> Held:
    return Held(
        path=row.path,
        file_id=row.file_id,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        name=row.path if file is None else file.filename,
        input_id=row.input_id,
        is_lost=file is None,
    )


def _code_files(resources: JsonObject) -> Iterable[str]:
    code: JsonValue = resources.get("code_interpreter")
    file_ids = code.get("file_ids") if isinstance(code, dict) else None
    return [file_id for file_id in file_ids if isinstance(file_id, str)] if isinstance(file_ids, list) else []
