"""The model of the chaos test, in a process of its own: it carries out the job that it reads, and notes every question.

What it answers follows from the conversation alone, so that a question that is asked again gets the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec.structs import replace

from agentrt.engine.message import ToolCall
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Completion, ReceivedRequest, Reply, as_reply
from tests.acceptance.chaos.jobs import Job, Place, read_job

LOG = "model.log"


class Question(msgspec.Struct, frozen=True):
    """One call of the model: which turn of which job, and who said what in the conversation it was shown.

    shown: `user 7`, `calls 7.0` (the model's own, of job 7 and turn 0), `result call_7_0_1`, `says …` (its words).
    """

    job: int
    turn: int
    shown: tuple[str, ...]


def serve_model(folder: Path, port: int) -> None:
    """Serve until the process is killed."""
    asyncio.run(_serve(folder / LOG, port))


def read_questions(folder: Path) -> list[Question]:
    decoder = msgspec.json.Decoder(Question)
    return [decoder.decode(line) for line in (folder / LOG).read_bytes().splitlines()]


async def _serve(log: Path, port: int) -> None:
    with log.open("ab", buffering=0) as file:
        async with FakeModelServer(lambda request: _answer(request, file), port=port, keeps_requests=False):
            await asyncio.Event().wait()


def _answer(request: ReceivedRequest, log: BinaryIO) -> Reply:
    messages: list[dict[str, Any]] = request.body["messages"]  # type: ignore[assignment]
    place = max(n for n, message in enumerate(messages) if message["role"] == "user")
    job = read_job(str(messages[place]["content"]))
    since = messages[place + 1 :]
    turn = sum(bool(message.get("tool_calls")) for message in since)
    log.write(msgspec.json.encode(Question(job.number, turn, tuple(_shown(messages)))) + b"\n")
    if turn < len(job.turns):
        return as_reply(Completion(text=job.aside(turn), calls=_calls(job, turn)), request)
    outputs = {str(m["tool_call_id"]): str(m["content"]) for m in since if m["role"] == "tool"}
    last = as_reply(Completion(text=job.answer(outputs), n_chunks=job.pieces), request)
    return replace(last, delay_s=job.pause_ms / 1000)


def _calls(job: Job, turn: int) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(
            Place(job.number, turn, index).call_id,
            call.tool,
            msgspec.json.encode({"amount": call.amount, "ms": call.ms}).decode(),
        )
        for index, call in enumerate(job.turns[turn])
    )


def _shown(messages: Sequence[dict[str, Any]]) -> list[str]:
    shown = []
    for message in messages:
        match message["role"]:
            case "user":
                shown.append(f"user {read_job(str(message['content'])).number}")
            case "tool":
                shown.append(f"result {message['tool_call_id']}")
            case "assistant":
                if message.get("content"):
                    shown.append(f"says {message['content']}")
                if message.get("tool_calls"):
                    first = Place.of(str(message["tool_calls"][0]["id"]))
                    shown.append(f"calls {first.job}.{first.turn}")
    return shown
