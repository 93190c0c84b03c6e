"""The options that commands share, and what they were told: `Invocation`, the object of every click context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agentrt.cli.screen import Screen, When, open_screens

if TYPE_CHECKING:
    from agentrt.config.project import Project
    from agentrt.config.schema import Config
    from agentrt.observability.logs import Level

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """One call of the program: what its common options said, and what follows from them.

    verbosity: 1 shows more of what happens, 2 also tracebacks.
    """

    config_path: Path | None = None
    color: When = "auto"
    verbosity: int = 0
    is_quiet: bool = False
    is_json: bool = False

    @cached_property
    def project(self) -> Project:
        """Where the configuration is. Raises ConfigError."""
        from agentrt.config.project import find_project

        return find_project(self.config_path)

    @cached_property
    def config(self) -> Config:
        """The configuration. Raises ConfigError with every problem."""
        from agentrt.config.load import load_config

        return load_config(self.project.path, state_folder=self.project.state_folder)

    @cached_property
    def screens(self) -> tuple[Screen, Screen]:
        """Standard output and standard error."""
        from agentrt.config.environment import process_environment

        return open_screens(process_environment(), color=self.color, is_quiet=self.is_quiet)

    @property
    def out(self) -> Screen:
        return self.screens[0]

    @property
    def err(self) -> Screen:
        return self.screens[1]


def start_logging(invocation: Invocation) -> None:
    """Log to standard error as far as -v asks for it; without it the command itself says what went wrong."""
    import logging

    if invocation.verbosity == 0:
        logging.getLogger("agentrt").addHandler(logging.NullHandler())
        return
    from agentrt.observability.logs import set_up_logging

    level: Level = "warning" if invocation.verbosity == 1 else "debug"
    set_up_logging(level=level, is_coloured=invocation.err.is_coloured)


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Puts an option's value into the Invocation, unless the option was not given here."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            setattr(ctx.ensure_object(Invocation), name, value)

    return callback


def common_options(function: F) -> F:
    """--config, --color, --quiet and -v; they may stand before the command's name or behind it."""
    options = (
        click.option(
            "--config",
            "-c",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            expose_value=False,
            callback=_keep("config_path"),
            help="The agents.toml to use; else AGENTRT_CONFIG, the working folder, the bundled one.",
        ),
        click.option(
            "--color",
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_keep("color"),
            help="Colours; `auto` is on for terminals and obeys NO_COLOR.",
        ),
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            expose_value=False,
            callback=_keep("is_quiet"),
            help="No remarks on standard error, errors only.",
        ),
        click.option(
            "--verbose",
            "-v",
            count=True,
            expose_value=False,
            callback=_keep("verbosity"),
            help="Say more; -vv also shows tracebacks.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def json_option(help_text: str = "Print JSON; errors are JSON too.") -> Callable[[F], F]:
    """--json: the answer as one JSON document on standard output."""
    return click.option("--json", is_flag=True, expose_value=False, callback=_keep("is_json"), help=help_text)


def key_option(function: F) -> F:
    """--key KEY, for commands that may have to talk to a running server."""
    return click.option("--key", metavar="KEY", help="The key, when a running server asks for one.")(function)
