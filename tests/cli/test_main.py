"""The program as a whole: its list of commands, its speed, its errors."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from agentrt.cli.main import COMMANDS, cli
from tests.cli.projects import ROOT, environment

Call = Callable[..., Result]

_HEAVY = {
    "sqlmodel",
    "sqlalchemy",
    "docker",
    "fastapi",
    "pydantic",
    "rich",
    "httpx",
    "aiohttp",
    "jsonschema",
    "alembic",
}
_WATCHED = f"""
import sys
from agentrt.cli.main import main
try:
    main()
finally:
    loaded = {sorted(_HEAVY)!r}
    print("HEAVY", [name for name in loaded if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        (["--help"], {}),
        (["--version"], {}),
        (["chat", "--help"], {}),
        (["threads", "list", "--help"], {}),
        ([], {"_AGENTRT_COMPLETE": "bash_complete", "COMP_WORDS": "agentrt t", "COMP_CWORD": "1"}),
        ([], {"_AGENTRT_COMPLETE": "bash_complete", "COMP_WORDS": "agentrt threads list --m", "COMP_CWORD": "3"}),
    ],
)
def test_help_version_and_completion_load_nothing_heavy(words: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *words],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout
    assert "HEAVY []" in done.stderr


def test_completion_knows_the_commands_and_their_options() -> None:
    def complete(words: str, index: int) -> str:
        variables = {"_AGENTRT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        return subprocess.run(
            [sys.executable, "-m", "agentrt"],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout

    assert complete("agentrt t", 1).split() == ["plain,tools", "plain,threads"]
    assert "plain,--metadata" in complete("agentrt threads list --m", 3)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_command_says_first(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert inspect.cleandoc(command.help or "").splitlines()[0] == COMMANDS[name].help


def test_the_options_of_every_command_may_stand_before_or_behind_its_name(call: Call, project: Path) -> None:
    other = project / "other.toml"
    other.write_text('[models.demo]\nprovider = "demo"\n[agents.someone_else]\nmodel = "demo"\n', encoding="utf-8")
    before = call("--config", str(other), "agents", "list", "--json")
    behind = call("agents", "list", "--config", str(other), "--json")
    assert before.output == behind.output
    assert json.loads(before.stdout)[0]["name"] == "someone_else"


def test_an_error_has_three_lines_and_its_code_is_the_exit_code(call: Call, project: Path) -> None:
    result = call("run", "keyless", "hi")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        'error[E204]: agent "keyless" uses model "fast", which is not available',
        "  why: A_KEY_THAT_IS_NOT_SET is not set (agents.toml:15:11)",
        "  fix: export A_KEY_THAT_IS_NOT_SET=…   or   -m demo",
    ]


def test_errors_are_json_where_the_answer_would_be(call: Call, project: Path) -> None:
    result = call("run", "nobody", "hi", "--json")
    assert result.exit_code == 3
    assert result.stdout == ""
    error = json.loads(result.stderr)["error"]
    assert error["code"] == "E301"
    assert error["exit_code"] == 3
    wrong = call("threads", "list", "--json", "--limit", "none")
    assert json.loads(wrong.stderr)["error"]["code"] == "E200"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chta"], "did you mean agentrt chat?"),
        (["threads", "shwo"], "did you mean agentrt threads show?"),
        (["run"], "agentrt run --help"),
        (["serve", "--prot", "1"], "'--port'"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_meant(call: Call, words: list[str], says: str) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert result.stderr.startswith("error[E200]: ")
    assert says in result.stderr


def test_every_problem_of_the_configuration_is_shown_at_its_line(call: Call, project: Path) -> None:
    (project / "agents.toml").write_text("[server]\nprot = 1\nhost = 2\n", encoding="utf-8")
    result = call("agents")
    assert result.exit_code == 2
    assert "error[E201]: the configuration has 2 problems" in result.stderr
    assert "agents.toml:2:1: server.prot: unknown key" in result.stderr
    assert "agents.toml:3:8: server.host: 2 is not a text in quotes" in result.stderr


def test_without_a_command_the_commands_are_listed(call: Call) -> None:
    result = call()
    assert result.exit_code == 0
    assert result.stdout == call("--help").stdout


def test_a_traceback_is_for_those_who_ask_twice(call: Call, project: Path) -> None:
    with (project / "tools" / "weather.py").open("a", encoding="utf-8") as file:
        file.write("1 / 0\n")
    assert "Traceback" not in call("run", "helper", "hi").stderr
    asked = call("run", "helper", "hi", "-vv")
    assert "Traceback" in asked.stderr
    assert "error[E202]: a tool cannot be loaded" in asked.stderr


def test_colours_are_for_terminals_and_for_those_who_ask(call: Call, project: Path) -> None:
    assert "\x1b" not in call("tools").output
    assert "\x1b[1mget_weather" in call("tools", "--color", "always").output


def test_completion_scripts_are_printed_for_each_shell(call: Call) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_AGENTRT_COMPLETE" in call("completion", shell).stdout


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agentrt", "--version"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.startswith("agentrt ")
