"""The code_interpreter tool of a run: code goes into the thread's sandbox, what it shows and writes comes out.

Where sandboxes come from, and where files are kept, are ports: the service's are sessions.py and stored_shelf.py,
an Agent's in memory local_sessions.py and memory_shelf.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from agentrt.config.schema import SandboxSpec
from agentrt.engine.code_input import read_code
from agentrt.engine.message import Annotation, CodeShown, MadeFile, ToolCall, ToolResult
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool, RunSpec
from agentrt.errors import AgentrtError, SandboxError, SandboxGoneError
from agentrt.runtime.code_interpreter.folder import Folder, Folders, Harvest
from agentrt.runtime.code_interpreter.links import LINK, find_links
from agentrt.runtime.code_interpreter.output import Transcript, bursts
from agentrt.runtime.code_interpreter.shelf import Held, Remembered, Shelf, one_piece
from agentrt.runtime.code_interpreter.words import NO_CODE, NO_OUTPUT, after_words, code_function, notes
from agentrt.runtime.hosted import Piece
from agentrt.sandbox.driver import Capabilities
from agentrt.sandbox.events import CallEvent, Display, FileWritten, Finished, Output
from agentrt.sandbox.sandbox import Sandbox

log = logging.getLogger(__name__)

_FENCE = re.compile(r"\s*```[a-zA-Z0-9]*[ \t]*\n(.*?)\n?```\s*", re.DOTALL)
_SUFFIXES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}
_LOST: Final = "Its variables are lost; files that earlier calls wrote are kept."


class Known(NamedTuple):
    """What is known of a kind of sandbox before a call is made. None, empty: nothing yet."""

    capabilities: Capabilities | None = None
    packages: tuple[str, ...] = ()


class Boxes(Protocol):
    """Where the sandbox of one session comes from."""

    @property
    def spec(self) -> SandboxSpec: ...

    async def look(self) -> Known:
        """What can be told to a model; waits for a moment until it is known."""
        ...

    def session(self, *, is_ours: bool) -> AbstractAsyncContextManager[Sandbox]:
        """The session's sandbox, for the length of the block. is_ours: False does not take one that we had before.

        Raises SandboxError with what was tried and how to get it.
        """
        ...

    def find(self) -> Sandbox | None:
        """The session's sandbox if there is one now."""
        ...


class CodeRunner:
    """A HostedTool: code_interpreter in one run, with the session of its thread.

    max_output_bytes: what a model, and a step, get of one call's output.
    """

    def __init__(self, boxes: Boxes, shelf: Shelf, folders: Folders, *, max_output_bytes: int) -> None:
        self._boxes = boxes
        self._shelf = shelf
        self._folders = folders
        self._max_output_bytes = max_output_bytes
        self._turn = asyncio.Lock()
        self._remembered: Remembered | None = None

    async def offer(self, spec: RunSpec) -> FunctionTool | None:
        """See HostedTool.offer. Offered also where nothing isolates: the call says then what is missing."""
        known = await self._boxes.look()
        remembered = await self._recall(spec)
        return code_function(self._boxes.spec, known.capabilities, known.packages, remembered.files)

    async def run(self, run: Run, call: ToolCall) -> AsyncGenerator[Piece | ToolResult, None]:
        """See HostedTool.run. One call at a time."""
        code = _unfenced(read_code(call.arguments))
        if not code.strip():
            yield ToolResult(call.id, NO_CODE, "invalid_arguments")
            return
        transcript = Transcript(self._max_output_bytes)
        async with self._turn:
            try:
                async with aclosing(self._run(run, call, code, transcript)) as found:
                    async for item in found:
                        yield item
                return
            except SandboxGoneError as error:
                log.warning("code.sandbox_gone", extra={"run": run.spec.id, "why": error.message})
                code_name, words = "sandbox_gone", f"{error.message} {_LOST}"
            except AgentrtError as error:
                log.warning("code.failed", extra={"run": run.spec.id, "error": type(error).__name__})
                code_name, words = "unavailable", error.message
            for piece in (transcript.print(_on_new_line(transcript, words)), transcript.end()):
                if piece is not None:
                    yield piece
            yield ToolResult(call.id, transcript.text, code_name, CodeShown(outputs=transcript.outputs))

    async def annotate(self, run: Run, text: str) -> tuple[Annotation, ...]:
        """See HostedTool.annotate: links to files of this session, also those that earlier runs wrote."""
        if LINK not in text:
            return ()
        remembered = await self._recall(run.spec)
        links = find_links(text, _linkable(remembered))
        box = self._boxes.find()
        is_current = box is not None and remembered.is_ours and remembered.box_id == box.box_id
        if links.has_unknown and box is not None and is_current and not box.is_busy:
            # What a program in the background wrote since the last call.
            try:
                await self._keep(box, self._folder(box), remembered)
            except SandboxError as error:
                log.info("code.not_looked_again", extra={"run": run.spec.id, "why": error.message})
            links = find_links(text, _linkable(await self._recall(run.spec)))
        return links.found

    async def _recall(self, spec: RunSpec) -> Remembered:
        if self._remembered is None:
            self._remembered = await self._shelf.open(spec)
        return self._remembered

    def _folder(self, box: Sandbox) -> Folder:
        return self._folders.of(box, max_bytes=self._boxes.spec.limits.disk_bytes)

    async def _run(
        self, run: Run, call: ToolCall, code: str, transcript: Transcript
    ) -> AsyncGenerator[Piece | ToolResult, None]:
        remembered = await self._recall(run.spec)
        async with self._boxes.session(is_ours=remembered.is_ours) as box:
            if box.box_id != remembered.box_id:  # the one before may have been saved only just now
                self._remembered = None
                remembered = await self._recall(run.spec)
            folder = self._folder(box)
            complaints = await folder.fill(remembered, self._shelf)
            is_new = remembered.box_id not in ("", box.box_id)
            if remembered.box_id != box.box_id or not remembered.is_ours:
                await self._shelf.remember(box.box_id)
                remembered = self._remembered = replace(remembered, box_id=box.box_id, is_ours=True)
            finished: Finished | None = None
            written: list[str] = []
            async with aclosing(bursts(box.stream(code))) as source:
                async for burst in source:
                    written += [event.path for event in burst if isinstance(event, FileWritten)]
                    finished = next((event for event in burst if isinstance(event, Finished)), finished)
                    async for piece in self._show(burst, transcript, complaints):
                        yield piece
            assert finished is not None
            for last in (transcript.print(_on_new_line(transcript, after_words(finished))), transcript.end()):
                if last is not None:
                    yield last
            harvest = await self._keep_all(box, folder, remembered, written, complaints)
            yield self._result(call, finished, transcript, harvest, complaints, is_new=is_new)

    async def _show(
        self, burst: Sequence[CallEvent], transcript: Transcript, complaints: list[str]
    ) -> AsyncGenerator[Piece, None]:
        """What a burst shows: text that follows text is one piece."""
        texts, n_missing = list[str](), 0
        for event in burst:
            if isinstance(event, Output):
                texts.append(event.text)
                n_missing += event.n_skipped_bytes
            elif isinstance(event, Display) and event.mime in _SUFFIXES:
                if (texts or n_missing) and (piece := transcript.print("".join(texts), n_missing_bytes=n_missing)):
                    yield piece
                texts, n_missing = [], 0
                name = f"image-{transcript.n_images + 1}{_SUFFIXES[event.mime]}"
                try:
                    kept = await self._shelf.keep(name, one_piece(event.data))
                except AgentrtError as error:
                    complaints.append(f"An image was not kept: {error.message}")
                    continue
                assert kept is not None
                yield transcript.draw(kept.file_id)
        if (texts or n_missing) and (piece := transcript.print("".join(texts), n_missing_bytes=n_missing)):
            yield piece

    async def _keep_all(
        self, box: Sandbox, folder: Folder, remembered: Remembered, written: list[str], complaints: list[str]
    ) -> Harvest:
        """Keep what the call wrote; a sandbox that ends meanwhile does not take back that the code ran."""
        try:
            return await self._keep(box, folder, remembered, written=written)
        except SandboxGoneError as error:
            complaints.append(f"{error.message} {_LOST}")
            return Harvest()

    async def _keep(
        self, box: Sandbox, folder: Folder, remembered: Remembered, *, written: Sequence[str] = ()
    ) -> Harvest:
        harvest = await folder.harvest(remembered, self._shelf, written=written)
        self._remembered = await store_harvest(self._shelf, box.box_id, remembered, harvest)
        return harvest

    def _result(
        self,
        call: ToolCall,
        finished: Finished,
        transcript: Transcript,
        harvest: Harvest,
        complaints: Sequence[str],
        *,
        is_new: bool,
    ) -> ToolResult:
        told = notes(
            n_images=transcript.n_images, made=harvest.made, n_left=harvest.n_left, complaints=complaints, is_new=is_new
        )
        text = transcript.text or ("" if transcript.n_images else NO_OUTPUT)
        shown = CodeShown(
            outputs=transcript.outputs,
            files=tuple(MadeFile(file.path, file.file_id) for file in harvest.made),
            wall_ms=finished.ms,
            cpu_ms=finished.cpu_ms,
            max_rss_bytes=finished.max_rss_bytes,
        )
        output = "\n".join(part for part in (text.rstrip("\n"), told) if part)
        return ToolResult(call.id, output, None if finished.status == "ok" else finished.status, shown)


async def store_harvest(shelf: Shelf, box_id: str, remembered: Remembered, harvest: Harvest) -> Remembered:
    """Remember what was found in a folder."""
    if not harvest.made and not harvest.gone:
        return remembered
    await shelf.remember(box_id, made=harvest.made, gone=harvest.gone)
    files: dict[str, Held] = {file.path: file for file in remembered.files if file.path not in harvest.gone}
    files |= {file.path: file for file in harvest.made}
    return replace(remembered, files=tuple(files.values()))


def _linkable(remembered: Remembered) -> dict[str, str]:
    return {file.path: file.file_id for file in remembered.files if not file.is_lost}


def _on_new_line(transcript: Transcript, text: str) -> str:
    return f"\n{text}" if text and not transcript.is_at_line_start else text


def _unfenced(code: str) -> str:
    """Without the Markdown fence that some models put around their code."""
    match = _FENCE.fullmatch(code)
    return match[1] if match else code
