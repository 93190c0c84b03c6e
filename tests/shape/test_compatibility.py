"""docs/compatibility.md against the API as it is, and against the official document where that is at hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentrt.config.load import load_config
from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.openapi import build_document
from tests.compat.contract import DOCUMENT, needs_contract
from tests.shape.documents import ROOT

PAGE = (ROOT / "docs" / "compatibility.md").read_text()
OFFICIAL_NAMES = {"FileObject": "OpenAIFile", "UploadObject": "Upload"}
OBJECTS = re.findall(r"<!-- fields (\w+) -->", PAGE)
VERDICTS = {"same", "differs", "absent", "added"}


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    """agentrt's own OpenAPI document."""
    app = create_app(Runtime(load_config(ROOT / "agents.toml", state_folder=Path("/nowhere"))))
    return build_document(app.routes, version="0", needs_key=False)


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return found


def test_the_table_of_endpoints_names_every_route_and_no_other(ours: dict[str, Any]) -> None:
    rows = {name: verdict for name, verdict in table("endpoints").items() if "…" not in name}

    there = {name for name, verdict in rows.items() if verdict != "absent"}

    assert there == operations(ours, prefix="")


@needs_contract
def test_the_table_of_endpoints_says_what_is_absent_and_what_is_ours(official: dict[str, Any]) -> None:
    rows = table("endpoints")
    theirs = operations(official, prefix="/v1")
    groups = [name.removesuffix("…") for name in rows if name.endswith("…")]

    missing = {name for name in theirs if name not in rows and not name.split(" ")[1].startswith(tuple(groups))}

    assert missing == set()
    assert {name for name, verdict in rows.items() if verdict == "added"} == set(rows) - theirs - set(absent(rows))


@pytest.mark.parametrize("name", OBJECTS)
def test_every_field_of_an_answer_is_listed(name: str, ours: dict[str, Any]) -> None:
    rows = table(f"fields {name}")

    assert set(rows) - set(absent(rows)) == set(ours["components"]["schemas"][name]["properties"])


@needs_contract
@pytest.mark.parametrize("name", OBJECTS)
def test_the_fields_of_the_official_objects_are_listed_as_such(name: str, official: dict[str, Any]) -> None:
    rows = table(f"fields {name}")
    theirs = set(official["components"]["schemas"][OFFICIAL_NAMES.get(name, name)]["properties"])

    assert {field for field, verdict in rows.items() if verdict != "added"} == theirs


def table(mark: str) -> dict[str, str]:
    """First column → verdict of the table behind a mark."""
    match = re.search(rf"<!-- {re.escape(mark)} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert match is not None
    rows = dict(re.findall(r"^\| `([^`]+)` \| (\w+) \|", match[1], re.MULTILINE))
    assert set(rows.values()) <= VERDICTS
    return rows


def absent(rows: dict[str, str]) -> list[str]:
    return [name for name, verdict in rows.items() if verdict == "absent"]


def operations(document: dict[str, Any], *, prefix: str) -> set[str]:
    """`GET /v1/…` of every operation."""
    return {
        f"{method.upper()} {prefix}{path}"
        for path, methods in document["paths"].items()
        for method in methods
        if method in ("get", "post", "delete")
    }
