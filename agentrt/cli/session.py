"""A chat with one agent: what is said, the run it makes, the calls a person answers, Ctrl-C in between."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from agentrt.cli.background import Background
from agentrt.cli.cells import harmless
from agentrt.cli.choose import choose_thread
from agentrt.cli.options import Invocation
from agentrt.cli.outcome import problem_of
from agentrt.cli.port import AgentRow, CallRow, Engine, Happening, MessageRow, OutputsWanted, RunEnded
from agentrt.cli.problems import CliError, problem_lines
from agentrt.cli.transcript import call_label, open_transcript
from agentrt.cli.turns import Turn, play
from agentrt.clock import SystemClock
from agentrt.config.schema import Config

Ask = Callable[[str], str | None]
"""Asks the person for a line; None: there is none. May raise KeyboardInterrupt."""

PROMPT: Final = "you › "
_METADATA: Final = {"source": "agentrt chat"}
_CANCEL_CHECKS: Final = 200
_CANCEL_CHECK_S: Final = 0.05


class ChatSession:
    """With an agent, on one thread at a time; the thread is made with the first words. model: instead of the agent's.

    All of it happens on the main thread; the engine works on the background's loop.
    """

    def __init__(
        self, invocation: Invocation, background: Background[Engine], agent: AgentRow, *, model: str | None
    ) -> None:
        self.config: Config = invocation.config
        self.out, self.err = invocation.screens
        self.engine = background.value
        self.agent = agent
        self.model = model
        self.thread_id: str | None = None
        self._background = background
        self._is_verbose = invocation.verbosity > 0
        self._has_explained = False
        self._clock = SystemClock()
        self._transcript = open_transcript(self.out, self.out, clock=self._clock, indent=2, is_verbose=self._is_verbose)

    def say(self, text: str, ask: Ask) -> None:
        """Say something and see the agent's whole turn. Raises AgentrtError, CliError."""
        if self.thread_id is None:
            self.take_thread(self._background.call(self.engine.new_thread(_METADATA)))
        assert self.thread_id is not None
        self._see(self.engine.run(self.thread_id, self.agent.id, text, model=self.model), ask)

    def resume(self, text: str, ask: Ask) -> None:
        """Go on with the thread whose id begins with text: show its end, and the run that is at work on it."""
        thread_id = self._background.call(choose_thread(self.engine.shelf, text))
        self.take_thread(thread_id)
        active = self._background.call(self.engine.active_run(thread_id))
        for message in self._tail(thread_id, without_run=active):
            self._show(message)
        if active is not None:
            self._see(self.engine.follow(thread_id, active), ask)

    def take_thread(self, thread_id: str | None) -> None:
        """Talk on this thread from now on; None: on a new one."""
        self.thread_id = thread_id
        if thread_id is not None:
            keep_last_thread(self.config, thread_id)

    def count_messages(self) -> int:
        """How many messages the thread has."""
        if self.thread_id is None:
            return 0
        return len(self._background.call(self.engine.shelf.messages(self.thread_id)))

    def _see(self, happenings: AsyncGenerator[Happening, None], ask: Ask) -> None:
        turn = Turn()
        while True:
            is_interrupted = self._watch(happenings, turn)
            if not isinstance(turn.rest, OutputsWanted):
                break
            outputs = None if is_interrupted else self._ask_for(turn, turn.rest.calls, ask)
            if outputs is None:
                self._background.call(self._cancel_and_wait(turn))
                is_interrupted = True
                break
            happenings = self.engine.submit(turn.thread_id, turn.run_id, outputs)
        self._tell_end(turn, is_interrupted=is_interrupted)

    def _watch(self, happenings: AsyncGenerator[Happening, None], turn: Turn) -> bool:
        """Show a stream to its end. True: the person pressed Ctrl-C."""
        watching = self._background.start(play(happenings, turn, self._transcript, clock=self._clock))
        presses: list[int] = []

        def press() -> None:
            presses.append(1)
            if len(presses) == 1 and turn.run_id:
                self._background.start(self.engine.cancel(turn.thread_id, turn.run_id))
            else:  # there is no run to cancel yet, or it does not end soon enough
                watching.cancel()

        with _instead_of_interrupt(press), _no_echo():
            try:
                watching.result()
            except CancelledError:
                turn.rest = None
        return bool(presses)

    def _ask_for(self, turn: Turn, calls: Sequence[CallRow], ask: Ask) -> dict[str, str] | None:
        """The outputs of the calls, typed by the person; None when the person would rather not."""
        outputs: dict[str, str] = {}
        if not self._has_explained:
            self._has_explained = True
            hint = "an app would answer this; you say what it returns, or press Ctrl-C"
            self.out.line(self.out.paint(f"  {hint}", "dim"))
        for call in calls:
            self.out.line(f"  {self.out.paint('?', 'warn')} {call_label(call)}")
            try:
                output = ask("    returns › ")
            except KeyboardInterrupt:
                self.out.line()
                return None
            if output is None:
                problem = problem_of(turn)
                if not sys.stdin.isatty() and problem is not None:
                    raise problem
                return None
            outputs[call.id] = output
        return outputs

    async def _cancel_and_wait(self, turn: Turn) -> None:
        await self.engine.cancel(turn.thread_id, turn.run_id)
        for _ in range(_CANCEL_CHECKS):
            if await self.engine.active_run(turn.thread_id) != turn.run_id:
                return
            await self._clock.sleep(_CANCEL_CHECK_S)

    def _tell_end(self, turn: Turn, *, is_interrupted: bool) -> None:
        problem = None if is_interrupted else problem_of(turn)
        if problem is not None:
            self.tell(problem)
        elif is_interrupted and not (isinstance(turn.rest, RunEnded) and turn.rest.status == "completed"):
            self.out.line(self.out.paint("  cancelled", "warn"))
        if self._is_verbose and isinstance(turn.rest, RunEnded):
            self.out.line(self.out.paint(f"  {turn.rest.spent.total_tokens} tokens · {turn.run_id}", "dim"))

    def tell(self, problem: CliError) -> None:
        """Show a problem; the chat goes on."""
        for line in problem_lines(self.err, problem):
            self.err.line(f"  {line}")

    def _tail(self, thread_id: str, *, without_run: str | None) -> list[MessageRow]:
        """The last words of the person, and what was said after them."""
        newest = self._background.call(self.engine.shelf.messages(thread_id, limit=4, newest_first=True))
        tail: list[MessageRow] = []
        for message in newest:
            if without_run is None or message.run_id != without_run:
                tail.insert(0, message)
            if message.role == "user":
                break
        return tail

    def _show(self, message: MessageRow) -> None:
        if message.role == "user":
            self.out.line(f"{self.out.paint(PROMPT, 'accent')}{harmless(message.text)}")
            return
        self._transcript.text(message.text)
        self._transcript.message_end()
        self._transcript.rest()


def last_thread(config: Config) -> str:
    """The thread of the last chat in this project. Raises CliError when there was none."""
    try:
        return _last_file(config).read_text(encoding="utf-8").strip()
    except OSError:
        raise CliError("E302", "there is no last chat here", fix="agentrt chat begins one") from None


def keep_last_thread(config: Config, thread_id: str) -> None:
    path = _last_file(config)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{thread_id}\n", encoding="utf-8")


def _last_file(config: Config) -> Path:
    return config.runtime.data_dir / "last_chat"


@contextmanager
def _instead_of_interrupt(press: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls press, and nothing is interrupted."""

    def handle(number: int, frame: FrameType | None) -> None:
        press()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _no_echo() -> Iterator[None]:
    """What is typed meanwhile does not appear in the middle of the answer; it waits for the next prompt."""
    if not sys.stdin.isatty():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    # SIGTERM must not leave the terminal without its echo.
    terminated = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGTERM, terminated)
