"""`agentrt serve`: a real process on a real port, with real signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from agentrt.runtime.health import NOT_TRIED
from agentrt.store.lock import read_lock
from tests.cli.projects import Service, command, environment, serving

Call = Callable[..., Result]


def health(service: Service) -> dict[str, Any]:
    with urllib.request.urlopen(f"{service.url}/healthz", timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def test_it_says_where_it_is_what_is_on_and_what_to_type(project: Path) -> None:
    with serving(project) as service:
        said = "\n".join(service.lines)
        assert service.lines[0] == f"agentrt 0.1.0 · {service.url}"
        assert "models    demo (a scripted stand-in, not a language model)" in said
        assert "fast off: A_KEY_THAT_IS_NOT_SET is not set (agents.toml:15:11)" in said
        assert "agents    helper, keyless" in said
        flat = " ".join(said.split())
        assert "tools get_weather, wait_for" in flat
        assert "file_search (by words; [search] names no embedding model)" in flat
        assert "code_interpreter" in said
        assert NOT_TRIED not in said, "it is found out before the banner is shown"
        assert "keys      none: everybody on this machine may come in, and nobody else" in said
        assert f"  export OPENAI_BASE_URL={service.url}/v1" in service.lines
        assert "  export OPENAI_API_KEY=any-text-will-do" in service.lines
        assert health(service)["status"] == "ok"
        holder = read_lock(project / ".agentrt" / "agentrt.db")
        assert holder is not None
        assert (holder.url, holder.pid) == (service.url, service.process.pid)
        assert service.stop() == 0
    assert read_lock(project / ".agentrt" / "agentrt.db") is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_streams_and_lets_runs_go_on_at_the_next_start(project: Path, number: signal.Signals) -> None:
    with serving(project) as service:
        thread = service.call("POST", "/threads", {"messages": [{"role": "user", "content": "wait for 2 seconds"}]})
        body = {"assistant_id": "asst_helper", "stream": True}
        request = urllib.request.Request(
            f"{service.url}/v1/threads/{thread['id']}/runs",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json", "openai-beta": "assistants=v2"},
        )
        with urllib.request.urlopen(request, timeout=30) as stream:
            while b"thread.run.in_progress" not in stream.readline():
                pass
            assert service.stop(number) == 0
            stream.read()
    with serving(project) as service:
        (run,) = service.call("GET", f"/threads/{thread['id']}/runs")["data"]
        while run["status"] in ("queued", "in_progress"):
            time.sleep(0.05)
            run = service.call("GET", f"/threads/{thread['id']}/runs/{run['id']}")
        assert run["status"] == "completed"


def test_a_second_signal_does_not_wait_for_the_runs(project: Path) -> None:
    with serving(project) as service:
        thread = service.call("POST", "/threads", {"messages": [{"role": "user", "content": "wait for 50 seconds"}]})
        run = service.call("POST", f"/threads/{thread['id']}/runs", {"assistant_id": "asst_helper"})
        while not health(service)["queue"]["driving"]:
            time.sleep(0.02)
        service.process.send_signal(signal.SIGINT)
        _wait_for(project, "serve.draining")
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(timeout=8) == 130  # the grace alone would be ten
        assert "Traceback" not in (project / "serve.log").read_text(encoding="utf-8")
    with serving(project) as service:
        found = service.call("GET", f"/threads/{thread['id']}/runs/{run['id']}")
        assert found["status"] in ("queued", "in_progress", "completed")


def test_an_impatient_person_reads_no_traceback(project: Path) -> None:
    with serving(project) as service:
        service.process.send_signal(signal.SIGINT)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=8) == 130
        assert "Traceback" not in (project / "serve.log").read_text(encoding="utf-8")


def test_the_log_can_be_json_and_then_it_has_the_address(project: Path) -> None:
    process = subprocess.Popen(
        command("serve", "--port", "0", "--log-format", "json"),
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            event = json.loads(line)
            if event["event"] == "serve.ready":
                break
        with urllib.request.urlopen(f"{event['url']}/healthz", timeout=30) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert output == ""


def test_a_port_that_is_taken_is_told_before_anything_is_opened(call: Call, project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = call("serve", "--port", str(port))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error[E207]: port {port} is taken",
        f"  why: another program listens on 127.0.0.1:{port}",
        "  fix: --port 0 takes a free one, or stop that program",
    ]
    assert not (project / ".agentrt").exists()


def test_a_public_address_without_keys_is_refused(call: Call, project: Path) -> None:
    result = call("serve", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "can be reached from other machines" in result.stderr
    assert "agentrt keys create" in result.stderr


def test_an_address_of_another_machine_is_refused(call: Call, project: Path) -> None:
    with (project / "agents.toml").open("a", encoding="utf-8") as file:
        file.write('[[server.keys]]\nname = "a"\nkey = "sk-agentrt-long-enough-for-this"\n')
    result = call("serve", "--host", "203.0.113.7")
    assert result.exit_code == 2
    assert 'error[E206]: "203.0.113.7" is no address of this machine' in result.stderr


def test_a_database_that_another_server_holds_is_told_with_its_address(call: Call, project: Path) -> None:
    with serving(project) as service:
        result = call("serve", "--port", "0")
        assert result.exit_code == 5
        assert result.stderr.startswith("error[E503]: ")
        assert service.url in result.stderr


def _wait_for(project: Path, event: str) -> None:
    end = time.monotonic() + 20
    while event not in (project / "serve.log").read_text(encoding="utf-8"):
        assert time.monotonic() < end, event
        time.sleep(0.02)
