"""`agentrt init`: projects that work at once, with the model that is there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import Result

from agentrt.config.load import load_config

Call = Callable[..., Result]


@contextmanager
def ollama(*names: str) -> Iterator[str]:
    """Something that lists models as Ollama does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"models": [{"name": name} for name in names]}).encode()
            self.send_response(200 if self.path == "/api/tags" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("template", "agent", "question", "answer"),
    [
        ("minimal", "helper", "what is 12*7?", "84"),
        ("minimal", "helper", "roll 2 dice", "sum"),
        ("support", "support", "where is order A-1002?", "on its way"),
        ("support", "support", "what does the handbook say about refunds?", "within 14 days"),
    ],
)
def test_a_new_project_works_at_once(call: Call, template: str, agent: str, question: str, answer: str) -> None:
    assert call("init", "shop", "--template", template).exit_code == 0
    result = call("run", agent, question, "--config", "shop/agents.toml")
    assert answer in result.stdout
    assert result.exit_code == 0


@pytest.mark.parametrize("template", ["minimal", "support"])
def test_a_new_project_has_no_problems_and_no_warnings(call: Call, tmp_path: Path, template: str) -> None:
    result = call("init", "--template", template)
    config = load_config(tmp_path / "agents.toml")
    assert config.warnings == ()
    named = result.stdout.splitlines()[0].removeprefix("created ").rpartition(" (")[0].split(", ")
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert set(named) == there - {".agentrt/agents.schema.json"}
    assert ".agentrt/" in (tmp_path / ".gitignore").read_text(encoding="utf-8")


def test_without_key_and_ollama_the_demo_model_is_taken_and_called_what_it_is(call: Call) -> None:
    result = call("init")
    assert "model   demo (no OPENAI_API_KEY, no Ollama" in result.stdout
    assert "demo is a scripted stand-in, not a language model" in result.stdout


def test_a_key_for_openai_is_used_and_not_written_down(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret-of-somebody")
    result = call("init")
    assert "model   fast (OpenAI's gpt-4o-mini; OPENAI_API_KEY is set)" in result.stdout
    config = load_config(tmp_path / "agents.toml")
    assert config.agents["helper"].model == "fast"
    assert "sk-a-secret" not in (tmp_path / "agents.toml").read_text(encoding="utf-8") + result.output


def test_a_key_that_is_for_another_server_is_not_taken_for_openais(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any-text-will-do")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8700/v1")
    assert "model   demo" in call("init").stdout


def test_a_model_of_ollama_is_found(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama("nomic-embed-text:latest", "gemma:2b", "qwen3:8b") as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert "model   local (qwen3:8b on Ollama)" in call("init").stdout
    assert load_config(tmp_path / "agents.toml").models["local"].model == "qwen3:8b"


def test_an_ollama_without_a_model_to_talk_to_is_none(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with ollama("nomic-embed-text:latest") as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert "model   demo" in call("init").stdout


def test_nothing_is_overwritten(call: Call, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    mine = tmp_path / "tools" / "dice.py"
    mine.write_text('"""Mine."""\n\n\ndef roll_dice() -> str:\n    """Roll."""\n    return "6"\n', encoding="utf-8")
    result = call("init")
    assert "kept    tools/dice.py" in result.stdout
    assert mine.read_text(encoding="utf-8").startswith('"""Mine."""')
    before = (tmp_path / "agents.toml").read_text(encoding="utf-8")
    again = call("init", "--template", "support")
    assert again.exit_code == 2
    assert "error[E203]: agents.toml is there already" in again.stderr
    assert (tmp_path / "agents.toml").read_text(encoding="utf-8") == before
    assert not (tmp_path / "prompts").exists()


def test_what_to_type_next_depends_on_where_one_is(call: Call) -> None:
    assert "cd shop" in call("init", "shop").stdout
    assert "cd " not in call("init", ".").stdout
