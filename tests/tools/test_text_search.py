from __future__ import annotations

from pathlib import Path

import pytest

from agentrt import ToolRegistry
from agentrt.errors import ToolDefinitionError
from agentrt.toolkit.discover import load_tool
from tests.tools.conftest import ROOT, Ask

SEARCH = "text_search.py:search_text"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "guides").mkdir(parents=True)
    (docs / "handbook.md").write_text("# Handbook\n\nRefunds are paid within 14 days.\nNo refunds on gifts.\n")
    (docs / "guides" / "start.txt").write_text("Start here.\n  A REFUND takes time.\n")
    (docs / "image.bin").write_bytes(b"\0refund\n")
    (docs / ".env").write_text("KEY=refund\n")
    (docs / ".git").mkdir()
    (docs / ".git" / "config").write_text("refund\n")
    (tmp_path / "secret.txt").write_text("refund secret\n")
    (docs / "link.txt").symlink_to(tmp_path / "secret.txt")
    (docs / "inside.txt").symlink_to(docs / "guides" / "start.txt")
    (docs / "env.txt").symlink_to(docs / ".env")
    (docs / "broken.txt").symlink_to(docs / "nothing")
    (docs / "up").symlink_to(tmp_path)
    return docs


async def test_lines_are_found_in_all_text_files_and_nowhere_else(ask: Ask, folder: Path) -> None:
    answer = await ask(SEARCH, query="refund", options={"folder": folder})
    assert answer.output.splitlines() == [
        "4 lines found in 4 files:",
        "handbook.md:3: Refunds are paid within 14 days.",
        "handbook.md:4: No refunds on gifts.",
        "inside.txt:2: A REFUND takes time.",
        "guides/start.txt:2: A REFUND takes time.",
    ]


@pytest.mark.parametrize(
    ("arguments", "n_lines"),
    [
        ({"query": "refunds", "match_case": True}, 1),
        ({"query": "refund", "files": "*.md"}, 2),
        ({"query": "refund", "files": "guides/*"}, 1),
        ({"query": "refund", "max_matches": 1}, 1),
        ({"query": r"refunds?\s+(are|takes)", "regex": True}, 3),
        ({"query": "Refund", "regex": True, "match_case": True}, 1),
        ({"query": "(are|takes)"}, 0),
        ({"query": "refund", "files": "../*"}, 0),
        ({"query": "refund", "files": "/*"}, 0),
    ],
)
async def test_a_search_can_be_narrowed(ask: Ask, folder: Path, arguments: dict[str, object], n_lines: int) -> None:
    answer = await ask(SEARCH, **arguments, options={"folder": folder})
    assert answer.error is None
    assert len(answer.output.splitlines()) - 1 == n_lines


async def test_an_expression_that_explodes_is_stopped(ask: Ask, folder: Path) -> None:
    (folder / "trap.txt").write_text("a" * 60 + "!\n")
    answer = await ask(SEARCH, query="(a|aa)+$", regex=True, options={"folder": folder, "time_limit_s": 1})
    assert answer.error == "exception"
    assert "make it simpler" in answer.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"query": ""}, "1 to 500 characters"),
        ({"query": "x" * 501}, "1 to 500 characters"),
        ({"query": "(", "regex": True}, "not a regular expression"),
    ],
)
async def test_what_cannot_be_searched_for_is_refused(
    ask: Ask, folder: Path, arguments: dict[str, object], text: str
) -> None:
    assert text in (await ask(SEARCH, **arguments, options={"folder": folder})).output


async def test_a_folder_that_is_missing_is_named_without_its_path(ask: Ask, tmp_path: Path) -> None:
    answer = await ask(SEARCH, query="x", options={"folder": tmp_path / "nothing"})
    assert answer.error == "exception"
    assert "nothing" in answer.output
    assert str(tmp_path) not in answer.output


def test_the_folder_must_be_set_by_the_operator() -> None:
    search = load_tool(f"tools/{SEARCH}", base=ROOT)
    assert "folder" not in str(search.parameters["properties"])
    with pytest.raises(ToolDefinitionError, match="options"):
        ToolRegistry([search])
