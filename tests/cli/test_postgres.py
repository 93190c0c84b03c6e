"""The command line on PostgreSQL, where no lock file says which server runs."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.cli.projects import agentrt, serving, write_project
from tests.postgres import PostgresServer


def test_the_server_on_the_same_database_is_found_by_its_address(
    tmp_path: Path, postgres_url: str, postgres_server: PostgresServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    write_project(tmp_path)
    toml = (tmp_path / "agents.toml").read_text(encoding="utf-8")
    runtime = f'[runtime]\ndatabase = "{postgres_url}"\n'
    (tmp_path / "agents.toml").write_text(runtime + toml.replace("port = 0", f"port = {port}"), encoding="utf-8")

    alone = agentrt(tmp_path, "run", "helper", "What is the weather in Oslo?", "--json")
    assert json.loads(alone.stdout)["status"] == "completed"
    with serving(tmp_path, "--port", str(port)) as service:
        through = agentrt(tmp_path, "run", "helper", "What is the weather in Rome?", "--json")
        assert json.loads(through.stdout)["status"] == "completed"
        assert len(service.call("GET", "/threads")["data"]) == 2
        checks = json.loads(agentrt(tmp_path, "doctor", "--json").stdout)["checks"]
        assert "up to date" in next(check["text"] for check in checks if check["name"] == "database")
    assert len(json.loads(agentrt(tmp_path, "threads", "--json").stdout)) == 2


def test_runs_are_seen_watched_and_cancelled_from_beside_a_server_that_is_not_found(
    tmp_path: Path, postgres_url: str
) -> None:
    write_project(tmp_path)
    toml = (tmp_path / "agents.toml").read_text(encoding="utf-8")
    (tmp_path / "agents.toml").write_text(f'[runtime]\ndatabase = "{postgres_url}"\n{toml}', encoding="utf-8")
    with serving(tmp_path) as service:  # on a port that agents.toml does not name

        def begin(text: str) -> str:
            thread = service.call("POST", "/threads", {"messages": [{"role": "user", "content": text}]})
            run = service.call("POST", f"/threads/{thread['id']}/runs", {"assistant_id": "asst_helper"})
            return str(run["id"])

        watched = agentrt(tmp_path, "runs", "watch", begin("wait for 1 seconds"))
        assert (watched.returncode, "✓ completed" in watched.stdout) == (0, True), watched.stderr
        slow = begin("wait for 50 seconds")
        found = json.loads(agentrt(tmp_path, "doctor", "--json").stdout)
        assert (found["queue"]["driving"], [worker["is_alive"] for worker in found["workers"]]) == (1, [True])
        cancelled = agentrt(tmp_path, "runs", "cancel", slow[:14])
        assert cancelled.stderr == f"{slow} is being cancelled\n"
        assert agentrt(tmp_path, "runs", "watch", slow).returncode == 1
    statuses = [run["status"] for run in json.loads(agentrt(tmp_path, "runs", "--json").stdout)["runs"]]
    assert statuses == ["cancelled", "completed"]
