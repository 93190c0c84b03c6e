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
