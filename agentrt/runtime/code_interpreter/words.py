"""What a model is told of code_interpreter: the tool, its sandbox, its files, and what came of a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from agentrt.config.schema import SandboxSpec
from agentrt.engine.message import JsonObject
from agentrt.engine.spec import FunctionTool
from agentrt.runtime.code_interpreter.links import LINK
from agentrt.runtime.code_interpreter.shelf import Held
from agentrt.sandbox.driver import Capabilities
from agentrt.sandbox.events import Finished
from agentrt.sandbox.result import drained

NAME: Final = "code_interpreter"
NO_CODE: Final = 'There was no code in the arguments. Call it with {"code": "…"}.'
NO_OUTPUT: Final = "The code ran to its end and printed nothing."
NEW_SESSION: Final = "This is a new session: variables and imports of earlier calls are gone, files are still there."

_PARAMETERS: Final[JsonObject] = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "Python source code."}},
    "required": ["code"],
    "additionalProperties": False,
}
_MAX_NAMED_FILES: Final = 40
_MAX_NAMED_PACKAGES: Final = 40


def code_function(
    spec: SandboxSpec, capabilities: Capabilities | None, packages: Sequence[str], files: Iterable[Held]
) -> FunctionTool:
    """The tool as a function. capabilities: None while it is not known what isolates here."""
    can = capabilities or Capabilities()
    folder = "the working folder" if can.folder == "." else can.folder
    limits = spec.limits
    words = [
        "Runs Python code in a sandbox and returns what it prints and the value of the last expression.",
        "Variables and files stay from call to call.",
        f"Files are in {folder}, which is the current folder and holds {_size(limits.disk_bytes)}.",
        f"A call may take {spec.timeout_s:g} seconds and use {_size(limits.memory_bytes)} of memory.",
    ]
    if can.isolated:
        words.append(_network(spec))
    if can.displays:
        words.append("Figures and images that the code shows are shown to the user by themselves.")
    words.append(
        f"To give the user a file, save it there and link to it in the answer: [report.csv]({LINK}report.csv)."
    )
    if can.packages and packages:
        words.append(f"Installed packages: {_listed(packages, _MAX_NAMED_PACKAGES)}.")
    if can.note:
        words.append(can.note)
    words += _files(files)
    return FunctionTool(NAME, " ".join(words), _PARAMETERS)


def after_words(finished: Finished) -> str:
    """What is to be shown behind the output: the last expression's value, the traceback, why it ended."""
    return drained([finished]).text


def notes(*, n_images: int, made: Sequence[Held], n_left: int, complaints: Sequence[str], is_new: bool) -> str:
    """What a model is told of a call beside its output, one line each."""
    found = [NEW_SESSION] if is_new else []
    found += complaints
    if n_images:
        found.append(f"{n_images} image{'s are' if n_images > 1 else ' is'} shown to the user with the answer.")
    if made:
        paths = [f"{LINK}{file.path}" for file in made]
        found.append(f"Saved for the user, to be linked to: {_listed(paths, _MAX_NAMED_FILES)}")
    if n_left:
        found.append(f"{n_left} more files were too many or too large to be saved for the user.")
    return "\n".join(f"[{line}]" for line in found)


def _network(spec: SandboxSpec) -> str:
    if not spec.network:
        return "There is no network."
    return f"Only these hosts can be reached: {', '.join(spec.network)}."


def _files(files: Iterable[Held]) -> list[str]:
    """What stands in the folder before the first call."""
    shown = [
        file.path if file.name in ("", file.path) else f"{file.path} (called {file.name} by the user)"
        for file in files
        if not file.is_lost
    ]
    return [f"Files in the folder now: {_listed(shown, _MAX_NAMED_FILES)}."] if shown else []


def _listed(names: Sequence[str], at_most: int) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1024**2:g} MB"
