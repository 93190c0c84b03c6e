"""`agentrt keys`: API keys for agents.toml. A key itself is shown once and kept nowhere."""

from __future__ import annotations

import json
import re
from typing import Final

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation
from agentrt.cli.problems import CliError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@click.group(cls=VerbGroup)
def keys() -> None:
    """Make API keys and list them."""


@keys.command("list")
@json_option()
@common_options
@pass_invocation
def list_keys(invocation: Invocation) -> None:
    """List the keys of agents.toml by name; the keys themselves are known to nobody."""
    from agentrt.cli.tables import show_table

    out, specs = invocation.out, invocation.config.server.keys
    if invocation.is_json:
        out.line(json.dumps([{"name": s.name, "project": s.project, "hash": s.hash} for s in specs]))
    elif specs:
        cells = [(spec.name, spec.project, f"{spec.hash[:19]}…") for spec in specs]
        show_table(out, ("key", "project", "hash"), cells, roles=("strong", "plain", "dim"))
    else:
        invocation.err.line("no keys: everybody on this machine may come in, and nobody else")
        invocation.err.line("agentrt keys create NAME makes one")


@keys.command("create")
@click.argument("name")
@click.option("--project", default="default", show_default=True, help="The project whose objects the key may see.")
@json_option()
@common_options
@pass_invocation
def create_key(invocation: Invocation, name: str, project: str) -> None:
    """Make a key called NAME, and print it with the lines for agents.toml. It is shown this once only."""
    from agentrt.access.keys import new_key

    for what, text in (("name", name), ("project", project)):
        if not _NAME.fullmatch(text):
            raise CliError("E200", f'"{text}" is no {what} for a key', fix="up to 64 letters, digits, _ and -")
    if any(spec.name == name for spec in invocation.config.server.keys):
        raise CliError("E205", f'agents.toml has a key called "{name}"', fix="take another name, or take that one out")
    key, hashed = new_key()
    lines = ["[[server.keys]]", f'name = "{name}"', f'hash = "{hashed}"']
    if project != "default":
        lines.append(f'project = "{project}"')
    out, err = invocation.screens
    if invocation.is_json:
        document = {"name": name, "project": project, "key": key, "hash": hashed, "toml": "\n".join(lines)}
        out.line(json.dumps(document))
        return
    err.line(err.paint("the key; it is shown only now:", "dim"))
    out.line(key)
    err.line()
    err.line(err.paint("for agents.toml; it counts from the next start on:", "dim"))
    for line in lines:
        out.line(line)
