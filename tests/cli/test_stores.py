"""`agentrt stores`, without a server and with one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from agentrt.cli.store_port import search_filter
from tests.cli.projects import agentrt, serving, write_project

Call = Callable[..., Result]

DECLARED = """
[vector_stores.manual]
name = "The manual"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path, DECLARED)
    papers = tmp_path / "papers"
    (papers / "old").mkdir(parents=True)
    (papers / "leave.md").write_text("# Leave\nEmployees have 30 days of paid leave a year.")
    (papers / "old" / "travel.txt").write_text("Trains are first class from four hours on.")
    (papers / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (papers / "notes.tmp").write_text("leave me alone")
    return tmp_path


def added(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_folder_is_added_once_and_what_changes_takes_its_place(call: Call, project: Path) -> None:
    first = call("stores", "add", "papers")
    assert first.exit_code == 0, first.stderr
    assert re.search(r"^made the vector store papers \(vs_\w+\)\n", first.stderr)
    assert re.search(r"left out no text in them: 1 png\npapers: 2 added · \d+ B in .* s\n$", first.stderr)
    again = added(call("stores", "add", "papers", "--json"))
    assert (again["added"], again["unchanged"], again["failed"], again["unread"]) == (0, 2, [], {"png": 1})

    (project / "papers" / "leave.md").write_text("# Leave\nEmployees have 99 days of paid leave a year.")
    (project / "papers" / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing")
    third = call("stores", "add", "papers/", "--json")
    assert third.exit_code == 1
    assert '"E104"' in third.stderr
    outcome = added(third)
    assert (outcome["added"], outcome["replaced"], outcome["unchanged"]) == (0, 1, 1)
    [failure] = outcome["failed"]
    assert failure["path"] == "papers/broken.pdf"
    assert "damaged" in failure["message"]
    found = json.loads(call("stores", "search", "papers", "days of leave", "--json").stdout)["data"]
    assert [result["attributes"]["path"] for result in found] == ["papers/leave.md"]
    assert "99 days" in found[0]["content"][0]["text"]
    shown = call("stores", "show", "papers").stdout
    assert "files    2 ready · 1 failed" in shown
    assert re.search(r"failed   papers/broken\.pdf: The PDF is damaged", shown)


def test_a_search_prints_passages_and_explains_them(call: Call, project: Path) -> None:
    assert call("stores", "add", "papers", "--store", "hr", "--attribute", "year=2024", "-q").stderr == ""
    plain = call("stores", "search", "hr", "paid leave").stdout
    assert re.search(
        r"^1  papers/leave\.md  0\.\d\d\n   # Leave Employees have 30 days of paid leave a year\.\n$", plain
    )
    explained = call("stores", "search", "hr", "paid leave trains", "--explain", "-n", "1").stdout
    assert re.search(r"^# +words +fused +score +why +where$", explained, re.MULTILINE)
    assert re.search(r"^1 +\d\.\d\d +0\.\d\d +0\.\d\d +kept +leave\.md 0-52$", explained, re.MULTILINE)
    assert re.search(r"^2 .* enough better ones +old/travel\.txt 0-42$", explained, re.MULTILINE)
    coloured = call("stores", "search", "hr", "trains", "--color", "always").stdout
    assert "\x1b[36mTrains\x1b[0m are" in coloured
    assert "leave.md" in call("stores", "search", "hr", "leave", "--filter", "year=2024").stdout
    nothing = call("stores", "search", "hr", "leave", "--filter", "year=2023")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == "nothing found: no file with year=2023 has any of these words\n"


def test_declared_stores_are_listed_before_the_first_start(call: Call, project: Path) -> None:
    head, line = call("stores").stdout.splitlines()
    assert head.split() == ["store", "state", "files", "failed", "size", "last", "used", "id"]
    assert line.split() == ["manual", "declared", "0", "0", "B", "vs_manual"]
    assert call("stores", "show", "manual").exit_code == 3
    assert call("stores", "delete", "manual", "--yes").exit_code == 4


def test_a_store_is_deleted_after_a_yes(call: Call, project: Path) -> None:
    call("stores", "add", "papers", "-q")
    assert call("stores", "rm", "papers").exit_code == 6
    [row] = json.loads(call("stores", "rm", "papers", "--yes", "--json").stdout)
    assert row["deleted"]
    assert call("stores", "search", "papers", "leave").exit_code == 3


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("add", "nowhere"), "E309", "nowhere cannot be read"),
        (("add", "papers", "--include", "*.nope"), "E309", "nothing to add"),
        (("add", "papers", "--attribute", "x"), "E200", '"x" is no pair'),
        (("add", "papers", "--attribute", "path=x"), "E200", "the attribute path"),
        (("search", "manuel", "x"), "E308", 'no vector store "manuel"'),
        (("search", "manual", " "), "E200", "no question"),
        (("search", "manual", "x", "--filter", "x"), "E200", '"x" is no pair'),
        (("search", "manual", "x", "-f", "a=1", "-f", "a=2"), "E200", "--filter a is given twice"),
        (("show", ""), "E308", "no vector store"),
        (("frob",), "E200", 'no command "frob"'),
    ],
)
def test_what_is_wrong_is_said(call: Call, project: Path, words: tuple[str, ...], code: str, what: str) -> None:
    result = call("stores", *words)
    assert result.exit_code == int(code[1])
    assert f"error[{code}]" in result.stderr
    assert what in result.stderr


def test_the_same_with_a_server(project: Path) -> None:
    with serving(project) as service:
        add = agentrt(project, "stores", "add", "papers", "--json")
        assert add.returncode == 0, add.stderr
        assert json.loads(add.stdout)["added"] == 2
        assert json.loads(agentrt(project, "stores", "add", "papers", "--json").stdout)["unchanged"] == 2
        found = agentrt(project, "stores", "search", "papers", "paid leave", "--explain").stdout
        assert "papers/leave.md" in found
        assert "kept" in found
        shown = agentrt(project, "stores", "show", "papers", "--files").stdout
        assert "papers/old/travel.txt" in shown
        listed = {row["name"]: row for row in json.loads(agentrt(project, "stores", "--json").stdout)}
        assert set(listed) == {"papers", "The manual"}
        folders = service.call("GET", "/vector_stores/vs_manual/folders")
        assert (folders["name"], folders["folders"], folders["files"]) == ("manual", [], 0)
        assert agentrt(project, "stores", "delete", "papers", "--files", "--yes").returncode == 0
        assert service.call("GET", "/files")["data"] == []
        service.stop()


def test_a_filter_fits_texts_numbers_and_truth_values() -> None:
    assert search_filter({}) is None
    assert search_filter({"team": "hr"}) == {"type": "eq", "key": "team", "value": "hr"}
    both = search_filter({"year": "2024", "final": "true"})
    assert both == {
        "type": "and",
        "filters": [
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "year", "value": "2024"},
                    {"type": "eq", "key": "year", "value": 2024.0},
                ],
            },
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "final", "value": "true"},
                    {"type": "eq", "key": "final", "value": True},
                ],
            },
        ],
    }
