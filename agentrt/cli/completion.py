"""`agentrt completion`: what makes Tab work in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from agentrt.cli.options import Invocation, common_options, pass_invocation

_SHELLS = ("bash", "fish", "zsh")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@common_options
@pass_invocation
def completion(invocation: Invocation, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  in ~/.bashrc:  eval "$(agentrt completion bash)"
    zsh   in ~/.zshrc:   eval "$(agentrt completion zsh)"
    fish  agentrt completion fish > ~/.config/fish/completions/agentrt.fish
    """
    root = click.get_current_context().find_root().command
    made = get_completion_class(shell)
    assert made is not None, "click knows the three"
    invocation.out.line(made(root, {}, "agentrt", "_AGENTRT_COMPLETE").source())
