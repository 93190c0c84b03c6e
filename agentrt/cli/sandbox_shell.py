"""`agentrt sandbox shell`: Python at a prompt, run where a model's code would run."""

from __future__ import annotations

import ast
import asyncio
import codeop
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from agentrt.cli.background import Background
from agentrt.cli.editor import LineEditor
from agentrt.cli.options import Invocation
from agentrt.cli.sandbox_images import make_image
from agentrt.cli.sandbox_views import find_sandbox
from agentrt.cli.screen import Screen
from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.choose import look_around
from agentrt.sandbox.driver import Driver
from agentrt.sandbox.events import CallEvent, Display, FileWritten, Finished, Output
from agentrt.sandbox.sandbox import Sandbox

PROMPT: Final = "› "
MORE: Final = "… "


def open_shell(invocation: Invocation, name: str) -> int:
    """Read code until there is no more, run it in a session of its own, and show what comes of it.

    Returns the exit code: of what is piped in, 1 when it fails. Raises CliError, SandboxError.
    """
    spec = find_sandbox(invocation, name)
    driver = _driver(spec, invocation.err)
    with Background(lambda: _opened(spec, driver)) as background:
        shell = Shell(background, invocation.out, invocation.err)
        history = invocation.config.runtime.data_dir / "sandbox_history"
        editor = LineEditor(invocation.out, history=history, is_code=True)
        if not editor.is_interactive:
            return 0 if shell.run(sys.stdin.read()) else 1
        try:
            shell.greet()
            while shell.step(editor):
                continue
        finally:
            editor.close()
    return 0


def _driver(spec: SandboxSpec, screen: Screen) -> Driver:
    """What isolates it here, with its image made. Raises CliError, SandboxError."""
    chosen = asyncio.run(look_around(spec))
    if chosen.driver.name == "docker":
        make_image(spec, screen)
    return chosen.driver


@asynccontextmanager
async def _opened(spec: SandboxSpec, driver: Driver) -> AsyncGenerator[Sandbox, None]:
    try:
        box = await Sandbox.start(driver, spec, session="shell")
        try:
            async with box.way_out():
                yield box
        finally:
            await box.close()
    finally:
        await driver.close()


class Shell:
    """One session. Code runs on the background's loop; Ctrl-C comes to the main thread, which waits for it."""

    def __init__(self, background: Background[Sandbox], out: Screen, err: Screen) -> None:
        self._background = background
        self._box = background.value
        self._out = out
        self._err = err
        self._is_line_open = False
        self._has_failed = False
        if not self._box.capabilities.isolated:
            err.line(err.paint(f"{self._box.driver}: nothing isolates this code, it has all your rights", "warn"))

    def greet(self) -> None:
        box = self._box
        parts = [box.driver, f"Python {box.python_version}", box.capabilities.note, "Ctrl-D leaves"]
        self._out.line(self._out.paint(" · ".join(part for part in parts if part), "dim"))

    def step(self, editor: LineEditor) -> bool:
        """One piece of code. False: the last one."""
        try:
            code = _read(editor)
        except KeyboardInterrupt:
            self._out.line()
            return True
        if code is None:
            return False
        if code.strip():
            self.run(code)
        return True

    def run(self, code: str) -> bool:
        """Run it and show what it prints as it comes. False: it failed."""
        running = self._background.start(self._box.run(code, on_event=self._show))
        while True:
            try:
                running.result()
            except KeyboardInterrupt:
                self._background.start(self._box.interrupt())
                continue
            return not self._has_failed

    def _show(self, event: CallEvent) -> None:
        match event:
            case Output():
                (self._err if event.stream == "stderr" else self._out).write(event.text)
                self._is_line_open = not event.text.endswith("\n")
            case Display():
                self._note(f"[{event.mime}, {len(event.data):,} bytes]")
            case FileWritten():
                self._note(f"[{event.path}, {event.size_bytes:,} bytes]")
            case Finished():
                self._end(event)

    def _end(self, end: Finished) -> None:
        self._end_line()
        if end.result is not None:
            self._out.line(end.result)
        if end.error is not None and end.error.traceback:
            self._err.write(self._err.paint(end.error.traceback.rstrip(), "bad") + "\n")
        said = f": {end.error.value}" if end.error is not None and end.error.value and end.status != "error" else ""
        if end.status not in ("ok", "error") or end.state != "kept":
            self._note(f"[{end.status}{said}; variables {end.state}]")
        is_left = end.status == "exit" and end.error is not None and end.error.value == "0"
        self._has_failed = end.status != "ok" and not is_left

    def _note(self, text: str) -> None:
        self._end_line()
        self._err.line(self._err.paint(text, "dim"))

    def _end_line(self) -> None:
        """What the code printed last may lack its end."""
        if self._is_line_open:
            self._out.line()
        self._is_line_open = False


def _read(editor: LineEditor) -> str | None:
    """Lines until they are whole statements, as Python's own prompt takes them. None: there will be no more."""
    compiled = codeop.CommandCompiler()
    compiled.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    lines: list[str] = []
    while True:
        line = editor.read(MORE if lines else PROMPT)
        if line is None:
            return "\n".join(lines) if lines else None
        lines.append(line)
        code = "\n".join(lines)
        try:
            is_whole = compiled(code, "<shell>", "single") is not None
        except (SyntaxError, ValueError, OverflowError):
            return code  # the sandbox's own Python says what is wrong, or understands what ours does not
        if is_whole:
            return code
