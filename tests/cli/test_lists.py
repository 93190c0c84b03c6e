"""The commands that list, show, check and make things."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from agentrt.access.keys import KeyRing
from agentrt.config.load import load_config
from tests.cli.projects import serving
from tests.models.tiny_bert import write_tiny_bert

Call = Callable[..., Result]


def test_agents_are_listed_before_the_first_start(call: Call, project: Path) -> None:
    lines = call("agents").stdout.splitlines()
    assert lines[0].split() == ["agent", "id", "model", "from", "tools"]
    assert lines[1].split(maxsplit=5) == ["helper", "*", "asst_helper", "demo", "toml", "get_weather, wait_for"]
    rows = json.loads(call("agents", "list", "--json").stdout)
    assert rows[0] == {
        "id": "asst_helper",
        "name": "helper",
        "model": "demo",
        "tools": ["get_weather", "wait_for"],
        "origin": "toml",
    }


def test_an_agent_that_was_changed_in_the_file_is_listed_as_it_is_there(call: Call, project: Path) -> None:
    call("run", "helper", "hi")
    toml = (project / "agents.toml").read_text(encoding="utf-8")
    (project / "agents.toml").write_text(toml.replace('model = "demo"\ntools', 'model = "slow"\ntools'), "utf-8")
    assert json.loads(call("agents", "--json").stdout)[0]["model"] == "slow"


def test_models_say_why_they_are_not_available(call: Call, project: Path) -> None:
    rows = {row["name"]: row for row in json.loads(call("models", "--json").stdout)}
    assert rows["demo"]["available"]
    assert rows["fast"]["why"] == "A_KEY_THAT_IS_NOT_SET is not set (agents.toml:15:11)"
    assert "A_KEY_THAT_IS_NOT_SET is not set" in call("models").stdout


def test_models_for_embeddings_are_listed_and_tested_as_such(call: Call, project: Path) -> None:
    write_tiny_bert(project / "tiny")
    more = '\n[search]\nembedding = "near"\n[models.near]\nprovider = "minilm"\nmodel_dir = "tiny"\n'
    toml = (project / "agents.toml").read_text(encoding="utf-8")
    (project / "agents.toml").write_text(toml + more, encoding="utf-8")

    rows = {row["name"]: row for row in json.loads(call("models", "--json").stdout)}

    assert rows["near"]["embedding"]
    assert not rows["demo"]["embedding"]
    assert "available, for embeddings; search uses it" in call("models").stdout
    assert "a vector of 8 dimensions" in call("models", "test", "near").stdout
    checks = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)["checks"]}
    assert checks["search"]["text"] == "by words and by the vectors of near"
    assert checks["model near"]["text"] == f"embeddings, on this machine: {project}/tiny"


def test_the_doctor_says_why_search_has_no_vectors(call: Call, project: Path) -> None:
    toml = (project / "agents.toml").read_text(encoding="utf-8")
    checks = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)["checks"]}
    assert checks["search"]["text"] == "by words; [search] names no embedding model"

    more = '\n[search]\nembedding = "near"\n[models.near]\nprovider = "minilm"\nmodel_dir = "nowhere"\n'
    (project / "agents.toml").write_text(toml + more, encoding="utf-8")
    checks = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)["checks"]}

    assert checks["search"]["state"] == "warn"
    assert "the embedding model near is not available" in checks["search"]["text"]


def test_a_models_test_tells_who_answers_and_how_fast(call: Call, project: Path) -> None:
    good = call("models", "test", "demo")
    assert good.exit_code == 0
    assert re.search(r"ok    demo  first word .* m?s, whole .* m?s", good.stdout)
    bad = call("models", "test", "demo", "broken", "--json")
    assert bad.exit_code == 5
    demo, broken = json.loads(bad.stdout)
    assert demo["error"] is None
    assert "127.0.0.1:9" in broken["error"]
    assert json.loads(bad.stderr)["error"]["code"] == "E502"
    assert call("models", "test", "nothing").exit_code == 3


def test_tools_are_listed_with_those_that_are_off_and_those_that_are_broken(call: Call, project: Path) -> None:
    (project / "tools" / "broken.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    rows = {row["name"]: row for row in json.loads(call("tools", "--json").stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "get_weather": "on",
        "wait_for": "on",
        "not_switched_on": "off",
        "broken": "broken",
    }
    assert "nothing_of_this_name" in rows["broken"]["error"]
    shown = call("tools")
    assert re.search(r"not_switched_on +off +tools/weather.py:not_switched_on +Say a word", shown.stdout)
    assert '[tools.not_switched_on] python = "tools/weather.py:not_switched_on"' in shown.stderr


def test_a_tool_is_shown_with_what_it_takes(call: Call, project: Path) -> None:
    shown = call("tools", "show", "wait_for").stdout
    assert "Wait for some seconds." in shown
    assert "seconds: integer  how many seconds to wait." in shown
    schema = json.loads(call("tools", "show", "wait_for", "--json").stdout)["parameters"]
    assert schema["properties"]["seconds"]["type"] == "integer"


@pytest.mark.parametrize("words", [["city=Oslo"], ['{"city": "Oslo"}']])
def test_a_tool_is_called_by_hand(call: Call, project: Path, words: list[str]) -> None:
    assert call("tools", "call", "get_weather", *words).stdout == "4 degrees in Oslo\n"


def test_numbers_are_numbers_where_the_tool_wants_them_and_texts_stay_texts(call: Call, project: Path) -> None:
    assert call("tools", "call", "wait_for", "seconds=0").stdout == "waited 0 seconds\n"
    assert call("tools", "call", "get_weather", "city=42").stdout == "4 degrees in 42\n"


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["get_weather", "city"], "E200", 2),
        (["get_weather", "{broken"], "E200", 2),
        (["get_weather", "town=Oslo"], "E102", 1),
        (["get_whether"], "E303", 3),
    ],
)
def test_a_call_that_cannot_be_made_says_why(
    call: Call, project: Path, words: list[str], code: str, exit_code: int
) -> None:
    result = call("tools", "call", *words)
    assert f"error[{code}]" in result.stderr
    assert result.exit_code == exit_code
    assert result.stdout == ""


def test_threads_are_listed_shown_and_deleted(call: Call, project: Path) -> None:
    assert call("threads").stdout == ""
    for city in ("Oslo", "Rome"):
        call("run", "helper", f"What is the weather in {city}?")
    rome, oslo = json.loads(call("threads", "ls", "--json").stdout)
    assert oslo["title"] == "What is the weather in Oslo?"
    assert rome["metadata"] == {"source": "agentrt run"}
    listed = call("threads", "list", "-n", "1")
    assert rome["id"] in listed.stdout
    assert oslo["id"] not in listed.stdout
    assert f"more: agentrt threads list --after {rome['id']}" in listed.stderr
    assert oslo["id"] in call("threads", "--after", rome["id"]).stdout
    assert call("threads", "--metadata", "source=elsewhere").stdout == ""
    assert call("threads", "--metadata", "nonsense").exit_code == 2
    shown = call("threads", "show", oslo["id"][:-2]).stdout.splitlines()
    assert shown[2:4] == ["you › What is the weather in Oslo?", '  → get_weather(city="Oslo")']
    assert "4 degrees in Oslo" in shown[4]
    whole = json.loads(call("threads", "show", oslo["id"], "--json").stdout)
    assert [message["role"] for message in whole["messages"]] == ["user", "assistant"]
    assert [call["name"] for calls in whole["calls"].values() for call in calls] == ["get_weather"]
    assert call("threads", "rm", oslo["id"]).exit_code == 6
    assert call("threads", "rm", oslo["id"], "--yes").exit_code == 0
    assert call("threads", "show", oslo["id"]).exit_code == 3
    assert [row["id"] for row in json.loads(call("threads", "--json").stdout)] == [rome["id"]]


def test_looking_starts_no_run_and_takes_none_up(call: Call, project: Path) -> None:
    with serving(project) as service:
        thread = service.call("POST", "/threads", {"messages": [{"role": "user", "content": "wait for 50 seconds"}]})
        service.call("POST", f"/threads/{thread['id']}/runs", {"assistant_id": "asst_helper"})
        service.process.kill()
        service.process.wait()
    before = _jobs(project)
    assert before
    assert thread["id"] in call("threads").stdout
    assert call("agents").exit_code == 0
    assert _jobs(project) == before


def test_a_key_is_made_shown_once_and_known_by_its_hash(call: Call, project: Path) -> None:
    made = call("keys", "create", "web-app", "--project", "shop")
    key, *toml = made.stdout.splitlines()
    with (project / "agents.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", *toml, ""]))
    keys = load_config(project / "agents.toml").server.keys
    principal = KeyRing(keys).authenticate(f"Bearer {key}")
    assert (principal.key_name, principal.project) == ("web-app", "shop")
    listed = call("keys")
    assert re.search(r"web-app +shop +sha256:[0-9a-f]{12}…", listed.stdout)
    assert key not in listed.output
    again = call("keys", "create", "web-app")
    assert again.exit_code == 2
    assert "error[E205]" in again.stderr
    assert call("keys", "create", "no name").exit_code == 2
    as_json = json.loads(call("keys", "create", "other", "--json").stdout)
    assert as_json["toml"].splitlines()[0] == "[[server.keys]]"
    assert as_json["key"].startswith("sk-agentrt-")


def test_migrate_says_what_it_did_and_then_has_nothing_to_do(call: Call, project: Path) -> None:
    before = call("migrate", "--check")
    assert before.exit_code == 1
    assert "has to be migrated" in before.stdout
    assert "up to date" in call("migrate").stdout
    after = call("migrate", "--check")
    assert after.exit_code == 0
    assert after.stdout.endswith(": up to date\n")


def test_doctor_says_what_is_missing_and_how_to_get_it(call: Call, project: Path) -> None:
    result = call("doctor")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert any(re.match(r"  ok    python +3\.", line) for line in lines)
    assert any(re.match(r"  ok    sqlite +\S+ \(WAL", line) for line in lines)
    assert any(re.match(r"  warn  model fast +A_KEY_THAT_IS_NOT_SET is not set", line) for line in lines)
    assert any(line.strip() == "→ export A_KEY_THAT_IS_NOT_SET=…" for line in lines)
    assert any(re.match(r"  warn  model broken +nobody answers at http://127.0.0.1:9/v1", line) for line in lines)
    assert any("not there yet; it is made when it is needed" in line for line in lines)
    assert not (project / ".agentrt").exists(), "looking changes nothing"


def test_doctor_speaks_of_a_faster_event_loop_where_others_are_served_and_it_is_missing(
    call: Call, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extras() -> dict[str, str]:
        checks = json.loads(call("doctor", "--json").stdout)["checks"]
        found: dict[str, str] = next(check for check in checks if check["name"] == "extras")
        return found

    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    assert extras()["fix"] == ""
    key = call("keys", "create", "web-app").stdout.splitlines()[1:]
    with (project / "agents.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", *key, ""]))
    assert "pip install 'agentrt[uvloop]'" in extras()["fix"]
    assert extras()["state"] == "ok"


def test_doctor_fails_when_something_is_broken(call: Call, project: Path) -> None:
    with (project / "tools" / "weather.py").open("a", encoding="utf-8") as file:
        file.write("1 / 0\n")
    result = call("doctor", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["ok"]
    failed = {check["name"]: check["text"] for check in found["checks"] if check["state"] == "fail"}
    assert set(failed) == {"tool get_weather", "tool wait_for"}
    assert "ZeroDivisionError" in failed["tool get_weather"]
    (project / "agents.toml").write_text("nonsense", encoding="utf-8")
    broken = call("doctor")
    assert broken.exit_code == 1
    assert re.search(r"fail  config +the configuration has a problem", broken.stdout)


def test_doctor_finds_the_server_that_runs(call: Call, project: Path) -> None:
    with serving(project) as service:
        checks = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)["checks"]}
        assert checks["server"]["text"] == f"running at {service.url} (process {service.process.pid})"
        assert "up to date" in checks["database"]["text"]


def test_config_shows_what_counts_and_no_secret(call: Call, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY_THAT_IS_NOT_SET", "sk-now-it-is-set-to-this")
    checked = call("config")
    assert checked.stdout.startswith(f"ok  {project / 'agents.toml'} (the working folder)\n")
    shown = call("config", "show")
    assert '[models.fast]\nname         = "fast"' in shown.stdout
    assert 'api_key      = "***"' in shown.stdout
    whole = json.loads(call("config", "show", "--json").stdout)
    assert whole["runtime"]["run_expiry_s"] == 600.0
    assert "sk-now-it-is" not in shown.output + checked.output + json.dumps(whole)


def test_config_writes_the_schema_where_editors_look(call: Call, project: Path) -> None:
    target = project / ".agentrt" / "agents.schema.json"
    assert call("config", "schema", "--write").stdout.strip() == str(target)
    assert json.loads(call("config", "schema").stdout) == json.loads(target.read_text(encoding="utf-8"))


def _jobs(project: Path) -> list[tuple[object, ...]]:
    """Who drives what: a take-over raises the epoch."""
    with closing(sqlite3.connect(project / ".agentrt" / "agentrt.db")) as connection:
        return list(connection.execute("SELECT id, epoch, touched_at FROM job"))
