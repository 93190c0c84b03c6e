"""From what a person typed to the one thing that is meant: agents by name, threads by a prefix of their id."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from agentrt.cli.port import AgentRow, RunsWanted, Shelf
from agentrt.cli.problems import CliError
from agentrt.config.resolve import answering, find_model
from agentrt.config.schema import Config

_PAGE: Final = 500
_SHOWN: Final = 5
_VARIABLE: Final = re.compile(r"(\w+) is not set")


def choose_agent(rows: Sequence[AgentRow], name: str | None, default: str) -> AgentRow:
    """The agent of that name or id; None: the default one. Raises CliError."""
    wanted = name or default
    for row in rows:
        if wanted in (row.id, row.name):
            return row
    close = get_close_matches(wanted, [row.name for row in rows], 1)
    fix = f"did you mean {close[0]}?   agentrt agents lists them" if close else "agentrt agents lists them"
    raise CliError("E301", f'there is no agent "{wanted}"', fix=fix)


async def last_agent(shelf: Shelf, thread_id: str, rows: Sequence[AgentRow]) -> str | None:
    """The id of the agent of the thread's newest run; None when there was none, or it is not there any more."""
    newest = await shelf.runs(RunsWanted(thread_id=thread_id), limit=1)
    ids = {row.id for row in rows}
    return next((run.assistant_id for run in newest if run.assistant_id in ids), None)


def check_model(config: Config, agent: AgentRow, model: str | None) -> None:
    """Raises CliError if the model that the agent would use, or that is asked for instead, cannot be called."""
    wanted = model or agent.model
    spec = find_model(config.models, wanted)
    if spec is not None and not spec.unavailable:
        return
    others = [other.name for other in answering(config.models).values() if not other.unavailable]
    if spec is None:
        close = get_close_matches(wanted, list(answering(config.models)), 1)
        fix = f"did you mean {close[0]}?" if close else f"there is {', '.join(others)}"
        raise CliError("E304", f'there is no model "{wanted}"', fix=fix)
    what = f'model "{wanted}" is not available'
    if model is None:
        what = f'agent "{agent.name}" uses model "{wanted}", which is not available'
    ways = []
    if variable := _VARIABLE.match(spec.unavailable or ""):
        ways.append(f"export {variable[1]}=…")
    if others:
        ways.append(f"-m {others[0]}")
    raise CliError("E204", what, why=spec.unavailable or "", fix="   or   ".join(ways))


async def choose_thread(shelf: Shelf, text: str) -> str:
    """The id of the thread that text is the beginning of. Raises CliError for none and for several."""
    if await shelf.thread(text) is not None:
        return text
    prefix = text if text.startswith("thread_") else f"thread_{text}"
    found: list[str] = []
    after: str | None = None
    while True:
        page = await shelf.threads(limit=_PAGE, after=after)
        found += [row.id for row in page if row.id.startswith(prefix)]
        if len(page) < _PAGE:
            break
        after = page[-1].id
    return _only(found, text, kind="thread", code="E302")


async def choose_run(shelf: Shelf, text: str) -> str:
    """The id of the run that text is the beginning of. Raises CliError for none and for several."""
    prefix = text if text.startswith("run_") else f"run_{text}"
    for candidate in dict.fromkeys((text, prefix)):
        if await shelf.run(candidate) is not None:
            return candidate
    return _only(await shelf.run_ids(prefix, limit=_SHOWN + 1), text, kind="run", code="E306")


def parse_pairs(texts: Sequence[str], *, option: str) -> Mapping[str, str]:
    """`team=sales` → {"team": "sales"}. Raises CliError."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CliError("E200", f'"{text}" is no pair', fix=f"write {option}NAME=VALUE")
        if name in pairs:
            raise CliError("E200", f"{option}{name} is given twice", fix="a name has one value: leave one of them out")
        pairs[name] = value
    return pairs


def _only(found: Sequence[str], text: str, *, kind: str, code: str) -> str:
    """The one that was found. Raises CliError."""
    if len(found) == 1:
        return found[0]
    if not found:
        raise CliError(code, f"there is no {kind} {text}", fix=f"agentrt {kind}s lists them")
    is_more = len(found) > _SHOWN
    shown, n = [*found[:_SHOWN], *(["…"] if is_more else [])], f"more than {_SHOWN}" if is_more else str(len(found))
    raise CliError("E208", f'"{text}" fits {n} {kind}s', details=shown, fix="type more of the id")
