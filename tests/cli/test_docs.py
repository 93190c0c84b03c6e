"""docs/cli.md and docs/errors.md say what the program does, no more and no less."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from agentrt.cli.main import COMMANDS, cli
from agentrt.cli.options import common_options
from agentrt.cli.problems import CODES, CliError
from tests.cli.projects import ROOT

_CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
_ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@common_options
def _nothing() -> None: ...


_COMMON = {name for option in click.command()(_nothing).params for name in option.opts} | {"--help", "-h"}


def _section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", _CLI, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no section {title}"
    return found[1]


def _own_options(command: click.Command) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, click.Option):
            yield from (name for name in option.opts if name not in _COMMON)
    if isinstance(command, click.Group):
        for verb in command.commands.values():
            yield from _own_options(verb)


def _load(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_described_and_every_described_one_exists(name: str) -> None:
    section = _section(f"agentrt {name}")
    options = set(_own_options(_load(name)))
    described = set(_OPTION.findall(re.sub(r"^```.*?^```", "", section, flags=re.MULTILINE | re.DOTALL)))
    other_commands = {"--last"} if name != "chat" else set()
    assert {option for option in options if option.startswith("--")} - described == set()
    assert described - options - _COMMON - other_commands == set()
    for short in options:
        assert f"`{short}" in section or f"[{short}" in section, f"{short} is not described"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_of_a_command_is_described(name: str) -> None:
    command = _load(name)
    if isinstance(command, click.Group):
        for verb in command.commands:
            words = " ".join(_section(f"agentrt {name}").split())
            assert re.search(rf"`agentrt {name} \[?{verb}\b", words), verb


def test_the_common_options_are_described() -> None:
    section = _section("Options of every command")
    for name in _COMMON:
        assert f"`{name}" in section, name


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert re.findall(r"^## agentrt (\w+)$", _CLI, re.MULTILINE) == list(COMMANDS)


def test_every_error_code_has_its_page_and_every_page_a_code() -> None:
    assert dict(re.findall(r"^## (E\d{3}): (.+)$", _ERRORS, re.MULTILINE)) == CODES


def test_every_error_code_is_used() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "agentrt" / "cli").glob("*.py"))
    for code in CODES:
        assert source.count(f'"{code}"') > 1, f"{code} is in the list and nowhere else"


def test_the_first_digit_of_a_code_is_the_exit_code() -> None:
    assert {code: CliError(code, "x").exit_code for code in CODES} == {code: int(code[1]) for code in CODES}
    table = set(re.findall(r"^\| (\d+) \|", _ERRORS, re.MULTILINE))
    assert {code[1] for code in CODES} | {"0", "130"} == table
