"""One small question to each model (for those that answer none a text to embed, or one to judge): does it work, and how
fast.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass

from msgspec.structs import replace

from agentrt.cli.cells import clip, harmless
from agentrt.cli.options import Invocation
from agentrt.cli.problems import CliError
from agentrt.cli.screen import duration
from agentrt.clock import Clock, SystemClock
from agentrt.config.resolve import (
    find_embedding_model,
    find_model,
    resolve_embedding_model,
    resolve_model,
    resolve_reranker,
)
from agentrt.config.schema import Config, ModelSpec
from agentrt.engine.message import user
from agentrt.errors import AgentrtError
from agentrt.models.client import EndChunk, ModelRequest, TextChunk
from agentrt.runtime.models import Models

_QUESTION = "Answer with the one word: ready"
_JUDGED = ("capital of France", "Paris is the capital of France.", "Cats sleep most of the day.")
_MAX_TOKENS = 300  # room for models that think before they speak
_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """first_s, total_s: seconds to the first piece and to the end. error: why there is no answer."""

    model: str
    text: str = ""
    first_s: float | None = None
    total_s: float | None = None
    error: str | None = None


async def test_all(config: Config, names: Sequence[str]) -> list[Answer]:
    """Test models by name, or all that are available. Raises ModelNotFoundError."""
    specs = [_resolve(config, name) for name in names]
    if not names:
        specs = [spec for spec in config.models.values() if not spec.unavailable]
    # One try each and no stand-ins: the question is whether this very model answers.
    plain = {spec.name: replace(spec, retries=0, fallbacks=()) for spec in specs}
    models, clock = Models(replace(config, models=plain), clock=SystemClock()), SystemClock()
    try:
        return list(await asyncio.gather(*(_test_of(spec)(models, spec.name, clock) for spec in specs)))
    finally:
        await models.close()


def show_results(invocation: Invocation, answers: Sequence[Answer]) -> None:
    """Print them. Raises CliError if a model did not answer."""
    out = invocation.out
    failed = [answer.model for answer in answers if answer.error is not None]
    if invocation.is_json:
        out.line(json.dumps([asdict(answer) for answer in answers], ensure_ascii=False))
    else:
        width = max((len(answer.model) for answer in answers), default=0)
        for answer in answers:
            out.line(_line(invocation, answer, width))
    if failed:
        what = f"{', '.join(failed)} did not answer"
        raise CliError("E502", what, fix="agentrt doctor says what is missing and how to get it")


def _test_of(spec: ModelSpec) -> Callable[[Models, str, Clock], Awaitable[Answer]]:
    if spec.answers:
        return _test
    return _test_embedding if spec.rerank is None else _test_reranker


def _resolve(config: Config, name: str) -> ModelSpec:
    if name in config.models and config.models[name].rerank is not None:
        return resolve_reranker(config, name)
    if find_embedding_model(config.models, name) is not None and find_model(config.models, name) is None:
        return resolve_embedding_model(config, name)
    return resolve_model(config, name)


async def _test_embedding(models: Models, name: str, clock: Clock) -> Answer:
    async def ask() -> str:
        found = await models.find_embedding(name).create([_QUESTION])
        return f"a vector of {len(found.vectors[0])} dimensions"

    return await _whole(ask, name, clock)


async def _test_reranker(models: Models, name: str, clock: Clock) -> Answer:
    async def ask() -> str:
        right, wrong = await models.find_reranker(name).rerank(_JUDGED[0], _JUDGED[1:])
        return f"{right:.2f} for an answer, {wrong:.2f} for none"

    return await _whole(ask, name, clock)


async def _whole(ask: Callable[[], Awaitable[str]], name: str, clock: Clock) -> Answer:
    """An answer that comes in one piece."""
    began = clock.monotonic()
    try:
        async with asyncio.timeout(_LIMIT_S):
            text = await ask()
    except AgentrtError as error:
        return Answer(name, error=error.message)
    except TimeoutError:
        return Answer(name, error=f"no answer within {_LIMIT_S:.0f} s")
    taken_s = clock.monotonic() - began
    return Answer(name, text, taken_s, taken_s)


async def _test(models: Models, name: str, clock: Clock) -> Answer:
    request = ModelRequest(model=name, messages=(user(_QUESTION),), max_completion_tokens=_MAX_TOKENS)
    began, text, first_s = clock.monotonic(), "", None
    try:
        async with asyncio.timeout(_LIMIT_S), aclosing((await models.find(name)).stream(request)) as chunks:
            async for chunk in chunks:
                if first_s is None and not isinstance(chunk, EndChunk):
                    first_s = clock.monotonic() - began
                if isinstance(chunk, TextChunk):
                    text += chunk.text
    except AgentrtError as error:
        return Answer(name, error=error.message)
    except TimeoutError:
        return Answer(name, error=f"no answer within {_LIMIT_S:.0f} s")
    return Answer(name, text, first_s, clock.monotonic() - began)


def _line(invocation: Invocation, answer: Answer, width: int) -> str:
    out = invocation.out
    if answer.error is not None:
        return f"  {out.paint('fail', 'bad')}  {answer.model:<{width}}  {answer.error}"
    first, whole = duration(answer.first_s or 0.0), duration(answer.total_s or 0.0)
    took = whole if answer.first_s == answer.total_s else f"first word {first}, whole {whole}"
    text = f"{answer.model:<{width}}  {took}"
    return f"  {out.paint('ok', 'ok')}    {text}  {out.paint(clip(harmless(answer.text), 40), 'dim')}"
