"""`agentrt run`: the answer on standard output, everything else on standard error, and an exit code that says how."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from agentrt.store.lock import acquire_lock
from tests.cli.projects import LOOKUP, Service, agentrt, command, environment, serving

Call = Callable[..., Result]

OSLO = re.compile(r"[^\n]*\b4 degrees in Oslo\b[^\n]*\n?")
"""One line with the tool's result; how the demo model words it is its own business."""


def test_standard_output_gets_the_answer_and_nothing_else(project: Path) -> None:
    done = agentrt(project, "run", "helper", "What is the weather in Oslo?")
    assert done.returncode == 0
    assert OSLO.fullmatch(done.stdout)
    assert re.fullmatch(r'  → get_weather\(city="Oslo"\)  \d+ ms\n|  → .*\)  0\.\d s\n', done.stderr)
    quiet = agentrt(project, "run", "helper", "-", "--quiet", stdin="What is the weather in Rome?\n")
    assert "4 degrees in Rome" in quiet.stdout
    assert quiet.stderr == ""


def test_json_says_everything_at_the_end(call: Call, project: Path) -> None:
    result = call("run", "helper", "What is the weather in Oslo?", "--json")
    found = json.loads(result.stdout)
    assert result.stderr == ""
    assert OSLO.fullmatch(found["answer"])
    assert (found["status"], found["agent"]) == ("completed", "asst_helper")
    assert found["calls"] == [{"name": "get_weather", "arguments": '{"city": "Oslo"}', "output": "4 degrees in Oslo"}]
    assert found["usage"]["total_tokens"] == found["usage"]["prompt_tokens"] + found["usage"]["completion_tokens"] > 0
    assert found["thread_id"].startswith("thread_")


def test_jsonl_says_everything_as_it_happens(call: Call, project: Path) -> None:
    events = [json.loads(line) for line in call("run", "helper", "weather in Oslo?", "--jsonl").stdout.splitlines()]
    kinds = list(dict.fromkeys(event["event"] for event in events))
    assert kinds == ["run_began", "call_began", "call_ended", "text_piece", "message_ended", "run_ended"]
    assert OSLO.fullmatch("".join(e["text"] for e in events if e["event"] == "text_piece"))
    assert events[-1]["status"] == "completed"


def test_a_second_question_on_the_thread_knows_the_first(call: Call, project: Path) -> None:
    thread = json.loads(call("run", "helper", "My name is Ada.", "--json").stdout)["thread_id"]
    assert "Ada" in call("run", "helper", "What is my name?", "-t", thread[:-4]).stdout


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["nobody", "hi"], "E301", 3),
        (["helper", "hi", "-m", "nothing"], "E304", 3),
        (["helper", "hi", "-t", "thread_x"], "E302", 3),
        (["helper", ""], "E200", 2),
        (["helper", "hi", "--timeout", "soon"], "E200", 2),
        (["helper", "hi", "--json", "--jsonl"], "E200", 2),
        (["helper", "hi", "-m", "broken"], "E101", 1),
        (["helper", "wait for 60 seconds", "--timeout", "500ms"], "E701", 7),
    ],
)
def test_the_exit_code_says_how_it_ended(
    call: Call, project: Path, words: list[str], code: str, exit_code: int
) -> None:
    result = call("run", *words)
    assert code in result.stderr.splitlines()[0]
    assert result.exit_code == exit_code


def test_a_limit_that_ends_the_run_is_told(call: Call, project: Path) -> None:
    with (project / "agents.toml").open("a", encoding="utf-8") as file:
        file.write('[agents.brief]\nmodel = "demo"\ntools = ["get_weather"]\nlimits = { max_steps = 1 }\n')
    result = call("run", "brief", "What is the weather in Oslo?")
    assert result.exit_code == 7
    assert "error[E702]: a limit ended the run: max_steps" in result.stderr


def test_ctrl_c_cancels_the_run_and_keeps_the_thread(project: Path) -> None:
    process = subprocess.Popen(
        command("run", "helper", "wait for 60 seconds", "--jsonl"),
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "call_began":
            process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == ""
    assert (events[-1]["event"], events[-1]["status"]) == ("run_ended", "cancelled")
    shown = json.loads(agentrt(project, "threads", "show", events[0]["thread_id"], "--json").stdout)
    assert [message["text"] for message in shown["messages"]] == ["wait for 60 seconds"]


def test_a_reader_that_leaves_is_no_error(project: Path) -> None:
    process = subprocess.Popen(
        command("run", "helper", "Hello", "-m", "slow"),
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(5)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 1
    assert errors == b""


def test_a_call_that_nobody_here_runs_needs_a_person(project: Path) -> None:
    with serving(project) as service:
        made = service.call("POST", "/assistants", {"model": "demo", "name": "Orders", "tools": [LOOKUP]})
        done = agentrt(project, "run", made["id"], "look up order A-17")
        assert done.returncode == 6
        assert done.stdout == ""
        first, call, fix = done.stderr.splitlines()
        assert first == "error[E601]: the run waits for calls that are yours to answer"
        assert call == '  → lookup_order(order_id="A-17")'
        assert re.fullmatch(r"  fix: agentrt chat -t thread_\w+ asks you for what they return", fix)
        as_json = agentrt(project, "run", made["id"], "look up order A-18", "--json")
        found = json.loads(as_json.stdout)
        assert found["status"] == "requires_action"
        assert found["pending_calls"][0]["arguments"] == '{"order_id": "A-18"}'


def test_a_server_that_holds_the_database_is_used_and_gives_the_same(project: Path) -> None:
    with serving(project) as service:
        done = agentrt(project, "run", "helper", "What is the weather in Oslo?")
        assert done.returncode == 0
        assert OSLO.fullmatch(done.stdout)
        assert '→ get_weather(city="Oslo")' in done.stderr
        assert len(service.call("GET", "/threads")["data"]) == 1


def test_a_server_with_keys_is_asked_with_one(project: Path) -> None:
    secret = "sk-agentrt-a-secret-for-tests"
    with (project / "agents.toml").open("a", encoding="utf-8") as file:
        file.write('[[server.keys]]\nname = "web"\nkey = "${WEB_APP_KEY:-' + secret + '}"\n')
    with serving(project) as service:
        refused = agentrt(project, "run", "helper", "hi", "--key", "sk-wrong")
        assert refused.returncode == 4
        assert "error[E401]" in refused.stderr
        assert secret not in refused.stderr
        assert agentrt(project, "run", "helper", "hi").returncode == 4
        assert agentrt(project, "run", "helper", "hi", "--key", secret).returncode == 0
        # A variable that holds a configured key is found by the key's hash.
        assert agentrt(project, "run", "helper", "hi", WEB_APP_KEY=secret).returncode == 0
        assert _key_line(service) == '  export OPENAI_API_KEY=…    # the key "web"'


def _key_line(service: Service) -> str:
    return next(line for line in service.lines if "OPENAI_API_KEY" in line)


def test_a_server_that_does_not_answer_is_named(call: Call, project: Path) -> None:
    database = project / ".agentrt" / "agentrt.db"
    database.parent.mkdir()
    lock = acquire_lock(database, url="http://127.0.0.1:9")
    try:
        result = call("run", "helper", "hi", "--json")
    finally:
        lock.release()
    assert result.exit_code == 5
    error = json.loads(result.stderr)["error"]
    assert error["code"] == "E501"
    assert "http://127.0.0.1:9" in error["message"]


def test_a_process_that_is_no_server_keeps_the_database_to_itself(call: Call, project: Path) -> None:
    database = project / ".agentrt" / "agentrt.db"
    database.parent.mkdir()
    lock = acquire_lock(database)
    try:
        result = call("run", "helper", "hi")
    finally:
        lock.release()
    assert result.exit_code == 5
    assert result.stderr.startswith("error[E503]: Database ")
    assert f"process {os.getpid()}" in result.stderr
