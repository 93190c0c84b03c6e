"""`make chaos-teeth`: takes one safeguard after the other out of a copy of agentrt, and sees that somebody notices.

A test that never fails proves nothing. Each tooth is a small edit of the source, and who must bite: the chaos test on a
database, or a direct test, where the fault needs a moment that chaos meets too rarely.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.chaos.nursery import REPOSITORY
from tests.acceptance.chaos.play import DatabaseName

_COPIED = ("agentrt", "tests", "tools", "agents.toml", "pyproject.toml")
_CHAOS = ("--seconds", "25", "--runs", "40", "--patience", "25")
_WITHIN_S = 400


@dataclass(frozen=True, slots=True)
class Edit:
    """What is taken out: `old`, which stands once in the file, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Tooth:
    """A safeguard. chaos: the database on which the chaos test must fail without it; tests: the tests that must."""

    name: str
    edits: Sequence[Edit]
    chaos: DatabaseName | None = None
    tests: Sequence[str] = ()


_FENCE = Edit(
    "agentrt/store/jobs.py",
    '_touch = Statement(update(_table).where(_is_id, _is_hold).values(touched_at=bindparam("now")))',
    '_touch = Statement(update(_table).where(_is_id).values(touched_at=bindparam("now")))',
)

TEETH = (
    Tooth(
        "a tool's start is stored before it runs",
        [
            Edit(
                "agentrt/engine/events.py",
                "    call_id: str\n",
                "    may_wait: ClassVar[bool] = True\n    call_id: str\n",
            )
        ],
        chaos="sqlite",
    ),
    Tooth(
        "a call that a crash cut off is not made again",
        [Edit("agentrt/engine/loop.py", "call.call.name not in repeatable", "call.call.name in ()")],
        chaos="sqlite",
    ),
    Tooth(
        "a result is stored before it is told",
        [
            Edit(
                "agentrt/engine/events.py",
                "    step_id: str\n    index: int\n    result: ToolResult\n",
                "    may_wait: ClassVar[bool] = True\n    step_id: str\n    index: int\n    result: ToolResult\n",
            )
        ],
        chaos="sqlite",
    ),
    # The driver hears of a cancel within milliseconds: chaos meets the moment before that too rarely.
    Tooth(
        "an accepted cancel wins over the end of a run",
        [
            Edit(
                "agentrt/store/runs.py",
                'or_(_table.c.status != "cancelling", bindparam("is_cancelling", type_=Boolean)),',
                'or_(_table.c.status != "", bindparam("is_cancelling", type_=Boolean)),',
            )
        ],
        tests=("tests/contracts/test_store_runs.py",),
    ),
    Tooth(
        "a stream goes on after the last event that was heard",
        [
            Edit(
                "agentrt/server/routes/run_streams.py",
                "if after is not None and place <= after:",
                "if after is not None and place < after:",
            )
        ],
        chaos="sqlite",
    ),
    Tooth(
        "a thread has one active run",
        [
            Edit("agentrt/store/runs.py", "            unique=True,\n", ""),
            Edit(
                "agentrt/runtime/runs.py",
                "        if active is None:\n            return False\n",
                "        return False\n",
            ),
        ],
        chaos="sqlite",
        tests=("tests/contracts/test_store_runs.py",),
    ),
    Tooth(
        "others take over from the dead",
        [
            Edit(
                "agentrt/runtime/leases.py",
                "jobs = free_dead_jobs(tx, self._worker.id, now=now, lease_s=self._lease_s)",
                "jobs: list[Ready] = []",
            ),
            Edit("agentrt/runtime/leases.py", "if _is_known_dead(other):", "if not other.id:"),
        ],
        chaos="postgres",
        tests=("tests/runtime/test_leases.py",),
    ),
    Tooth(
        "a commit is durable before it is answered",
        [
            Edit(
                "agentrt/store/postgres_connect.py",
                'await conn.execute(f"SET idle',
                'await conn.execute("SET synchronous_commit = off")\n        await conn.execute(f"SET idle',
            )
        ],
        chaos="postgres",
    ),
    Tooth(
        "the three fences: a hold's epoch, the log's order, the log's key",
        [
            _FENCE,
            Edit(
                "agentrt/store/run_events.py",
                '.where(bindparam("seq", type_=BigInteger) == func.coalesce(_last.scalar_subquery(), literal(0))),',
                '.where(bindparam("seq", type_=BigInteger) >= literal(0)),',
            ),
            Edit(
                "agentrt/store/run_events.py",
                "    epoch: int\n    n: int\n",
                "    epoch: int = Field(primary_key=True)\n    n: int\n",
            ),
        ],
        chaos="postgres",
        tests=("tests/contracts/test_store_jobs.py", "tests/contracts/test_store_events.py"),
    ),
    # Each of the three is enough for chaos to see nothing.
    Tooth("a hold's epoch alone", [_FENCE], tests=("tests/contracts/test_store_jobs.py",)),
    # The moment between a commit and the tool's first line: chaos meets it once in a thousand runs.
    Tooth(
        "a driver that was frozen in a write looks again before it starts a tool",
        [Edit("agentrt/runtime/run_driver.py", "> self._lease_s / 2 and", "> 1e9 and")],
        tests=("tests/runtime/test_frozen_driver.py",),
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos-teeth", description=__doc__)
    parser.add_argument("--only", help="teeth whose name has this in it")
    options = parser.parse_args()
    n_lost = 0
    for tooth in TEETH:
        if options.only is not None and options.only not in tooth.name:
            continue
        print(f"without: {tooth.name}", flush=True)
        with _mutant(tooth) as folder:
            for who, bites in _bites(tooth, folder):
                print(f"  {who:.<60} {bites or 'NOBODY NOTICES'}", flush=True)
                n_lost += not bites
    return 1 if n_lost else 0


@contextmanager
def _mutant(tooth: Tooth) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agentrt-teeth-") as temporary:
        folder = Path(temporary)
        for name in _COPIED:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy(source, folder / name)
        for edit in tooth.edits:
            path = folder / edit.file
            text = path.read_text()
            if text.count(edit.old) != 1:
                raise AssertionError(f"{edit.file} has changed: this tooth is about {edit.old!r}")
            path.write_text(text.replace(edit.old, edit.new))
        yield folder


def _bites(tooth: Tooth, folder: Path) -> Iterator[tuple[str, str]]:
    """Who looked, and what they noticed; empty when they noticed nothing."""
    if tooth.chaos is not None:
        code, output = _run(folder, "tests.acceptance.chaos", "--database", tooth.chaos, *_CHAOS)
        rules = [line.split("..")[0].strip() for line in output.splitlines() if "BROKEN" in line]
        if code and not rules:
            raise AssertionError(f"the chaos test itself failed:\n{output}")
        yield f"chaos on {tooth.chaos}", "; ".join(rules)
    for test in tooth.tests:
        code, output = _run(folder, "pytest", "-q", "-x", "-p", "no:cacheprovider", test)
        if code not in (0, 1):
            raise AssertionError(f"pytest itself failed:\n{output}")
        yield test, "fails" if code else ""


def _run(folder: Path, module: str, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_WITHIN_S, check=False
    )
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
