"""The line of `agentrt stores add`: it counts every file once, and fits on the terminal with the time that is left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from agentrt.cli.options import Invocation
from agentrt.cli.store_port import Placed, StoreDesk
from agentrt.cli.store_progress import Progress
from agentrt.cli.store_sending import Item, Sending
from agentrt.files.folder import FoundFile
from tests.cli.terminals import Terminal


class Desk:
    """Indexes a quarter of each batch between two looks; one file in each batch cannot be read."""

    def __init__(self) -> None:
        self._batches: dict[str, list[str]] = {}
        self._through: dict[str, int] = {}
        self._n_files = 0

    async def upload(self, path: Path, *, filename: str) -> str:
        self._n_files += 1
        return f"file-{self._n_files}"

    async def put(self, store_id: str, files: Sequence[Placed]) -> str:
        batch_id = f"vsfb_{len(self._batches)}"
        self._batches[batch_id] = [file.file_id for file in files]
        self._through[batch_id] = 0
        return batch_id

    async def batch(self, store_id: str, batch_id: str) -> dict[str, Any]:
        n_files = len(self._batches[batch_id])
        self._through[batch_id] = min(n_files, self._through[batch_id] + 4)
        counts = {"total": n_files, "in_progress": n_files - self._through[batch_id]}
        return {"file_counts": counts}

    async def batch_failures(self, store_id: str, batch_id: str) -> list[dict[str, Any]]:
        return [{"id": self._batches[batch_id][0], "last_error": {"message": "It is damaged."}}]


class Watched(Progress):
    """seen: the line after each change."""

    seen: tuple[str, ...] = ()

    def done(self, *, failed: int = 0, indexed: int = 0, coming: int | None = None) -> None:
        super().done(failed=failed, indexed=indexed, coming=coming)
        self.seen += (self.line(2.0, 200),)


def made(n_files: int, columns: int = 80) -> Watched:
    invocation = SimpleNamespace(err=Terminal(columns=columns).screen(), is_quiet=False)
    return Watched(cast("Invocation", invocation), n_files=n_files, size_bytes=10 * n_files)


async def test_no_file_is_counted_twice_and_none_is_taken_back() -> None:
    progress = made(40)
    sending = Sending(cast("StoreDesk", Desk()), "vs_a", progress, attributes={})
    files = [FoundFile(f"{number}.md", Path(f"{number}.md"), 10, 0) for number in range(40)]
    await sending.run(Item(file=f, path=f.name, digest="", known_id=None, is_same=False) for f in files)
    counts = [int(found[1]) for line in progress.seen if (found := re.search(r"(\d+)/40 files", line))]
    assert counts == sorted(counts)
    assert counts[-1] == 40
    assert not any("-" in line for line in progress.seen), "no time that is less than none"
    assert (sending.n_added, len(sending.failures)) == (37, 3)


def test_the_time_that_is_left_is_on_a_terminal_of_80_columns() -> None:
    progress = made(12_405)
    for _ in range(5_000):
        progress.sent(10)
    progress.done(failed=113, indexed=4_000)
    line = progress.line(60.0, 79)
    assert len(line) <= 79
    assert line == "4,113/12,405 files · 887 indexing · 113 failed · 68.5 files/s · 2 min 1 s left"
    assert progress.line(60.0, 200).startswith("█" * 6 + "░" * 14)
