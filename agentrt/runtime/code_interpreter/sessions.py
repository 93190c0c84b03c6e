"""Code sessions of the service: one for each thread and kind of sandbox, with its files in the database.

A session belongs to the process that had it last. Another one that drives a run of the thread opens a new sandbox,
with the files and without the variables, and the model is told so (docs/decisions/0017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from agentrt.clock import Clock
from agentrt.config.schema import SandboxSpec
from agentrt.engine.spec import RunSpec
from agentrt.runtime.code_interpreter.boxes import PooledBoxes
from agentrt.runtime.code_interpreter.folder import Folders
from agentrt.runtime.code_interpreter.owner import SandboxOwner
from agentrt.runtime.code_interpreter.sandboxes import Sandboxes
from agentrt.runtime.code_interpreter.stored_shelf import StoredShelf, session_project
from agentrt.runtime.code_interpreter.tool import CodeRunner, store_harvest
from agentrt.runtime.files import Files
from agentrt.sandbox.sandbox import Sandbox
from agentrt.store.database import Store, Tx


class CodeSessions:
    """The sandboxes of a runtime, and what stands in them. folder: where this process's name is, see SandboxOwner."""

    def __init__(
        self, specs: Mapping[str, SandboxSpec], *, store: Store, files: Files, clock: Clock, folder: Path
    ) -> None:
        self._store = store
        self._files = files
        self._clock = clock
        self._folders = Folders()
        self._owner = SandboxOwner(folder)
        self.sandboxes = Sandboxes(specs, owner=lambda: self._owner.name, clock=clock, save=self._save)

    def runner(self, spec: RunSpec, project: str, *, max_output_bytes: int, check: Callable[[Tx], None]) -> CodeRunner:
        """code_interpreter for one run. check: see StoredShelf."""
        boxes = PooledBoxes(self.sandboxes, spec.sandbox, spec.thread_id)
        shelf = self._shelf(project, spec.thread_id, spec.sandbox, check)
        return CodeRunner(boxes, shelf, self._folders, max_output_bytes=max_output_bytes)

    def release(self) -> None:
        """When `sandboxes.serve` has ended: let another process have our name."""
        self._owner.release()

    def _shelf(
        self, project: str, thread_id: str, sandbox: str, check: Callable[[Tx], None] | None = None
    ) -> StoredShelf:
        return StoredShelf(
            self._store,
            self._files,
            self._clock,
            holder=self._owner.name,
            project=project,
            thread_id=thread_id,
            sandbox=sandbox,
            check=check,
        )

    async def _save(self, sandbox: str, thread_id: str, box: Sandbox) -> None:
        """Keep what stands in the folder of a session that is to be removed, as far as it is not kept yet."""
        project = await session_project(self._store, thread_id, sandbox)
        if project is None:
            return
        shelf = self._shelf(project, thread_id, sandbox)
        remembered = await shelf.open(None)
        if not remembered.is_ours or remembered.box_id != box.box_id:
            return  # another process has the session, with newer files
        folder = self._folders.of(box, max_bytes=self.sandboxes.spec(sandbox).limits.disk_bytes)
        await store_harvest(shelf, box.box_id, remembered, await folder.harvest(remembered, shelf))
