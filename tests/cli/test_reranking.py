"""A reranker on the command line: listed, tested, looked after by the doctor, and seen at work in a search."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from click.testing import Result

from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, ReceivedRequest, body_reply, error
from agentrt.testing.rerank_answers import rerank_script
from tests.cli.projects import agentrt, serving

Call = Callable[..., Result]

CONFIG = """
[search]
rerank = "judge"
[models.judge]
provider = "compatible"
base_url = "{url}"
model = "bge-reranker"
retries = 0
rerank = {{}}
"""
NOTES = {"leave.md": "Leave, leave and leave.", "longer.md": "Paid leave is thirty days of rest in each year of work."}
QUESTION = "paid leave leave leave leave leave leave"


class Server:
    """Judges, or fails while it is told to; lists the models that it has."""

    def __init__(self) -> None:
        self.is_down = False
        self._good = rerank_script()

    def __call__(self, request: ReceivedRequest) -> Answer:
        if request.method == "GET":
            return body_reply(json.dumps({"data": [{"id": "bge-reranker"}]}).encode())
        return error(500, "out of memory") if self.is_down else self._good(request)


@pytest.fixture
async def judge(project: Path) -> AsyncIterator[Server]:
    script = Server()
    async with FakeModelServer(script) as server:
        toml = project / "agents.toml"
        toml.write_text(toml.read_text(encoding="utf-8") + CONFIG.format(url=server.url), encoding="utf-8")
        (project / "notes").mkdir()
        for name, text in NOTES.items():
            (project / "notes" / name).write_text(text)
        yield script


async def test_it_is_listed_tested_and_looked_after(call: Call, judge: Server) -> None:
    def look() -> None:
        rows = {row["name"]: row for row in json.loads(call("models", "--json").stdout)}
        assert (rows["judge"]["rerank"], rows["judge"]["embedding"], rows["demo"]["rerank"]) == (True, False, False)
        assert "available, for reranking; search uses it" in call("models").stdout
        assert "0.99 for an answer, 0.34 for none" in call("models", "test", "judge").stdout
        checks = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)["checks"]}
        assert checks["search"]["text"] == "by words; [search] names no embedding model; reranked by judge"
        assert checks["model judge"]["state"] == "ok"
        assert checks["model judge"]["text"].endswith(", for reranking")
        judge.is_down = True
        assert "out of memory" in call("models", "test", "judge").stdout

    await asyncio.to_thread(look)


async def test_the_doctor_says_why_nobody_reranks(call: Call, judge: Server, project: Path) -> None:
    toml = project / "agents.toml"
    keyed = toml.read_text().replace('model = "bge-reranker"', 'model = "bge-reranker"\napi_key = "${RERANK_KEY}"')
    toml.write_text(keyed, encoding="utf-8")
    report = await asyncio.to_thread(call, "doctor", "--json")

    checks = {check["name"]: check for check in json.loads(report.stdout)["checks"]}
    assert checks["search"]["state"] == "warn"
    assert "not reranked: the model judge is not available: RERANK_KEY is not set" in checks["search"]["text"]


@pytest.mark.parametrize("has_server", [False, True])
async def test_an_explained_search_shows_what_it_said(
    call: Call, judge: Server, project: Path, has_server: bool
) -> None:
    def look() -> None:
        assert call("stores", "add", "notes").exit_code == 0
        shown = call("stores", "search", "notes", QUESTION, "--explain").stdout
        assert shown.index("longer.md") < shown.index("leave.md")
        heads, first, second = (line.split() for line in shown.splitlines()[-3:])
        assert heads[:5] == ["#", "was", "words", "fused", "reranked"]
        assert (first[:2], first[4], second[:2]) == (["1", "2"], "0.99", ["2", "1"])
        judge.is_down = True
        without = call("stores", "search", "notes", QUESTION, "--explain")
        assert without.stdout.index("leave.md") < without.stdout.index("longer.md")
        assert "reranked" not in without.stdout
        assert "not reranked: The model server" in without.stderr

    def look_beside_a_server() -> None:
        with serving(project):
            assert agentrt(project, "stores").returncode == 0
            look()

    await asyncio.to_thread(look_beside_a_server if has_server else look)
