"""`agentrt sandbox`: where code that a model writes runs."""

from __future__ import annotations

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation


@click.group(cls=VerbGroup)
def sandbox() -> None:
    """Make the image that code runs in, try it out, see what runs, clean up."""


@sandbox.command("list")
@json_option()
@common_options
@pass_invocation
def list_sandboxes(invocation: Invocation) -> None:
    """List the sandboxes of agents.toml, what isolates each, and the sessions on the container engine."""
    from agentrt.cli.sandbox_views import show_sandboxes

    show_sandboxes(invocation)


@sandbox.command("build")
@click.argument("name", nargs=-1, metavar="[NAME]...")
@json_option("Print the tags as JSON.")
@common_options
@pass_invocation
def build(invocation: Invocation, name: tuple[str, ...]) -> None:
    """Make the image of NAME (without it: of all sandboxes), unless it is there. Its tag goes to standard output."""
    from agentrt.cli.sandbox_images import build_images

    build_images(invocation, name)


@sandbox.command("shell")
@click.argument("name", default="python")
@common_options
@pass_invocation
def shell(invocation: Invocation, name: str) -> int:
    """Type Python into a new session of NAME (default: python), or pipe it in. Ctrl-C interrupts, Ctrl-D leaves."""
    from agentrt.cli.sandbox_shell import open_shell

    return open_shell(invocation, name)


@sandbox.command("gc")
@json_option()
@common_options
@pass_invocation
def gc(invocation: Invocation) -> None:
    """Remove containers that do not run any more, and built images that no sandbox uses."""
    from agentrt.cli.sandbox_images import collect_garbage

    collect_garbage(invocation)
