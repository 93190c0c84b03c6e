"""`agentrt runs`: with a server and without one, on a terminal and in a pipe."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from agentrt.cli.port import STATUSES
from agentrt.cli.runs import list_runs
from tests.cli.projects import LOOKUP, Service, agentrt, serving
from tests.cli.ptys import at_terminal

Call = Callable[..., Result]
Json = dict[str, Any]


def listed(call: Call, *words: str) -> list[Json]:
    result = call("runs", "list", "--json", *words)
    assert result.exit_code == 0, result.stderr
    found: list[Json] = json.loads(result.stdout)["runs"]
    return found


def run_on(service: Service, text: str, agent: str = "asst_helper", **fields: Any) -> Json:
    """A new run on a new thread."""
    thread = service.call("POST", "/threads", {"messages": [{"role": "user", "content": text}]})
    run: Json = service.call("POST", f"/threads/{thread['id']}/runs", {"assistant_id": agent, **fields})
    return run


def until(service: Service, run: Json, *statuses: str) -> Json:
    end = time.monotonic() + 40
    while (found := service.call("GET", f"/runs/{run['id']}"))["status"] not in statuses:
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return dict(found)


def kinds(document: Json) -> list[str]:
    return [part["kind"] for part in document["timeline"]["parts"]]


# Without a server ----------------------------------------------------------------------------------------------------


def test_runs_are_listed_with_what_they_came_to(call: Call, project: Path) -> None:
    assert call("runs").stdout == ""
    assert "no runs" in call("runs").stderr
    call("run", "helper", "What is the weather in Oslo?")
    assert call("run", "helper", "hi", "-m", "broken").exit_code == 1
    failed, done = listed(call)
    assert (failed["status"], failed["agent"], failed["error_code"]) == ("failed", "helper", "server_error")
    assert (done["status"], done["spent"]["prompt_tokens"] > 0) == ("completed", True)
    lines = call("runs").stdout.splitlines()
    assert lines[0].split() == ["run", "status", "created", "agent", "took", "tokens"]
    assert lines[1].startswith(failed["id"])
    assert "Cannot reach the model server http://127.0.0.1:9/v1" in lines[1]
    assert re.search(r"completed +now +helper +(< 1|\d) s +\d+$", lines[2])


def test_a_list_is_narrowed(call: Call, project: Path) -> None:
    call("run", "helper", "Hello")
    call("run", "helper", "hi", "-m", "broken")
    failed, done = listed(call)
    assert listed(call, "--status", "failed") == [failed]
    assert listed(call, "-s", "failed", "-s", "completed") == [failed, done]
    assert listed(call, "--agent", "helper", "-n", "1") == [failed]
    assert listed(call, "--agent", "asst_gone") == []
    assert listed(call, "--thread", done["thread_id"][:-3]) == [done]
    assert listed(call, "--since", "1h") == [failed, done]
    assert listed(call, "--after", failed["id"][:14]) == [done]
    page = call("runs", "-n", "1")
    assert f"more: agentrt runs list --after {failed['id']}" in page.stderr
    assert call("runs", "ls", "--status", "completed").stdout.splitlines()[1].startswith(done["id"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list", "--status", "running"], "E200"),
        (["list", "--since", "yesterday"], "E200"),
        (["list", "--agent", "nobody"], "E301"),
        (["list", "--thread", "thread_x"], "E302"),
        (["list", "--after", "run_x"], "E306"),
        (["show", "run_x"], "E306"),
        (["watch", "run_x"], "E306"),
        (["cancel", "run_x"], "E306"),
        (["retry", "run_x"], "E306"),
        (["show"], "E200"),
    ],
)
def test_what_cannot_be_found_says_so(call: Call, project: Path, words: list[str], code: str) -> None:
    result = call("runs", *words)
    assert f"error[{code}]" in result.stderr
    assert result.exit_code == int(code[1])
    assert result.stdout == ""


def test_a_prefix_that_fits_several_runs_names_them(call: Call, project: Path) -> None:
    call("run", "helper", "Hello")
    call("run", "helper", "Hello")
    result = call("runs", "show", "run_")
    assert "error[E208]" in result.stderr
    for row in listed(call):
        assert row["id"] in result.stderr


def test_the_statuses_of_the_option_are_those_that_there_are() -> None:
    (status,) = (option for option in list_runs.params if option.name == "status")
    assert isinstance(status.type, click.Choice)
    assert status.type.choices == STATUSES


def test_a_run_is_shown_as_a_timeline(call: Call, project: Path) -> None:
    call("run", "helper", "What is the weather in Oslo?")
    (row,) = listed(call)
    head, thread, _, *lines = call("runs", "show", row["id"][:14]).stdout.splitlines()
    assert head == f"{row['id']} · completed · helper · model demo"
    assert thread.startswith(f"{row['thread_id']} · 20")
    words = [re.split(r"  +", line.strip()) for line in lines]
    assert [line[1] for line in words[:5]] == ["queued", "model", '→ get_weather(city="Oslo")', "model", "✓ completed"]
    assert re.fullmatch(r"\d+ \+ \d+ tokens|first word .* tokens", words[1][3])
    assert re.match(r".* · 2 model calls .* · 1 function .* tokens$", lines[-1])
    assert "4 degrees in Oslo" not in "".join(lines)
    assert "4 degrees in Oslo" in call("runs", "show", row["id"], "-v").stdout
    document = json.loads(call("runs", "show", row["id"], "--json").stdout)
    assert document["version"] == 1
    assert document["run"] == row
    assert kinds(document) == ["queued", "model_call", "function_call", "model_call", "end"]
    assert document["timeline"]["parts"][2]["output"] == "4 degrees in Oslo"


def test_a_timeline_on_a_terminal_has_bars(project: Path) -> None:
    agentrt(project, "run", "helper", "What is the weather in Oslo?")
    (row,) = json.loads(agentrt(project, "runs", "--json").stdout)["runs"]
    with at_terminal(project, "runs", "show", row["id"], columns=80) as person:
        assert person.leave() == 0
        assert re.search(r"model +[\d.]+ m?s +[░█▉▊▋▌▍▎▏]", person.seen)
        assert all(len(line) < 80 for line in person.seen.splitlines())
        assert "\x1b[36m" in person.raw
    with at_terminal(project, "runs", columns=80) as person:
        assert person.leave() == 0
        assert f"{row['id'][:13]}  completed" in person.seen, "as much of the id as names it"


def test_a_run_whose_events_are_not_kept_any_more_says_so(call: Call, project: Path) -> None:
    call("run", "helper", "Hello")
    (row,) = listed(call)
    with closing(sqlite3.connect(project / ".agentrt" / "agentrt.db")) as connection:
        connection.execute("DELETE FROM run_event")
        connection.commit()
    shown = call("runs", "show", row["id"]).stdout.splitlines()
    assert shown[0].startswith(f"{row['id']} · completed")
    assert shown[-1].strip() == "its events are not kept any more"
    assert json.loads(call("runs", "show", row["id"], "--json").stdout)["timeline"] is None
    assert call("runs", "watch", row["id"]).exit_code == 0


def test_a_failed_run_is_repeated_here_and_watched(call: Call, project: Path) -> None:
    call("run", "helper", "hi", "-m", "broken")
    (failed,) = listed(call)
    result = call("runs", "retry", failed["id"][:14])
    assert result.exit_code == 1
    assert "error[E101]" in result.stderr
    again, _ = listed(call)
    assert again["retry_of"] == failed["id"]
    assert f"{again['id']} repeats {failed['id']}" in result.stderr
    assert "model, failed" in result.stdout
    assert f"repeats {failed['id']}" in call("runs", "show", again["id"]).stdout
    call("run", "helper", "Hello")
    done = listed(call, "--status", "completed")[0]
    refused = call("runs", "retry", done["id"])
    assert (refused.exit_code, "error[E210]" in refused.stderr) == (2, True)


# What a server left behind -------------------------------------------------------------------------------------------


def test_a_run_that_nobody_drives_is_shown_not_taken_up_and_can_be_cancelled(call: Call, project: Path) -> None:
    with serving(project) as service:
        run = run_on(service, "wait for 50 seconds")
        behind = service.call(
            "POST",
            f"/threads/{run['thread_id']}/runs",
            {"assistant_id": "asst_helper", "agentrt": {"on_busy": "enqueue"}},
        )
        while "call_started" not in [
            event["kind"] for event in service.call("GET", f"/runs/{run['id']}/events")["data"]
        ]:
            time.sleep(0.02)
        service.process.kill()
        service.process.wait()
    watched = call("runs", "watch", run["id"])
    assert (watched.exit_code, "error[E505]" in watched.stderr) == (5, True)
    assert "wait_for(seconds=50)" in call("runs", "show", run["id"]).stdout
    checks = {check["name"]: check for check in json.loads(call("doctor", "--json").stdout)["checks"]}
    assert (checks["queue"]["state"], checks["queue"]["fix"]) == ("warn", "agentrt serve takes them up")
    assert checks["queue"]["text"] == "1 job waits · 1 behind another run"

    result = call("runs", "cancel", run["id"][:14])
    assert (result.exit_code, result.stderr) == (0, f"{run['id']} is cancelled\n")
    document = json.loads(call("runs", "show", run["id"], "--json").stdout)
    assert kinds(document)[-2:] == ["asked", "end"]
    assert document["timeline"]["parts"][2]["is_cut"]
    again = call("runs", "cancel", run["id"])
    assert (again.exit_code, "Cannot cancel run with status 'cancelled'" in again.stderr) == (2, True)
    assert "1 job waits" in call("doctor").stdout, "the run behind it is free to go"
    with serving(project) as service:
        assert until(service, behind, "completed", "failed")["status"] == "completed"


def test_a_run_that_was_taken_over_says_so(call: Call, project: Path) -> None:
    with serving(project) as service:
        run = run_on(service, "wait for 50 seconds")
        while "call_started" not in [
            event["kind"] for event in service.call("GET", f"/runs/{run['id']}/events")["data"]
        ]:
            time.sleep(0.02)
        service.process.kill()
        service.process.wait()
    with serving(project) as service:
        until(service, run, "completed")
        document = json.loads(call("runs", "show", run["id"], "--json").stdout)
    assert kinds(document) == ["queued", "model_call", "function_call", "take_over", "model_call", "end"]
    function, taken = document["timeline"]["parts"][2:4]
    assert function["error"] == "interrupted"
    assert taken["epoch"] == 2
    assert re.search(r"⇄ taken over, epoch 2 ", call("runs", "show", run["id"]).stdout)


# With a server -------------------------------------------------------------------------------------------------------


def test_a_run_is_watched_while_it_grows(project: Path) -> None:
    with serving(project) as service:
        run = run_on(service, "wait for 1 seconds", model="slow")
        with at_terminal(project, "runs", "watch", run["id"][:14], columns=80) as person:
            person.see("→ wait_for(seconds=1)")
            person.see("✓ completed")
            assert person.leave() == 0
        last_drawn = person.seen[person.seen.rindex("queued") :]
        assert re.search(r"model .*wait_for.*model .*✓ completed.*2 model calls", last_drawn, re.DOTALL)
        plain = agentrt(project, "runs", "watch", run["id"])
        assert [line.split("  ")[-1] for line in plain.stdout.splitlines() if "completed" in line] == ["✓ completed"]
        first, *parts = (
            json.loads(line) for line in agentrt(project, "runs", "watch", run["id"], "--json").stdout.splitlines()
        )
        assert (first["version"], first["run"]["id"]) == (1, run["id"])
        assert [part["kind"] for part in parts] == ["queued", "model_call", "function_call", "model_call", "end"]


def test_watching_goes_on_past_a_wait_for_the_caller_and_ctrl_c_stops_the_watching_only(project: Path) -> None:
    with serving(project) as service:
        orders = service.call("POST", "/assistants", {"model": "demo", "name": "Orders", "tools": [LOOKUP]})
        run = until(service, run_on(service, "look up order A-17", orders["id"]), "requires_action")
        with at_terminal(project, "runs", "watch", run["id"]) as person:
            person.see("waits for lookup_order")
            person.press("C")
            assert person.leave() == 130
        with at_terminal(project, "runs", "watch", run["id"]) as person:
            person.see("waits for lookup_order")
            (call_,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
            outputs = {"tool_outputs": [{"tool_call_id": call_["id"], "output": "shipped"}]}
            service.call("POST", f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs", outputs)
            person.see("waited for lookup_order")
            person.see("✓ completed")
            assert person.leave() == 0


def test_runs_are_cancelled_and_repeated_through_the_server(project: Path) -> None:
    with serving(project) as service:
        runs = [run_on(service, "wait for 50 seconds") for _ in range(2)]
        for run in runs:
            until(service, run, "in_progress")
        done = agentrt(project, "runs", "cancel", "--json", *(run["id"][:14] for run in runs))
        assert [run["id"] for run in json.loads(done.stdout)["runs"]] == [run["id"] for run in runs]
        for run in runs:
            until(service, run, "cancelled")
        again = agentrt(project, "runs", "retry", runs[0]["id"])
        made = service.call("GET", f"/runs/{again.stdout.strip()}")
        assert made["agentrt"]["retry_of"] == runs[0]["id"]
        watched = agentrt(project, "runs", "retry", "--watch", runs[1]["id"])
        assert (watched.returncode, "✓ completed" in watched.stdout) == (0, True)


def test_doctor_and_healthz_say_what_waits_and_who_works(call: Call, project: Path) -> None:
    with serving(project) as service:
        orders = service.call("POST", "/assistants", {"model": "demo", "tools": [LOOKUP]})
        until(service, run_on(service, "look up order A-17", orders["id"]), "requires_action")
        working = run_on(service, "wait for 50 seconds")
        until(service, working, "in_progress")
        found = json.loads(call("doctor", "--json").stdout)
        assert found["queue"] == {
            "waiting": 0,
            "oldest_waiting_s": None,
            "driving": 1,
            "waiting_for_caller": 1,
            "held": 0,
        }
        (worker,) = found["workers"]
        assert (worker["pid"], worker["role"], worker["driving"]) == (service.process.pid, "all", 1)
        assert worker["is_alive"]
        checks = {check["name"]: check for check in found["checks"]}
        assert checks["queue"]["text"] == "1 at work · 1 run waiting for its caller"
        assert re.fullmatch(r"\S+ \(all\) · heard of .+ ago · drives 1", checks["workers"]["text"])
        service.call("POST", f"/runs/{working['id']}/cancel")
    assert call("doctor").exit_code == 0
