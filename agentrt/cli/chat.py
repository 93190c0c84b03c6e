"""`agentrt chat`: talk to an agent; the thread is kept, and Ctrl-C cancels the run and not the program."""

from __future__ import annotations

import click

from agentrt.cli.options import Invocation, common_options, key_option, pass_invocation, start_logging


@click.command()
@click.argument("agent", required=False)
@click.option("--thread", "-t", metavar="ID", help="Go on with this thread; the beginning of its id will do.")
@click.option("--last", is_flag=True, help="Go on with the thread of the last chat.")
@click.option("--model", "-m", metavar="NAME", help="Use this model instead of the agent's.")
@key_option
@common_options
@pass_invocation
def chat(
    invocation: Invocation, agent: str | None, thread: str | None, last: bool, model: str | None, key: str | None
) -> None:
    """Talk to an agent in the terminal.

    AGENT is a name from agents.toml or the id of an assistant; without it, the agent that answered last on the thread,
    or else the default one. When a server
    has the database open, the chat goes through the server: same agents, same threads.

    Inside, /help lists the commands. Ctrl-C cancels what the agent is doing, Ctrl-D leaves.
    """
    from agentrt.cli.background import Background
    from agentrt.cli.choose import check_model, choose_agent, choose_thread, last_agent
    from agentrt.cli.connect import open_engine
    from agentrt.cli.repl import talk
    from agentrt.cli.session import ChatSession, last_thread

    config = invocation.config
    start_logging(invocation)
    with Background(lambda: open_engine(config, key=key)) as background:
        engine = background.value
        wanted = thread or (last_thread(config) if last else None)
        rows = background.call(engine.shelf.agents())
        if wanted is not None:
            wanted = background.call(choose_thread(engine.shelf, wanted))
            agent = agent or background.call(last_agent(engine.shelf, wanted, rows))
        chosen = choose_agent(rows, agent, config.runtime.default_agent)
        if engine.url is None:
            check_model(config, chosen, model)
        session = ChatSession(invocation, background, chosen, model=model)
        talk(session, wanted)
