"""What `agentrt sandbox list` shows: the sandboxes of agents.toml, and what stands on the container engine."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Sequence

import msgspec

from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.screen import Role, Screen, duration
from agentrt.cli.tables import show_table
from agentrt.clock import SystemClock
from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.choose import NothingWorksError, look_around
from agentrt.sandbox.docker_engine import NoEngineError, engine
from agentrt.sandbox.docker_leftovers import FoundBox, find_boxes

_ID_CHARS = 12


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox of agents.toml. driver: None when nothing isolates it. detail: what with.

    tried: the drivers before it (without one: all), each with why it does not work and how to get it.
    """

    name: str
    driver: str | None
    detail: str
    tried: tuple[str, ...]


def show_sandboxes(invocation: Invocation) -> None:
    seen = asyncio.run(_look(list(invocation.config.sandboxes.values())))
    boxes = _boxes()
    if invocation.is_json:
        document = {"sandboxes": msgspec.to_builtins(seen), "boxes": msgspec.to_builtins(boxes)}
        invocation.out.line(json.dumps(document, ensure_ascii=False))
        return
    _show_seen(invocation.out, seen)
    if boxes:
        invocation.out.line()
        _show_boxes(invocation.out, boxes)


def find_sandbox(invocation: Invocation, name: str) -> SandboxSpec:
    """Raises CliError when there is none."""
    specs = invocation.config.sandboxes
    if name not in specs:
        raise CliError("E307", f'there is no sandbox "{name}"', fix=f"there are: {', '.join(specs)}")
    return specs[name]


async def _look(specs: Sequence[SandboxSpec]) -> list[Seen]:
    return [await _look_at(spec) for spec in specs]


async def _look_at(spec: SandboxSpec) -> Seen:
    try:
        chosen = await look_around(spec)
    except NothingWorksError as error:
        return Seen(name=spec.name, driver=None, detail="code cannot be run", tried=error.tried)
    await chosen.driver.close()
    return Seen(name=spec.name, driver=chosen.driver.name, detail=chosen.detail, tried=chosen.tried)


def _show_seen(out: Screen, seen: Sequence[Seen]) -> None:
    rows = [(one.name, one.driver or "none", one.detail) for one in seen]
    drivers: list[Role] = ["bad" if one.driver is None else "plain" for one in seen]
    show_table(out, ("sandbox", "driver", "what with"), rows, roles=("strong", drivers, "dim"))
    # Under the table, and once for all sandboxes that have the same: it is long, and must be readable to the end.
    reasons: dict[str, list[str]] = {}
    for one in seen:
        for reason in one.tried:
            reasons.setdefault(reason, []).append(one.name)
    if reasons:
        out.line()
    for reason, names in reasons.items():
        text = f"not {reason}" if len(names) == len(seen) else f"{', '.join(names)}: not {reason}"
        lines = textwrap.wrap(text, out.width - 1, subsequent_indent="  ") if out.is_live else [text]
        for line in lines:
            out.line(out.paint(line, "dim"))


def _boxes() -> list[FoundBox]:
    """Nothing where no engine is: sandboxes of the other drivers end with their process."""
    try:
        with engine() as client:
            return find_boxes(client)
    except NoEngineError:
        return []


def _show_boxes(out: Screen, boxes: Sequence[FoundBox]) -> None:
    now = SystemClock().now()
    rows = [
        (
            box.box_id[:_ID_CHARS],
            box.sandbox,
            box.state,
            duration(max(0.0, now - box.created_at)),
            box.session or "(warm, nobody's)",
        )
        for box in boxes
    ]
    heads = ("container", "sandbox", "state", "age", "session")
    show_table(out, heads, rows, roles=("dim", "plain", "plain", "plain", "strong"))
