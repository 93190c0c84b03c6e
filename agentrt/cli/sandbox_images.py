"""`agentrt sandbox build` and `gc`: the images that sandboxes start from, made with progress shown, and removed."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Final

from agentrt.cli.cells import clip, harmless
from agentrt.cli.live import Region
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.sandbox_views import find_sandbox
from agentrt.cli.screen import Screen, duration
from agentrt.clock import SystemClock
from agentrt.config.schema import SandboxSpec
from agentrt.errors import SandboxError
from agentrt.sandbox.docker_engine import NoEngineError, engine
from agentrt.sandbox.docker_image import base_of, ensure_image, image_of
from agentrt.sandbox.docker_leftovers import Removed, remove_leftovers

_STEP: Final = re.compile(r"Step (\d+)/(\d+) : (.*)")
_LAYER: Final = re.compile(r"([0-9a-f]{12}): (Pulling fs layer|Pull complete|Already exists)")
_PULL: Final = "Pulling from"
_BAR_CELLS: Final = 24
_TICK_S: Final = 0.2
_MB: Final = 1024**2


class BuildProgress:
    """Shows what an engine says while it makes an image: a bar and its last line; without a terminal, the steps.

    The steps of a Dockerfile count, or the layers of what is pulled.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._region = Region(screen)
        self._clock = SystemClock()
        self._started_at = self._clock.monotonic()
        self._n_done = 0
        self._n_steps = 0
        self._step = ""
        self._line = ""
        self._layers: dict[str, bool] = {}  # whether it is there

    def hear(self, line: str) -> None:
        """A line of the engine's."""
        line = harmless(line)
        step = _STEP.match(line)
        layer = _LAYER.match(line)
        if step:
            # The step is begun, not done.
            self._n_done, self._n_steps, self._step = int(step[1]) - 1, int(step[2]), step[3]
        elif layer:
            self._layers[layer[1]] = layer[2] != "Pulling fs layer"
        elif _PULL in line and not self._n_steps:
            self._step = line
        if self._screen.is_live:
            self._line = line
            self.tick()
        elif step or _PULL in line:
            self._screen.line(line)

    def tick(self) -> None:
        """Time passes."""
        if not (self._screen.is_live and self._line):
            return
        n_done, n_all = (self._n_done, self._n_steps) if self._n_steps else self._counted_layers()
        n_full = round(_BAR_CELLS * n_done / n_all) if n_all else 0
        bar = "█" * n_full + "░" * (_BAR_CELLS - n_full)
        passed_s = int(self._clock.monotonic() - self._started_at)
        passed = duration(passed_s) if passed_s >= 60 else f"{passed_s} s"
        parts = [bar, f"{n_done}/{n_all}" if n_all else "", passed, self._step]
        width = self._screen.columns - 1
        line = self._screen.paint(f"  {clip(self._line, width - 2)}", "dim")
        self._region.show([clip(" ".join(part for part in parts if part), width), line])

    def end(self) -> None:
        self._region.commit([])

    def _counted_layers(self) -> tuple[int, int]:
        return sum(self._layers.values()), len(self._layers)


def build_images(invocation: Invocation, names: Sequence[str]) -> None:
    """Print each sandbox's tag when its image is there. Raises CliError.

    Without names: of every sandbox that may run in a container.
    """
    if names:
        specs = [_with_image(find_sandbox(invocation, name)) for name in dict.fromkeys(names)]
    else:
        specs = [spec for spec in invocation.config.sandboxes.values() if _has_image(spec)]
    tags = {spec.name: make_image(spec, invocation.err) for spec in specs}
    if invocation.is_json:
        invocation.out.line(json.dumps(tags))
        return
    for tag in tags.values():
        invocation.out.line(tag)


def make_image(spec: SandboxSpec, screen: Screen) -> str:
    """See to the image with progress shown; its tag. Raises CliError.

    The engine is listened to in a thread that nobody waits for: Ctrl-C ends the program, and with its connection the
    engine's work.
    """
    lines: SimpleQueue[str] = SimpleQueue()
    made: Future[str] = Future()
    threading.Thread(target=_make, args=(spec, lines, made), name="agentrt-build", daemon=True).start()
    progress = BuildProgress(screen)
    try:
        while not (made.done() and lines.empty()):
            try:
                progress.hear(lines.get(timeout=_TICK_S))
            except Empty:
                progress.tick()
        return made.result()
    except NoEngineError as error:
        raise _no_engine(error) from None
    except SandboxError as error:
        what, *said = error.message.splitlines()
        fix = f"correct [sandboxes.{spec.name}] or its Dockerfile"
        raise CliError("E507", what, details=[harmless(line) for line in said], fix=fix) from None
    finally:
        progress.end()


def _make(spec: SandboxSpec, lines: SimpleQueue[str], made: Future[str]) -> None:
    try:
        with engine() as client:
            ensure_image(client, spec, lines.put)
        made.set_result(image_of(spec))
    except BaseException as error:  # for whoever waits, who could wait for ever
        made.set_exception(error)
    finally:
        lines.put("")  # wakes him up


def _has_image(spec: SandboxSpec) -> bool:
    return spec.driver in ("auto", "docker")


def _with_image(spec: SandboxSpec) -> SandboxSpec:
    if not _has_image(spec):
        fix = 'driver = "docker" or "auto" is for sandboxes that start from one'
        raise CliError("E507", f'sandbox "{spec.name}" has no image: it runs in {spec.driver}', fix=fix)
    return spec


def collect_garbage(invocation: Invocation) -> None:
    """Print what was removed."""
    removed = _collected(list(invocation.config.sandboxes.values()))
    if invocation.is_json:
        document = {"containers": removed.n_boxes, "images": removed.n_images, "image_bytes": removed.image_bytes}
        invocation.out.line(json.dumps(document))
        return
    size = f" (up to {removed.image_bytes // _MB} MB)" if removed.n_images else ""
    counts = f"{_counted(removed.n_boxes, 'container')}, {_counted(removed.n_images, 'image')}"
    invocation.out.line(f"removed {counts}{size}")


def _collected(specs: Sequence[SandboxSpec]) -> Removed:
    in_use = _images(spec for spec in specs if _has_image(spec))
    names = {spec.name for spec in specs}
    try:
        with engine() as client:
            return remove_leftovers(client, in_use=in_use, sandboxes=names, now=SystemClock().now())
    except NoEngineError as error:
        raise _no_engine(error) from None


def _images(specs: Iterable[SandboxSpec]) -> set[str]:
    """Raises CliError: while it is not known what an image is made of, nothing may be called old."""
    tags = set()
    for spec in specs:
        try:
            tags |= {image_of(spec), base_of(spec)}
        except SandboxError as error:
            raise CliError("E507", error.message, fix="correct the table in agents.toml") from None
    return tags


def _counted(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _no_engine(error: NoEngineError) -> CliError:
    return CliError("E507", "there is no container engine", why=error.message, fix="run Docker or set DOCKER_HOST")
