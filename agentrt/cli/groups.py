"""Commands with verbs: `agentrt threads list`. Without a verb they list; `ls` and `rm` are aliases."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import click

from agentrt.cli.problems import CliError

_ALIASES: Final = {"ls": "list", "rm": "delete"}


class VerbGroup(click.Group):
    """A command whose first word says what to do; `default_verb` when there is none."""

    default_verb = "list"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_help = bool(args) and args[0] in ctx.help_option_names
        if not asks_help and (not args or args[0].startswith("-")):
            args = [self.default_verb, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _ALIASES:
            args = [_ALIASES[args[0]], *args[1:]]
        if args and args[0] not in self.commands:
            raise no_such_command(ctx.command_path, args[0], self.commands)
        return super().resolve_command(ctx, args)


def no_such_command(path: str, word: str, known: Iterable[str]) -> CliError:
    """What to say about a word that is none of the known commands of `path`."""
    close = get_close_matches(word, list(known), 1)
    fix = f"did you mean {path} {close[0]}?" if close else f"{path} --help lists them"
    return CliError("E200", f'there is no command "{word}"', fix=fix)
