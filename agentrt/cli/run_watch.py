"""A run seen while it goes on: its timeline growing in place, or a line for each part that is over."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from agentrt.cli.cells import cells, harmless
from agentrt.cli.choose import choose_run
from agentrt.cli.live import Region
from agentrt.cli.options import Invocation
from agentrt.cli.outcome import problem_of
from agentrt.cli.port import LoggedEvent, OutputsWanted, RunEnded, RunRow, Shelf
from agentrt.cli.problems import CliError
from agentrt.cli.run_views import JSON_VERSION, head_lines
from agentrt.cli.timeline import AnyPart, Timeline
from agentrt.cli.timeline_json import part_json
from agentrt.cli.timeline_maker import TimelineMaker
from agentrt.cli.timeline_view import part_line, summary_lines, timeline_lines
from agentrt.cli.turns import Turn
from agentrt.clock import Clock, SystemClock
from agentrt.engine.events import MessageCreated, TextDelta
from agentrt.errors import NotFoundError

_LOOK_EVERY_S: Final = 0.25
_DRAW_EVERY_S: Final = 0.05
_SAID_CELLS: Final = 36
_PATIENCE_S: Final = 20.0
"""How long a server may be away before watching it ends."""


async def watch(invocation: Invocation, shelf: Shelf, text: str, *, stops_at_waits: bool = False) -> None:
    """Watch the run whose id begins so to its end. Raises CliError unless it completed.

    stops_at_waits: nobody could answer its calls while we watch.
    """
    watcher = _Watcher(invocation, shelf, await choose_run(shelf, text), clock=SystemClock())
    problem = await watcher.watch(stops_at_waits=stops_at_waits)
    if problem is not None:
        raise problem


class _Watcher:
    def __init__(self, invocation: Invocation, shelf: Shelf, run_id: str, *, clock: Clock) -> None:
        self._config = invocation.config
        self._out = invocation.out
        self._is_json = invocation.is_json
        self._is_verbose = invocation.verbosity > 0
        self._shelf = shelf
        self._run_id = run_id
        self._clock = clock
        self._maker = TimelineMaker()
        self._place: tuple[int, int] | None = None
        self._said = ""
        self._region = Region(self._out)
        self._told: set[int] = set()

    async def watch(self, *, stops_at_waits: bool) -> CliError | None:
        """Returns what is wrong with how it ended, None for a completed run."""
        row = await self._look()
        self._begin(row)
        is_at_rest = row.is_over or bool(row.waits_for)
        try:
            if not is_at_rest and not await self._shelf.has_drivers():
                fix = "agentrt serve takes it up"
                return CliError("E505", f"nobody drives the run {row.id}, which is {row.status}", fix=fix)
            while not (row.is_over or (stops_at_waits and row.waits_for)):
                await self._draw_for_a_while()
                row = await self._look_patiently()
        finally:
            self._rest()
        return _problem(row)

    async def _look(self) -> RunRow:
        """What is new. The run is read first: its events are then at least as new."""
        row = await self._shelf.run(self._run_id)
        if row is None:
            raise NotFoundError("run", self._run_id)
        for logged in await self._shelf.run_events(self._run_id, after=self._place):
            self._place = (logged.epoch, logged.seq)
            self._hear(logged)
            self._maker.see(logged)
        return row

    async def _look_patiently(self) -> RunRow:
        """What is new, also when the server is being started anew meanwhile."""
        give_up_at = self._clock.monotonic() + _PATIENCE_S
        while True:
            try:
                return await self._look()
            except CliError as error:
                if error.code not in ("E501", "E504") or self._clock.monotonic() > give_up_at:
                    raise
            await self._draw_for_a_while()

    def _hear(self, logged: LoggedEvent) -> None:
        match logged.event:
            case MessageCreated():
                self._said = ""
            case TextDelta(text=text):
                self._said = (self._said + text)[-200:]
            case _:
                return

    def _begin(self, row: RunRow) -> None:
        if self._is_json:
            self._out.line(json.dumps({"version": JSON_VERSION, "run": asdict(row)}, ensure_ascii=False))
            return
        for line in [*head_lines(self._out, self._config, row, tells_status=False), ""]:
            self._out.line(line)

    async def _draw_for_a_while(self) -> None:
        end = self._clock.monotonic() + _LOOK_EVERY_S
        while True:
            self._draw()
            left_s = end - self._clock.monotonic()
            if left_s <= 0:
                return
            await self._clock.sleep(min(left_s, _DRAW_EVERY_S) if self._out.is_live else left_s)

    def _draw(self) -> None:
        timeline = self._maker.timeline()
        if timeline is None:
            return
        if self._is_json or not self._out.is_live:
            self._tell(timeline)
        else:
            self._region.show(self._lines(timeline))

    def _rest(self) -> None:
        """The last time: what stands there then stays."""
        timeline = self._maker.timeline()
        if timeline is None:
            return
        if self._is_json:
            self._tell(timeline)
            return
        if self._out.is_live:
            self._region.commit(self._lines(timeline))
        else:
            self._tell(timeline)
        self._out.line()
        for line in summary_lines(self._out, timeline, now=self._clock.now()):
            self._out.line(line)

    def _lines(self, timeline: Timeline) -> list[str]:
        now, saying = self._clock.now(), _last_words(self._said)
        return timeline_lines(self._out, timeline, now=now, is_verbose=self._is_verbose, saying=saying)

    def _tell(self, timeline: Timeline) -> None:
        """A line for each part that is over and was not told yet."""
        now = self._clock.now()
        for part in _over(timeline.parts):
            if id(part) in self._told:
                continue
            self._told.add(id(part))
            if self._is_json:
                self._out.line(json.dumps(part_json(part, timeline, now=now), ensure_ascii=False))
            else:
                self._out.line(part_line(self._out, part, timeline, now=now))


def _over(parts: Sequence[AnyPart]) -> list[AnyPart]:
    return [part for part in parts if part.end is not None]


def _problem(row: RunRow) -> CliError | None:
    turn = Turn(thread_id=row.thread_id, run_id=row.id)
    if row.waits_for:
        turn.rest = OutputsWanted(row.waits_for)
    else:
        turn.rest = RunEnded(row.status, row.error_code, row.error, row.limit)  # type: ignore[arg-type]
    return problem_of(turn)


def _last_words(text: str) -> str:
    """The end of a text on one line."""
    line = " ".join(harmless(text).split())
    if cells(line) <= _SAID_CELLS:
        return line
    while cells(line) > _SAID_CELLS - 1:
        line = line[1:]
    return f"…{line}"
