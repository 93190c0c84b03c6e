"""What customers ask for, and what the right answer is. Values only: the model plays by them, the judge judges by them.

A job is the text of a user message. It says which tools to call in which turn, so that the scripted model needs no
memory: it reads the job and counts the turns that are done in the conversation that it is shown. Its last answer adds
up what the tools returned, as it was shown them: a result that is lost, doubled or wrong makes the sum wrong.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from agentrt.engine.loop import INTERRUPTED

Tool: TypeAlias = Literal["pay", "ship", "put", "ask"]
"""pay, ship: at most once (`retry = "never"`). put: at least once (`idempotent`). ask: the customer's own function."""

NEVER: Final = frozenset({"pay", "ship"})
IDEMPOTENT: Final = frozenset({"put"})
ON_SERVER: Final = NEVER | IDEMPOTENT

_NUMBER: Final = re.compile(r"\d+")


class Call(msgspec.Struct, frozen=True):
    """One call: the amount it is about, and how long the tool works on it."""

    tool: Tool
    amount: int
    ms: int = 0


class Place(NamedTuple):
    """Where a call stands: job, turn, number in the turn. It makes the call's id, which so says whose it is."""

    job: int
    turn: int
    number: int

    @property
    def call_id(self) -> str:
        return f"call_{self.job}_{self.turn}_{self.number}"

    @classmethod
    def of(cls, call_id: str) -> Place:
        _, job, turn, number = call_id.split("_")
        return cls(int(job), int(turn), int(number))


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one run has to do. pieces, pause_ms: in how many pieces the model tells its last answer, and how fast.

    is_talkative: the model also speaks in the turns in which it calls tools, which makes messages of their own.
    """

    number: int
    turns: tuple[tuple[Call, ...], ...]
    pieces: int
    pause_ms: int
    is_talkative: bool

    @property
    def text(self) -> str:
        """The user message."""
        return msgspec.json.encode(self).decode()

    def calls(self) -> Iterator[tuple[Place, Call]]:
        for turn, calls in enumerate(self.turns):
            for number, call in enumerate(calls):
                yield Place(self.number, turn, number), call

    def aside(self, turn: int) -> str:
        """What a talkative model says beside its calls."""
        return f"Job {self.number}, turn {turn}." if self.is_talkative else ""

    def answer(self, outputs: Mapping[str, str]) -> str:
        """The last answer, given the output of every call by call id, in words enough for its pieces."""
        known = [output for output in outputs.values() if output != INTERRUPTED]
        unknown = sorted(call_id for call_id, output in outputs.items() if output == INTERRUPTED)
        total = sum(int(number) for output in known for number in _NUMBER.findall(output))
        words = " ".join(f"{self.number}-{n}" for n in range(self.pieces))
        return f"Job {self.number}: {len(known)} results, sum {total}. Unknown: {', '.join(unknown) or 'none'}. {words}"


_decoder = msgspec.json.Decoder(Job)


def read_job(text: str) -> Job:
    """The job of a user message."""
    return _decoder.decode(text)


def output_of(call: Call) -> str:
    """What a tool, or the customer, returns for a call."""
    return f"{call.tool} {call.amount}"


def new_job(number: int, dice: random.Random, *, may_ask: bool = True) -> Job:
    """A job of up to three turns of up to four parallel calls. may_ask: whether some may be the customer's."""
    tools: tuple[Tool, ...] = ("pay", "ship", "put", "put", "ask") if may_ask else ("pay", "ship", "put")

    def new_call() -> Call:
        tool = dice.choice(tools)
        ms = 0 if tool == "ask" else dice.choice((0, 0, 20, 150, 600))
        return Call(tool, dice.randrange(1, 1_000_000), ms)

    n_turns = dice.choice((0, 1, 1, 2, 3))
    turns = tuple(tuple(new_call() for _ in range(dice.randint(1, 4))) for _ in range(n_turns))
    return Job(
        number=number,
        turns=turns,
        pieces=dice.choice((3, 20, 40)),
        pause_ms=dice.choice((0, 10, 30)),
        is_talkative=dice.random() < 0.3,
    )
