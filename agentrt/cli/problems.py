"""What the command line says when something is wrong: codes, the three lines what / why / fix, exit codes.

The first digit of a code is the exit code of the process. Codes are stable: scripts match on them. Each one has its
paragraph in docs/errors.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from agentrt.cli.screen import Screen

CODES: Final = {
    "E100": "a bug in agentrt",
    "E101": "the run failed",
    "E102": "the tool failed",
    "E103": "the run was cancelled by somebody else",
    "E104": "files were not indexed",
    "E200": "the command line is wrong",
    "E201": "the configuration is wrong",
    "E202": "a tool cannot be loaded",
    "E203": "a file is there already",
    "E204": "the model is not available",
    "E205": "the name is taken",
    "E206": "the address is not this machine's",
    "E207": "the port is taken",
    "E208": "the prefix fits several ids",
    "E209": "the thread is busy",
    "E210": "the request was refused",
    "E301": "no such agent",
    "E302": "no such thread",
    "E303": "no such tool",
    "E304": "no such model",
    "E305": "no such object",
    "E306": "no such run",
    "E307": "no such sandbox",
    "E308": "no such vector store",
    "E309": "no such file or folder",
    "E401": "the key is missing or wrong",
    "E402": "the key does not allow this",
    "E501": "the server cannot be reached",
    "E502": "the model cannot be reached",
    "E503": "the database cannot be opened",
    "E504": "the server failed",
    "E505": "no process drives the run",
    "E506": "the webhook was not accepted",
    "E507": "code cannot be run",
    "E601": "the run needs a person",
    "E701": "the time is over",
    "E702": "a limit ended the run",
    "E703": "the run expired",
    "E704": "too many requests",
}
"""Code → what it means in general, as docs/errors.md titles it."""

EXIT_INTERRUPTED: Final = 130


class CliError(Exception):
    """Ends a command. what, why and fix are one line each; details stand between them, ready to print."""

    def __init__(self, code: str, what: str, *, why: str = "", fix: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(what)
        assert code in CODES, f"{code} is in nobody's documents"
        self.code = code
        self.what = what
        self.why = why
        self.fix = fix
        self.details = tuple(details)

    @property
    def exit_code(self) -> int:
        return int(self.code[1])

    def as_json(self) -> str:
        """One line: `{"error": {"code", "message", "why", "fix", "details", "exit_code"}}`."""
        error = {
            "code": self.code,
            "message": self.what,
            "why": self.why or None,
            "fix": self.fix or None,
            "details": list(self.details),
            "exit_code": self.exit_code,
        }
        return json.dumps({"error": error}, ensure_ascii=False)


def problem_lines(screen: Screen, problem: CliError) -> list[str]:
    """what / details / why / fix."""
    head = screen.paint(f"error[{problem.code}]:", "bad")
    lines = [f"{head} {screen.paint(problem.what, 'strong')}"]
    lines += [f"  {line}" for detail in problem.details for line in detail.splitlines()]
    for name, text in (("why", problem.why), ("fix", problem.fix)):
        if text:
            first, *more = text.splitlines()
            lines.append(f"  {screen.paint(f'{name}:', 'dim')} {first}")
            lines += [f"       {line}" for line in more]
    return lines
