"""`agentrt config`: check the configuration, or show what it comes to."""

from __future__ import annotations

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation


class _ConfigGroup(VerbGroup):
    default_verb = "check"


@click.group(cls=_ConfigGroup)
def config() -> None:
    """Check or show the configuration."""


@config.command("check")
@json_option()
@common_options
@pass_invocation
def check_config(invocation: Invocation) -> None:
    """Say every problem of agents.toml with its line. The exit code is 2 if there is one."""
    from agentrt.cli.config_views import show_check

    show_check(invocation)


@config.command("show")
@json_option()
@common_options
@pass_invocation
def show_config(invocation: Invocation) -> None:
    """Show what counts: defaults, included files and variables put in, secrets as ***."""
    from agentrt.cli.config_views import show_whole

    show_whole(invocation)


@config.command("schema")
@click.option("--write", is_flag=True, help="Write it to .agentrt/agents.schema.json beside agents.toml, for editors.")
@common_options
@pass_invocation
def show_schema(invocation: Invocation, write: bool) -> None:
    """Print the JSON Schema of agents.toml."""
    from agentrt.config.editor_schema import SCHEMA_FILE, write_schema

    if write:
        invocation.out.line(str(write_schema(invocation.config.folder)))
    else:
        invocation.out.write(SCHEMA_FILE.read_text(encoding="utf-8"))
