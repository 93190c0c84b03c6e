"""`agentrt schedules`, without a server and with one."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from agentrt.cli.schedule_port import ScheduleRow
from agentrt.cli.schedule_views import choose_schedule
from tests.cli.projects import agentrt, serving, write_project

Call = Callable[..., Result]

DAILY = """
[schedules.daily]
cron = "0 9 * * mon-fri"
timezone = "Europe/Oslo"
agent = "helper"
message = "What is the weather in Oslo?"
metadata = { team = "support" }
"""
CREATE = ("schedules", "create", "*/5 * * * *", "helper", "What is the weather in Rome?", "--name", "often")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_project(tmp_path, DAILY)


def rows(call: Call) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(call("schedules", "--json").stdout)}


def test_declared_schedules_are_listed_before_the_first_start(call: Call, project: Path) -> None:
    head, line = call("schedules").stdout.splitlines()
    assert re.split(r"\s{2,}", head) == ["schedule", "next", "when", "agent", "last run", "message"]
    assert re.match(
        r"daily +\w{3} 09:00, in \d+ \w+ +0 9 \* \* mon-fri Europe/Oslo +helper +What is the weather in Oslo\?", line
    )
    [row] = json.loads(call("schedules", "ls", "--json").stdout)
    assert (row["id"], row["origin"], row["enabled"], row["metadata"]) == (
        "sched_daily", "toml", True, {"team": "support"},
    )  # fmt: skip


def test_a_project_without_schedules_says_how_to_make_one(call: Call, project: Path) -> None:
    write_project(project)
    listed = call("schedules")
    assert listed.stdout == ""
    assert "agentrt schedules create" in listed.stderr


def test_a_schedule_is_made_shown_disabled_and_deleted(call: Call, project: Path) -> None:
    made = call(*CREATE, "--thread", "same", "--timezone", "Asia/Tokyo", "--metadata", "a=b", "--on-busy", "enqueue")
    assert re.match(r"often \(sched_\w+\): due \w{3} \d\d:\d\d, (in \d min|now)\n", made.stderr)
    row = rows(call)["often"]
    assert (row["thread"], row["timezone"], row["metadata"], row["on_busy"]) == (
        "same",
        "Asia/Tokyo",
        {"a": "b"},
        "enqueue",
    )
    shown = call("schedules", "show", row["id"][:-3]).stdout
    assert re.search(r"^often  sched_\w+ · api\n  when     \*/5 \* \* \* \*  Asia/Tokyo\n  next     \w{3} 20", shown)
    assert "thread   same · enqueue while a run is active" in shown
    assert call("schedules", "disable", "often", "daily").stderr.count("disabled") == 2
    assert [row["next_run_at"] for row in rows(call).values()] == [None, None]
    assert "due" in call("schedules", "enable", "daily").stderr
    assert call("schedules", "rm", "often").exit_code == 6
    assert json.loads(call("schedules", "rm", "often", "--yes", "--json").stdout) == [
        {"id": row["id"], "deleted": True}
    ]
    assert list(rows(call)) == ["daily"]


def test_its_run_is_made_by_hand_and_the_answer_printed(call: Call, project: Path) -> None:
    fired = call("schedules", "run", "daily")
    assert (fired.exit_code, fired.stdout.strip()) == (0, "4 degrees in Oslo")
    as_json = json.loads(call("schedules", "run", "daily", "--json").stdout)
    assert (as_json["status"], as_json["agent"]) == ("completed", "asst_helper")
    shown = json.loads(call("schedules", "show", "daily", "--json").stdout)
    assert [run["status"] for run in shown["runs"]] == ["completed", "completed"]
    assert shown["runs"][0]["id"] == shown["last_run_id"] == as_json["run_id"]
    assert f"run      {as_json['run_id']}  completed  now" in call("schedules", "show", "daily").stdout
    threads = json.loads(call("threads", "--metadata", "schedule_id=sched_daily", "--json").stdout)
    assert len(threads) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "dayly"), "E305", "did you mean daily?"),
        (("delete", "daily", "-y"), "E402", "take [schedules.daily] out there"),
        (("create", "0 25 * * *", "helper", "Hi"), "E210", '"25" is no hour'),
        (("create", "0 9 * * *", "helper", "Hi", "--timezone", "Oslo"), "E210", 'did you mean "Europe/Oslo"?'),
        (("create", "0 9 * * *", "helpr", "Hi"), "E301", "did you mean helper?"),
        (("create", "0 9 * * *", "helper", " "), "E200", "there is no message"),
        (("create", "0 9 * * *", "helper", "Hi", "--thread", "thread_none"), "E302", "there is no thread thread_none"),
        (("create", "0 9 * * *", "helper", "Hi", "--catch-up", "soon"), "E200", "is no time"),
        (("create", "0 9 * * *", "helper", "Hi", "--catch-up", "5s"), "E200", "is too short"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(
    call: Call, project: Path, words: tuple[str, ...], code: str, said: str
) -> None:
    result = call("schedules", *words)
    assert result.exit_code == int(code[1])
    assert f"error[{code}]" in result.stderr
    assert said in result.stderr


def test_the_same_with_a_server(call: Call, project: Path) -> None:
    with serving(project) as service:
        call(*CREATE, "--catch-up", "30m")
        found = rows(call)
        assert list(found) == ["daily", "often"]
        assert found["often"]["catch_up_seconds"] == 1800
        assert call("schedules", "run", "often").stdout.strip() == "4 degrees in Rome"
        assert call("schedules", "disable", "daily").exit_code == 0
        assert not service.call("GET", "/schedules/sched_daily")["enabled"]
        shown = json.loads(call("schedules", "show", "often", "--json").stdout)
        assert [run["status"] for run in shown["runs"]] == ["completed"]
        wrong = call("schedules", "create", "0 25 * * *", "helper", "Hi")
        assert "error[E210]" in wrong.stderr
        assert call("schedules", "delete", "often", "-y").exit_code == 0
        refused = call("schedules", "delete", "daily", "-y")
        assert refused.exit_code == 4


def test_why_a_run_was_not_made_is_told(call: Call, project: Path) -> None:
    call(*CREATE)
    with closing(sqlite3.connect(project / ".agentrt" / "agentrt.db")) as db, db:
        db.execute("UPDATE schedule SET error = 'the thread is busy', error_at = 5 WHERE name = 'often'")
    assert "warn  often: the thread is busy" in call("schedules").stderr
    assert re.search(r"warn     \d+ d ago: the thread is busy", call("schedules", "show", "often").stdout)


def test_a_text_comes_from_standard_input_too(project: Path) -> None:
    done = agentrt(project, "schedules", "create", "0 9 * * *", "helper", "-", "--disabled", stdin="Long words.\n")
    assert done.stderr.endswith(": disabled\n")


def test_a_name_or_the_beginning_of_an_id_will_do() -> None:
    def row(schedule_id: str, name: str | None) -> ScheduleRow:
        return ScheduleRow(
            schedule_id, name, 0, "api", "* * * * *", "UTC", "asst_1", "Hi", "new", None, None, 60, True, {},
            None, None, None, None, None,
        )  # fmt: skip

    known = [row("sched_ab1", "night"), row("sched_ab2", None), row("sched_c", "night")]
    assert choose_schedule(known, "ab1").id == "sched_ab1"
    assert choose_schedule(known, "sched_c").id == "sched_c"
    for text in ("ab", "night"):
        with pytest.raises(Exception, match="fits 2 schedules"):
            choose_schedule(known, text)
