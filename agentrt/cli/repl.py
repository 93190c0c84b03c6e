"""The loop of `agentrt chat`: lines from the person, those that begin with `/` among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from agentrt.cli.choose import check_model
from agentrt.cli.editor import LineEditor
from agentrt.cli.explain import explain
from agentrt.cli.problems import CliError
from agentrt.cli.session import PROMPT, ChatSession
from agentrt.config.resolve import find_model
from agentrt.errors import AgentrtError


def talk(session: ChatSession, thread: str | None) -> None:
    """Talk until the person leaves. thread: go on with the one whose id begins like this."""
    history = session.config.runtime.data_dir / "chat_history"
    editor = LineEditor(session.out, history=history, words=list(_COMMANDS))
    if editor.is_interactive:
        _greet(session)
    try:
        if thread is not None:
            session.resume(thread, editor.read)
            _gap(session, editor)
        while _step(session, editor):
            _gap(session, editor)
    finally:
        editor.close()
    if editor.is_interactive and session.thread_id is not None:
        text = f"thread {session.thread_id} kept · agentrt chat --last"
        session.out.line(session.out.paint(text, "dim"))


def _step(session: ChatSession, editor: LineEditor) -> bool:
    """One line of the person's. False: the last one."""
    try:
        line = editor.read(PROMPT)
    except KeyboardInterrupt:
        session.out.line(f"\n{session.out.paint('  Ctrl-D or /exit leaves', 'dim')}")
        return True
    if line is None:
        return False
    words = line.strip()
    try:
        if words.startswith("/"):
            name, _, argument = words.partition(" ")
            return _command(session, editor, name, argument.strip())
        if words:
            session.say(line, editor.read)
    except (AgentrtError, CliError) as error:
        if not editor.is_interactive:
            raise
        session.tell(explain(error))
    return True


def _gap(session: ChatSession, editor: LineEditor) -> None:
    if editor.is_interactive:
        session.out.line()


def _greet(session: ChatSession) -> None:
    out, agent = session.out, session.agent
    name = session.model or agent.model
    parts = ["ready", f"model {name}"]
    if agent.tools:
        tools = f"tools {', '.join(agent.tools)}"
        parts.append(tools if len(tools) <= out.width // 2 else f"{len(agent.tools)} tools")
    if session.engine.url is not None:
        parts.append(session.engine.url)
    out.line(f"{out.paint(agent.name, 'strong')} › {out.paint(' · '.join([*parts, '/help']), 'dim')}")
    spec = find_model(session.config.models, name)
    if spec is not None and spec.provider == "demo":
        out.line(out.paint(f"{spec.name} is a scripted stand-in, not a language model", "dim"))
    out.line()


# Commands ----------------------------------------------------------------------------------------------------------


def _command(session: ChatSession, editor: LineEditor, name: str, argument: str) -> bool:
    if name in ("/exit", "/quit", "/q"):
        return False
    if name not in _COMMANDS:
        close = get_close_matches(name, _COMMANDS, 1)
        hint = f"did you mean {close[0]}?" if close else "/help lists the commands"
        session.out.line(f"  there is no {name}; {hint}")
        return True
    _COMMANDS[name][1](session, editor, argument)
    return True


def _help(session: ChatSession, editor: LineEditor, argument: str) -> None:
    out = session.out
    for name, (text, _) in _COMMANDS.items():
        out.line(f"  {out.paint(f'{name:<9}', 'accent')}{text}")
    out.line(out.paint("  Ctrl-C cancels the run · Ctrl-D leaves · a \\ at the end of a line goes on below", "dim"))


def _thread(session: ChatSession, editor: LineEditor, argument: str) -> None:
    if argument:
        session.resume(argument, editor.read)
    elif session.thread_id is None:
        session.out.line("  a new thread; it begins with your next words")
    else:
        session.out.line(f"  {session.thread_id} · {session.count_messages()} messages")


def _tools(session: ChatSession, editor: LineEditor, argument: str) -> None:
    out = session.out
    tools = session.agent.tools
    width = max(map(len, tools), default=0)
    for name in tools:
        is_ours = name in session.config.tools
        out.line(f"  {name:<{width}}  {out.paint('runs by itself' if is_ours else 'asks you', 'dim')}")
    if not tools:
        out.line("  this agent has no tools")


def _model(session: ChatSession, editor: LineEditor, argument: str) -> None:
    out, config = session.out, session.config
    if argument:
        check_model(config, session.agent, argument)
        session.model = argument
        out.line(f"  model {argument} from now on")
        return
    now = find_model(config.models, session.model or session.agent.model)
    width = max(map(len, config.models))
    for spec in config.models.values():
        mark = out.paint("•", "accent") if spec is now else " "
        state = spec.unavailable or f"{spec.provider} {spec.model}"
        out.line(f"{mark} {spec.name:<{width}}  {out.paint(state, 'warn' if spec.unavailable else 'dim')}")


def _new(session: ChatSession, editor: LineEditor, argument: str) -> None:
    session.take_thread(None)
    session.out.line("  a new thread; it begins with your next words")


def _leave(session: ChatSession, editor: LineEditor, argument: str) -> None:
    raise AssertionError("leaving is the loop's")


_COMMANDS: Final[Mapping[str, tuple[str, Callable[[ChatSession, LineEditor, str], None]]]] = {
    "/help": ("this list", _help),
    "/thread": ("which thread this is; /thread ID goes on with another", _thread),
    "/tools": ("what the agent can call", _tools),
    "/model": ("which models there are; /model NAME takes another", _model),
    "/new": ("begin a new thread", _new),
    "/exit": ("leave", _leave),
}
