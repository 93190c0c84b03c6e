"""`agentrt`: the table of commands, each imported when it is called, and the one place where errors end.

`--help`, `--version` and completion must stay fast (150 ms of CPU): the table repeats the commands' first lines, so
that nothing but click is imported for them. A test keeps both in step.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from agentrt.cli.explain import explain, innermost
from agentrt.cli.groups import no_such_command
from agentrt.cli.options import Invocation, common_options
from agentrt.cli.problems import EXIT_INTERRUPTED, CliError, problem_lines
from agentrt.config.environment import calm_numpy
from agentrt.version import __version__


class Entry(NamedTuple):
    """A command: `module:attribute`, its line in the list, and the heading that it stands under."""

    target: str
    help: str
    section: str


COMMANDS: Final[Mapping[str, Entry]] = {
    "init": Entry("agentrt.cli.init:init", "Start a project: agents.toml, tools, a sample to change.", "Begin"),
    "chat": Entry("agentrt.cli.chat:chat", "Talk to an agent in the terminal.", "Begin"),
    "run": Entry("agentrt.cli.run:run", "Ask an agent once; the answer goes to standard output.", "Begin"),
    "serve": Entry("agentrt.cli.serve:serve", "Serve the Assistants API over HTTP.", "Begin"),
    "worker": Entry("agentrt.cli.worker:worker", "Drive runs, beside servers on the same PostgreSQL.", "Begin"),
    "agents": Entry("agentrt.cli.agents:agents", "List the agents.", "Look"),
    "models": Entry("agentrt.cli.models:models", "List the models, or test whether they answer.", "Look"),
    "tools": Entry("agentrt.cli.tools:tools", "List the tools, show one, or call it.", "Look"),
    "threads": Entry("agentrt.cli.threads:threads", "List, show and delete threads.", "Look"),
    "runs": Entry("agentrt.cli.runs:runs", "List runs, show what took how long, watch, cancel and retry.", "Look"),
    "webhooks": Entry(
        "agentrt.cli.webhooks:webhooks", "List webhooks and their deliveries, test them, send again.", "Look"
    ),
    "schedules": Entry("agentrt.cli.schedules:schedules", "List, run and change schedules.", "Look"),
    "stores": Entry(
        "agentrt.cli.stores:stores", "List and search vector stores, put folders into them, see what failed.", "Look"
    ),
    "sandbox": Entry(
        "agentrt.cli.sandbox:sandbox",
        "Make the image that code runs in, try it out, see what runs, clean up.",
        "Operate",
    ),
    "config": Entry("agentrt.cli.configuration:config", "Check or show the configuration.", "Operate"),
    "doctor": Entry("agentrt.cli.doctor:doctor", "Say what works, what is missing, and how to get it.", "Operate"),
    "keys": Entry("agentrt.cli.keys:keys", "Make API keys and list them.", "Operate"),
    "migrate": Entry("agentrt.cli.migrate:migrate", "Bring the database up to date.", "Operate"),
    "completion": Entry("agentrt.cli.completion:completion", "Print the completion script of a shell.", "Operate"),
}


class LazyGroup(click.Group):
    """The root command. Reports every error in one style, and exits with its code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args or ctx.resilient_parsing else ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise no_such_command("agentrt", args[0], COMMANDS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            entries = [(name, entry) for name, entry in COMMANDS.items() if entry.section == section]
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in entries])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(n, help=entry.help) for n, entry in COMMANDS.items() if n.startswith(incomplete)]
        return names or click.Command.shell_complete(self, ctx, incomplete)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        words = list(sys.argv[1:] if args is None else args)
        invocation = Invocation()
        extra |= {"standalone_mode": False, "obj": invocation}
        try:
            code = super().main(words, *rest, **extra)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(EXIT_INTERRUPTED)
        except click.ClickException as error:
            invocation.is_json = invocation.is_json or "--json" in words
            sys.exit(report(_usage(error), error, invocation))
        except Exception as error:
            if isinstance(innermost(error), BrokenPipeError):
                _forget_output()
                sys.exit(1)
            sys.exit(report(explain(error), error, invocation))
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The first time: agentrt init, then agentrt chat. Codes of errors: docs/errors.md",
)
@click.version_option(__version__, "--version", "-V", message="agentrt %(version)s")
@common_options
def cli() -> None:
    """Assistants on your own machine: the Assistants API as a server, and the same engine in the terminal."""


def main() -> NoReturn:
    """The program. Never returns: exits with 0, or with the first digit of the error's code, or with 130."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a terminal that lacks a character shows `?` rather than a traceback
            reconfigure(errors="replace")
    calm_numpy()
    cli.main(prog_name="agentrt")


def report(problem: CliError, error: BaseException, invocation: Invocation) -> int:
    """Print the problem on standard error. Returns the exit code."""
    screen = invocation.err
    if invocation.verbosity >= 2 and problem is not error:
        import traceback

        screen.write("".join(traceback.format_exception(error)))
    if invocation.is_json:
        screen.write(f"{problem.as_json()}\n")
    else:
        screen.write("".join(f"{line}\n" for line in problem_lines(screen, problem)))
    return problem.exit_code


def _forget_output() -> None:
    """Nobody reads any more: let what is still in the buffer go nowhere, without a word about it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def _usage(error: click.ClickException) -> CliError:
    """click's own complaint in our style."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else "agentrt"
    what = error.format_message().rstrip(".")
    return CliError("E200", what[:1].lower() + what[1:], fix=f"{path} --help")
