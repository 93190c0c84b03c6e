"""`agentrt run`: ask once. Standard output gets the answer and nothing else."""

from __future__ import annotations

import sys

import click

from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation
from agentrt.cli.problems import CliError


@click.command()
@click.argument("agent")
@click.argument("text")
@click.option("--thread", "-t", metavar="ID", help="Ask on this thread; the beginning of its id will do.")
@click.option("--model", "-m", metavar="NAME", help="Use this model instead of the agent's.")
@click.option("--timeout", metavar="TIME", help="Cancel the run after this long: 30s, 5m.")
@key_option
@json_option("Print one JSON object when the run is over; errors are JSON too.")
@click.option("--jsonl", is_flag=True, help="Print a JSON object a line for everything that happens.")
@common_options
@pass_invocation
def run(
    invocation: Invocation,
    agent: str,
    text: str,
    thread: str | None,
    model: str | None,
    timeout: str | None,
    key: str | None,
    jsonl: bool,
) -> None:
    """Ask an agent once; the answer goes to standard output.

    TEXT is the question, or - to read it from standard input. Everything but the answer goes to standard error.

    The exit code says how it ended: 0 it was answered, 1 the run failed, 6 it needs a person (a function that nobody
    here runs), 7 a limit or the timeout, 130 Ctrl-C (the run is cancelled, the thread kept).
    """
    from agentrt.cli.once import Form, Question, ask_once

    if invocation.is_json and jsonl:
        raise CliError("E200", "--json and --jsonl do not go together", fix="keep one of them")
    invocation.is_json = invocation.is_json or jsonl
    words = sys.stdin.read() if text == "-" else text
    if not words.strip():
        raise CliError("E200", "there is no question", fix='agentrt run AGENT "…", or - for standard input')
    form: Form = "jsonl" if jsonl else "json" if invocation.is_json else "text"
    question = Question(agent=agent, text=words, thread=thread, model=model, timeout_s=_seconds(timeout), form=form)
    ask_once(invocation, question, key=key)


def _seconds(text: str | None) -> float | None:
    from agentrt.config.quantities import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError:
        raise CliError("E200", f'"{text}" is no time', fix="--timeout 30s, or 5m") from None
