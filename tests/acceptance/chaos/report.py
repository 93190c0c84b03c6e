"""What a chaos test says in the end: how much happened, what the rules say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from agentrt.engine import events as ev
from agentrt.engine.loop import INTERRUPTED
from tests.acceptance.chaos.customers import Market
from tests.acceptance.chaos.evidence import Evidence
from tests.acceptance.chaos.faults import Faults
from tests.acceptance.chaos.fleet import Fleet
from tests.acceptance.chaos.jobs import IDEMPOTENT
from tests.acceptance.chaos.witness import Witness

_MOST_COMPLAINTS = 5


@dataclass(slots=True)
class Report:
    """Counts by section, and complaints by rule."""

    title: str
    sections: Mapping[str, Mapping[str, int | str]]
    complaints: dict[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not any(self.complaints.values())

    def __str__(self) -> str:
        lines = [self.title]
        for name, counts in self.sections.items():
            lines += ["", name, *(f"  {what:.<44} {n}" for what, n in counts.items())]
        lines += ["", "rules"]
        for rule, complaints in self.complaints.items():
            verdict = "ok" if not complaints else f"BROKEN {len(complaints)} times"
            lines.append(f"  {rule.replace('_', ' '):.<52} {verdict}")
            lines += [f"    {complaint[:1000]}" for complaint in complaints[:_MOST_COMPLAINTS]]
        return "\n".join(lines)


def count(evidence: Evidence, market: Market, faults: Faults, witness: Witness, fleet: Fleet, seconds: float) -> Report:
    """The report without a verdict."""
    runs = list(evidence.runs.values())
    statuses = Counter(run.status for run in runs)
    starts = Counter((x.run_id, x.call_id) for x in evidence.tool_lines if x.moment == "start" and x.tool in IDEMPOTENT)
    logged = Counter(line["event"] for line in evidence.log_lines)
    results = [event for run in runs for event in run.all_of(ev.CallReturned)]
    n_interrupted = sum(isinstance(e, ev.CallReturned) and e.result.output == INTERRUPTED for e in results)
    asked = Counter((question.job, question.turn) for question in evidence.questions)
    n_turns = sum(len(run.all_of(ev.TurnFinished)) for run in runs)
    return Report(
        f"{fleet.database.name}: {len(runs)} runs in {seconds:.0f} s on {len(fleet.nodes)} processes",
        {
            "faults": {**faults.counts, "streams left by their customers": market.n_dropped},
            "customers": {
                "runs": ", ".join(f"{n} {status}" for status, n in sorted(statuses.items())),
                "runs refused on a busy thread": sum(order.is_refused for order in market.orders),
                "streams gone on with": market.n_resumed,
                "events heard": sum(len(order.heard) for order in market.orders),
                "functions answered late": market.n_late,
            },
            "recovery": {
                "processes started": sum(node.n_starts for node in fleet.nodes),
                "changes of driver in the logs": sum(_n_epochs(run.chunks) for run in runs),
                "drivers fenced off": logged["job.fenced"] + logged["job.lost"],
                "model answers": n_turns,
                "model answers asked for again": sum(n - 1 for n in asked.values()),
                "attempts closed in the log": sum(len(run.all_of(ev.TurnLost)) for run in runs),
                "tool calls with a result": len(results),
                "calls interrupted, outcome unknown": n_interrupted,
                "idempotent calls repeated": sum(n > 1 for n in starts.values()),
            },
            "seconds": {
                "database away": _spread(witness.outages_s),
                **{f"without a driver: {cause}": _spread(times) for cause, times in witness.recovered_s.items()},
            },
        },
    )


def _spread(times_s: Sequence[float]) -> str:
    if not times_s:
        return "never"
    return f"{len(times_s)} times, median {median(times_s):.1f}, at most {max(times_s):.1f}"


def _n_epochs(chunks: Sequence[tuple[int, int, int]]) -> int:
    return sum(after[1] != before[1] for before, after in pairwise(chunks))
