"""`agentrt init`: a new project, with the model that was found here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from agentrt.cli.options import Invocation, common_options, pass_invocation


@click.command()
@click.argument("folder", required=False, default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--template",
    type=click.Choice(["minimal", "support"]),
    default="minimal",
    show_default=True,
    help="minimal: an agent with a few tools. support: a handbook, orders, a prompt in its own file.",
)
@common_options
@pass_invocation
def init(invocation: Invocation, folder: Path, template: Literal["minimal", "support"]) -> None:
    """Start a project: agents.toml, tools, a sample to change.

    It goes into FOLDER, or here. The model is what this machine has: OpenAI's if OPENAI_API_KEY is set, one of
    Ollama's if that runs, else the built-in demo model. No file is ever overwritten.
    """
    from agentrt.cli.new_project import create_project

    create_project(invocation, folder, template)
