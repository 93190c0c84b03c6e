"""Another model when the first one is down: the client behind `fallbacks` of [models.*]."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agentrt.engine.message import ImageUrlPart
from agentrt.errors import ModelError
from agentrt.models.client import Chunk, ModelClient, ModelRequest

log = logging.getLogger(__name__)

_PASSED_ON = frozenset({408, 409, 425, 429})


class Fallback:
    """Tries `primary`, then each of `others`, until one begins to answer.

    Only what another server may do better is passed on: 429, 5xx, timeouts and broken connections before the first
    chunk. A refusal (any other 4xx) is the caller's to repair. Window and images are the primary's; a model that takes
    no images is passed over when the request holds some. names: what the log calls the clients, in their order.
    """

    def __init__(self, primary: ModelClient, *others: ModelClient, names: Sequence[str] = ()) -> None:
        self._clients = (primary, *others)
        self._names = tuple(names) or tuple(str(n) for n in range(len(self._clients)))

    @property
    def context_window(self) -> int | None:
        return self._clients[0].context_window

    @property
    def takes_images(self) -> bool:
        return self._clients[0].takes_images

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        failures: list[ModelError] = []
        candidates = self._candidates(request)
        for position, (name, client) in enumerate(candidates):
            has_begun = False
            try:
                async with aclosing(client.stream(request)) as chunks:
                    async for chunk in chunks:
                        has_begun = True
                        yield chunk
                return
            except ModelError as error:
                if has_begun or not _is_passed_on(error):
                    raise
                failures.append(error)
                if position + 1 < len(candidates):
                    log.warning(
                        "model.fallback",
                        extra={"model": request.model, "failed": name, "next": candidates[position + 1][0]}
                        | {"reason": error.reason, "status": error.http_status},
                    )
        raise _joined(failures)

    def _candidates(self, request: ModelRequest) -> list[tuple[str, ModelClient]]:
        named = list(zip(self._names, self._clients, strict=True))
        if not any(isinstance(part, ImageUrlPart) for message in request.messages for part in message.parts):
            return named
        return [named[0], *(candidate for candidate in named[1:] if candidate[1].takes_images)]


def _is_passed_on(error: ModelError) -> bool:
    if error.reason == "invalid_prompt":
        return False
    status = error.http_status
    return status is None or status >= 500 or status in _PASSED_ON


def _joined(failures: Sequence[ModelError]) -> ModelError:
    """One error for them all: the last one's facts, everybody's words."""
    last = failures[-1]
    if len(failures) == 1:
        return last
    text = "; before that: ".join(failure.message for failure in reversed(failures))
    return ModelError(
        text,
        reason=last.reason,
        http_status=last.http_status,
        retry_after_s=last.retry_after_s,
        is_retryable=last.is_retryable,
        code=last.code,
    )
