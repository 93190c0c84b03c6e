"""`agentrt webhooks`, with a server and without: the same lists, the same words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import Result

from tests.cli.projects import Service, serving, write_project
from tests.runtime.webhooks.receiver import BROKEN, SECRET, Receiver, Reply, receiving, wait_for

Call = Callable[..., Result]
MORE = '[[webhooks]]\nname = "other"\nurl = "https://example.com/x?token=t0ken"\nsecret = "${NOT_SET}"\n'


@contextmanager
def told(project: Path, *replies: Reply, more: str = "") -> Iterator[Receiver]:
    """The project with a webhook; the receiver that it tells."""
    with receiving(*replies) as receiver:
        write_project(project, f"\n{receiver.toml()}{more}")
        yield receiver


def rows(call: Call, *words: str) -> Any:
    return json.loads(call("webhooks", *words, "--json").stdout)


def settled(call: Call, n: int = 1) -> Any:
    """The deliveries, once there are so many and each was tried."""
    found: Any = []

    def look() -> bool:
        found[:] = rows(call, "deliveries")
        return len(found) == n and all(row["last_attempt"] for row in found)

    wait_for(look)
    return found


def completed(service: Service) -> str:
    """The id of a run that has completed."""
    body = {"assistant_id": "asst_helper", "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    run = service.call("POST", "/threads/runs", body)
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    wait_for(lambda: service.call("GET", path)["status"] == "completed")
    return str(run["id"])


def test_without_webhooks_it_says_how_to_get_one(call: Call, project: Path) -> None:
    assert "[[webhooks]] in agents.toml makes one" in call("webhooks").stderr
    assert call("webhooks", "deliveries").stderr == "no deliveries\n"
    assert rows(call) == rows(call, "ls") == []


def test_webhooks_are_listed_with_their_state_and_without_secrets(call: Call, project: Path) -> None:
    with told(project, more=MORE) as receiver:
        here = rows(call)
        shown = call("webhooks").stdout
        with serving(project):
            assert rows(call) == here
            assert call("webhooks").stdout == shown
    lines = shown.splitlines()
    assert lines[0].split() == ["webhook", "state", "events", "projects", "address"]
    assert lines[1].split() == ["crm", "on", "all", "all", receiver.url]
    assert re.search(r"other +unavailable: NOT_SET is not set \(agents.toml:\d+:10\) +all +all +https://example", shown)
    assert "t0ken" not in shown + str(here)
    assert SECRET not in shown + str(here)


def test_a_test_event_shows_the_answer_and_ends_with_its_code(call: Call, project: Path) -> None:
    with told(project, Reply(202, b"taken"), Reply(403, b"who\x1b[31m are you"), more=MORE) as receiver:
        good = call("webhooks", "test", "crm")
        assert re.match(r"ok  crm answered 202 after .*s\n    taken\n", good.stdout)
        bad = call("webhooks", "test", "crm")
        assert bad.exit_code == 5
        assert "error[E506]: crm did not accept the test event\n  why: 403: who[31m are you" in bad.stderr
        with serving(project):
            answer = rows(call, "test", "crm")
            assert (answer["success"], answer["attempt"]["status_code"]) == (True, 200)
        assert [event["type"] for event in receiver.events()] == ["webhook.test"] * 3
        assert call("webhooks", "test", "crmm").exit_code == 3
        assert "NOT_SET is not set" in call("webhooks", "test", "other").stderr


def test_deliveries_are_listed_shown_and_sent_again_with_a_server(call: Call, project: Path) -> None:
    with told(project, BROKEN) as receiver, serving(project) as service:
        run_id = completed(service)
        [row] = settled(call)
        assert (row["run_id"], row["status"], row["n_attempts"]) == (run_id, "pending", 1)
        listed = call("webhooks", "deliveries").stdout
        assert re.search(
            rf"{row['id']}  now +crm +run.completed  {run_id}  pending, again in .* min .*· 500 · ", listed
        )
        assert rows(call, "deliveries", "--status", "failed") == []
        assert rows(call, "deliveries", "-s", "pending", "-e", "run.completed", "-r", run_id, "-w", "crm") == [row]

        again = call("webhooks", "redeliver", row["id"][:-6])
        assert again.stderr == f"{row['id']}: it is being sent\n"
        wait_for(lambda: bool(rows(call, "deliveries", "-s", "delivered")))
        shown = call("webhooks", "show", row["id"].removeprefix("delivery_")).stdout
        assert re.search(r"^delivered · 200 · ", shown, re.MULTILINE)
        assert '"type": "run.completed"' in shown
        assert re.search(r"^1  .* UTC  500  .*\n   out of order\n2  .* UTC  200  ", shown, re.MULTILINE)
        assert len(receiver.received) == 2


def test_without_a_server_what_is_sent_again_waits_for_the_next_start(call: Call, project: Path) -> None:
    with told(project) as receiver:
        with serving(project) as service:
            completed(service)
            [row] = settled(call)
            service.stop()
        assert rows(call, "show", row["id"])["status"] == "delivered"
        assert call("webhooks", "redeliver", row["id"]).stderr == f"{row['id']}: it is sent when agentrt serve runs\n"
        assert rows(call, "show", row["id"])["status"] == "pending"
        assert len(receiver.received) == 1
        with serving(project):
            wait_for(lambda: len(receiver.received) == 2)
            assert len({received.headers["webhook-id"] for received in receiver.received}) == 1


def test_a_page_goes_on_behind_the_last_one(call: Call, project: Path) -> None:
    with told(project), serving(project) as service:
        for _ in range(3):
            completed(service)
        newest, middle, oldest = settled(call, 3)
        page = call("webhooks", "deliveries", "--limit", "2")
        assert f"more: agentrt webhooks deliveries --after {middle['id']}" in page.stderr
        assert [row["id"] for row in rows(call, "deliveries", "-n", "2", "--after", middle["id"])] == [oldest["id"]]
        assert newest["id"] in page.stdout
        several = call("webhooks", "show", "delivery_")
        assert "error[E208]" in several.stderr
        assert call("webhooks", "show", "zzz").exit_code == 3


def test_one_that_is_gone_is_enabled(call: Call, project: Path) -> None:
    with told(project, Reply(410)) as receiver:
        with serving(project) as service:
            completed(service)
            [row] = settled(call)
            assert row["status"] == "failed"
            assert "disabled: it answered 410 Gone" in call("webhooks").stdout
            refused = call("webhooks", "redeliver", row["id"])
            assert (refused.exit_code, "Enable it before" in refused.stderr) == (2, True)
            service.stop()
        assert "disabled: it answered 410 Gone" in call("webhooks").stdout
        assert "crm is on" in call("webhooks", "enable", "crm").stderr
        assert call("webhooks", "redeliver", row["id"]).exit_code == 0
        assert len(receiver.received) == 1


def test_what_is_wrong_with_one_is_said_where_people_look(call: Call, project: Path) -> None:
    with told(project, more=MORE):
        assert "warn  webhook other: NOT_SET is not set" in call("config").stdout
        doctor = call("doctor").stdout
        assert re.search(r"warn  webhook other +NOT_SET is not set", doctor)
        assert re.search(r"ok    webhook crm +http://127.0.0.1", doctor)
        whole = call("config", "show").stdout
        assert re.search(r'\[\[webhooks\]\]\nname +  *= "crm"\n', whole)
        assert SECRET not in whole
        with serving(project) as service:
            assert any(line.startswith("webhooks  crm") for line in service.lines)
            assert any("other off: NOT_SET is not set" in line for line in service.lines)
