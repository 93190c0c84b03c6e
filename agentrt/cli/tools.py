"""`agentrt tools`: the functions that this project can run, and trying one by hand."""

from __future__ import annotations

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation


@click.group(cls=VerbGroup)
def tools() -> None:
    """List the tools, show one, or call it."""


@tools.command("list")
@json_option()
@common_options
@pass_invocation
def list_tools(invocation: Invocation) -> None:
    """List the tools of agents.toml, and those that lie in tools/ and are not switched on."""
    from agentrt.cli.tool_views import show_tools

    show_tools(invocation)


@tools.command("show")
@click.argument("name")
@json_option("Print the tool as models are shown it.")
@common_options
@pass_invocation
def show_tool(invocation: Invocation, name: str) -> None:
    """Show what a tool does, what it takes, and where it stands."""
    from agentrt.cli.tool_views import find_tool, print_tool

    print_tool(invocation, find_tool(invocation, name))


@tools.command("call", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("arguments", nargs=-1)
@json_option("Print the result as JSON.")
@common_options
@pass_invocation
def call_tool(invocation: Invocation, name: str, arguments: tuple[str, ...]) -> None:
    """Call a tool as a model would.

    ARGUMENTS are pairs, city=Oslo days=3, or one JSON object. What the tool returns goes to standard output.
    """
    from agentrt.cli.tool_views import find_tool, print_call

    print_call(invocation, find_tool(invocation, name), arguments)
