"""How a run ended → what a person is told, and the exit code. Shared by `chat` and `run`."""

from __future__ import annotations

from agentrt.cli.port import OutputsWanted, RunEnded
from agentrt.cli.problems import CliError
from agentrt.cli.transcript import call_label
from agentrt.cli.turns import Turn


def problem_of(turn: Turn) -> CliError | None:
    """What is wrong with the way a turn ended; None for a completed run."""
    match turn.rest:
        case RunEnded(status="completed"):
            return None
        case RunEnded(status="failed", error_code="rate_limit_exceeded", error=error):
            return CliError(
                "E704", "the model server allows no more requests now", why=error or "", fix="wait a moment"
            )
        case RunEnded(status="failed", error=error):
            return CliError("E101", "the run failed", why=error or "")
        case RunEnded(status="incomplete", limit=limit, error=error):
            return CliError("E702", f"a limit ended the run: {limit}", why=error or "")
        case RunEnded(status="cancelled"):
            return CliError("E103", "somebody else cancelled the run")
        case RunEnded(status="expired"):
            fix = "runtime.run_expiry in agents.toml gives runs more time"
            return CliError("E703", "the run's time was over", fix=fix)
        case OutputsWanted(calls):
            labels = [f"→ {call_label(call)}" for call in calls]
            fix = f"agentrt chat -t {turn.thread_id} asks you for what they return"
            return CliError("E601", "the run waits for calls that are yours to answer", details=labels, fix=fix)
        case _:
            return CliError("E504", "the run's stream ended before the run", fix="agentrt chat --last goes on")
