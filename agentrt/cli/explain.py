"""Errors of the layers below → what the command line says about them."""

from __future__ import annotations

from agentrt import errors
from agentrt.cli.problems import CliError

_BUG = "this is a bug in agentrt; run it again with -vv and report what it prints"

# Code, what, fix; the error's own text is the why. The first class that fits counts.
_KINDS: tuple[tuple[type[errors.AgentrtError], str, str, str], ...] = (
    (errors.ToolDefinitionError, "E202", "a tool cannot be loaded", "agentrt tools shows what each file holds"),
    (errors.AuthenticationError, "E401", "the server did not accept the key", "name the key with --key KEY"),
    (errors.PermissionDeniedError, "E402", "this is not allowed", ""),
    (errors.RateLimitError, "E704", "too many requests", "try again later"),
    (errors.SandboxError, "E507", "code cannot be run", "agentrt sandbox says what there is"),
    (errors.ModelError, "E502", "the model cannot be reached", "agentrt models test says more"),
    (errors.UnavailableError, "E504", "the server did not do it", "try again in a moment"),
    (errors.ThreadBusyError, "E209", "another run is at work on the thread", "wait for it, or take a new thread"),
    (errors.InvalidRequestError, "E210", "the request was refused", ""),
)


def explain(error: BaseException) -> CliError:
    """The CliError that says what the error means to a person; for one nobody expected, that it is a bug."""
    found = innermost(error)
    match found:
        case CliError():
            return found
        case errors.ConfigError(problems=problems):
            n = len(problems)
            what = "the configuration has a problem" if n == 1 else f"the configuration has {n} problems"
            return CliError("E201", what, details=problems)
        case errors.ModelNotFoundError(model=model):
            why = found.message.partition("have access to it.")[2].strip()
            return CliError("E304", f'there is no model "{model}" to use', why=why, fix="agentrt models lists them")
        case errors.NotFoundError(kind="thread", object_id=thread_id):
            return CliError("E302", f"there is no thread {thread_id}", fix="agentrt threads lists them")
        case errors.NotFoundError(kind="run", object_id=run_id):
            return CliError("E306", f"there is no run {run_id}", fix="agentrt runs lists them")
        case errors.NotFoundError(kind="assistant", object_id=assistant_id):
            return CliError("E301", f"there is no agent {assistant_id}", fix="agentrt agents lists them")
        case errors.NotFoundError(kind=kind, object_id=object_id):
            return CliError("E305", f"there is no {kind} {object_id}")
        case errors.StoreError():
            return _three_lines("E503", found.message)
        case errors.AgentrtError():
            for cls, code, what, fix in _KINDS:
                if isinstance(found, cls):
                    return CliError(code, what, why=found.message, fix=fix)
    text = f"{type(found).__name__}: {found}".removesuffix(": ")
    return CliError("E100", f"agentrt failed inside: {text}", fix=_BUG)


def innermost(error: BaseException) -> BaseException:
    """The error that task groups wrapped."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _three_lines(code: str, text: str) -> CliError:
    """From a text that has its `why:` and `fix:` lines already."""
    what, *rest = text.splitlines()
    said = {name: value.strip() for name, _, value in (line.strip().partition(":") for line in rest)}
    return CliError(code, what, why=said.get("why", ""), fix=said.get("fix", ""))
