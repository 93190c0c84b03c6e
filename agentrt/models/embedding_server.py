"""An embedding model of any server with `/embeddings`: in batches, several at once, with limits and retries.

What a server sends is not trusted: an answer with too few vectors, vectors of other lengths or numbers that are none
is an error, and never ends up in an index.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import random
import sys
from array import array
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.engine.tokens import BYTES_PER_TOKEN, size_bytes
from agentrt.errors import ModelError
from agentrt.models.embeddings import Embedded, Input, Purpose, Vector
from agentrt.models.failures import unreadable_failure
from agentrt.models.limits import Allowance, ModelLimits
from agentrt.models.retry import Attempts, RetryPolicy
from agentrt.models.upstream import Upstream

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Requests at once when `limits.concurrent` does not say."""

# OpenAI takes 300,000 tokens in one request, others 120,000. Ours is an estimate.
_BATCH_TOKENS: Final = 60_000
# Files are patient: a call may wait so long until the limits let it through.
_MAX_WAIT_S: Final = 300.0
_REFUSED: Final = (400, 422)
_MAX_SHOWN_BYTES: Final = 2_000


class EmbeddingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """dimensions: asked of the server, None = the model's own. batch: texts in one request, at most.

    window_tokens: as in Embedder. query_prefix, document_prefix: what the model wants to read before a text.
    """

    dimensions: int | None = None
    window_tokens: int | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    batch: int = 32


class _Item(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Item]
    usage: _Usage | None = None


_decode: Callable[[bytes], _Answer] = msgspec.json.Decoder(_Answer).decode


class EmbeddingServer:
    """One embedding model of one server; an EmbeddingModel. name: what the server calls it."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        name: str,
        settings: EmbeddingSettings = EmbeddingSettings(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        limits: ModelLimits = ModelLimits(),  # noqa: B008 - frozen
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.model = stored_name(name, settings)
        self.window_tokens = settings.window_tokens
        self._upstream = upstream
        self._name = name
        self._settings = settings
        self._retry = retry
        self._clock = clock or SystemClock()
        self._jitter = jitter
        n_places = limits.concurrent or AT_ONCE
        own = msgspec.structs.replace(limits, concurrent=n_places, max_wait_s=_MAX_WAIT_S)
        self._allowance = Allowance(own, clock=self._clock, table=upstream.server.table)
        # One place is always left to questions: somebody waits for their answer.
        self._documents = asyncio.Semaphore(max(1, n_places - 1))
        self._says_base64 = True
        self._width: int | None = settings.dimensions

    async def embed(self, texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        """As Embedder.embed."""
        settings = self._settings
        prefix = settings.query_prefix if as_ == "query" else settings.document_prefix
        found = await self._all(
            [prefix + text for text in texts], dimensions=settings.dimensions, is_patient=as_ == "document"
        )
        for vector in found.vectors:
            self._check_width(len(vector))
        return found.vectors

    async def create(self, inputs: Sequence[Input], *, dimensions: int | None = None) -> Embedded:
        """As EmbeddingModel.create."""
        return await self._all(inputs, dimensions=dimensions or self._settings.dimensions, is_patient=False)

    async def _all(self, inputs: Sequence[Input], *, dimensions: int | None, is_patient: bool) -> Embedded:
        batches = list(_batches(inputs, self._settings.batch))
        if len(batches) == 1:
            return await self._batch(batches[0], dimensions, is_patient)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._batch(batch, dimensions, is_patient)) for batch in batches]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        found = [task.result() for task in tasks]
        return Embedded([vector for one in found for vector in one.vectors], sum(one.n_tokens for one in found))

    async def _batch(self, inputs: Sequence[Input], dimensions: int | None, is_patient: bool) -> Embedded:
        attempts = Attempts(self._retry, model=self._name, clock=self._clock, jitter=self._jitter)
        estimate = sum(map(_about_tokens, inputs))
        async with self._turn(is_patient):
            return await attempts.make(lambda: self._ask(inputs, dimensions, estimate))

    @asynccontextmanager
    async def _turn(self, is_patient: bool) -> AsyncGenerator[None, None]:
        if not is_patient:
            yield
            return
        async with self._documents:
            yield

    async def _ask(self, inputs: Sequence[Input], dimensions: int | None, estimate: int) -> Embedded:
        async with self._allowance.take(estimate):
            data = await self._post(inputs, dimensions)
        answer = self._read(data)
        vectors = self._in_order(answer.data, len(inputs), data)
        for vector in vectors:
            self._check_vector(vector, dimensions)
        usage = answer.usage or _Usage()
        used = usage.prompt_tokens or usage.total_tokens or estimate
        self._allowance.correct(estimate, used)
        return Embedded(vectors, used)

    async def _post(self, inputs: Sequence[Input], dimensions: int | None) -> bytes:
        """A server that refuses base64, a quarter of the bytes, is asked again without, and from then on."""
        try:
            return await self._upstream.post(self._body(inputs, dimensions))
        except ModelError as error:
            if not (self._says_base64 and error.http_status in _REFUSED and "encoding_format" in error.message):
                raise self._with_advice(error)  # noqa: B904 - it is the error, in more words
            log.info("model.concession", extra={"model": self._name, "shape": {"encoding_format": None}})
            self._says_base64 = False
        return await self._upstream.post(self._body(inputs, dimensions))

    def _body(self, inputs: Sequence[Input], dimensions: int | None) -> bytes:
        body: dict[str, object] = {"model": self._name, "input": inputs}
        if dimensions is not None:
            body["dimensions"] = dimensions
        if self._says_base64:
            body["encoding_format"] = "base64"
        return msgspec.json.encode(body)

    def _with_advice(self, error: ModelError) -> ModelError:
        if error.code != "context_length_exceeded":
            return error
        server = self._upstream.server
        text = f"{error.message} Set {server.setting('embedding.window_tokens')} to what it reads at once."
        return ModelError(text, reason="invalid_prompt", http_status=error.http_status, code=error.code)

    def _read(self, data: bytes) -> _Answer:
        try:
            return _decode(data)
        except msgspec.DecodeError:
            raise self._unreadable("not a list of embeddings", data) from None

    def _in_order(self, items: Sequence[_Item], n: int, data: bytes) -> list[Vector]:
        if len(items) != n:
            raise self._unreadable(f"{len(items)} vectors for {n} texts", data)
        numbers = [item.index for item in items]
        if set(numbers) == set(range(n)):
            items = sorted(items, key=lambda item: item.index or 0)
        elif len(set(numbers)) > 1:  # servers that do not count say nothing, or 0 of all
            raise self._unreadable("numbered in no order", data)
        return [self._vector(item, data) for item in items]

    def _vector(self, item: _Item, data: bytes) -> Vector:
        if not isinstance(item.embedding, str):
            return array("f", item.embedding)
        try:
            vector = array("f", b64decode(item.embedding, validate=True))
        except ValueError:
            raise self._unreadable("vectors that are not base64", data) from None
        if sys.byteorder == "big":
            vector.byteswap()
        return vector

    def _check_vector(self, vector: Vector, dimensions: int | None) -> None:
        # A sum of floats is finite unless one of them is not.
        if not vector or not math.isfinite(sum(vector)):
            why = "has numbers that are none" if vector else "is empty"
            raise ModelError(f"A vector from {self._where} {why}. The model or its server is broken.")
        if dimensions is not None and len(vector) != dimensions:
            setting = self._upstream.server.setting("embedding.dimensions")
            raise ModelError(
                f"{self._where} was asked for {dimensions} dimensions and sent {len(vector)}. Correct {setting}, or "
                "take it out: not every model can shorten its vectors."
            )

    def _check_width(self, width: int) -> None:
        """Vectors of two dimensions cannot be compared."""
        if self._width is None:
            self._width = width
        elif width != self._width:
            raise ModelError(
                f"{self._where} sent a vector of {width} dimensions after others of {self._width}. "
                f"Has another model taken this name? Then set {self._upstream.server.setting('embedding.dimensions')}, "
                "which has everything embedded anew."
            )

    @property
    def _where(self) -> str:
        return f'The model "{self._name}" at {self._upstream.server.url}'

    def _unreadable(self, why: str, data: bytes) -> ModelError:
        return unreadable_failure(self._upstream.server, why, data[:_MAX_SHOWN_BYTES], n_chunks=0)


def stored_name(name: str, settings: EmbeddingSettings) -> str:
    """The name of vectors made with these settings: another dimension, prefix or window makes other vectors."""
    parts = [name] if settings.dimensions is None else [name, str(settings.dimensions)]
    if settings.window_tokens is not None or settings.document_prefix:
        told = f"{settings.window_tokens}\n{settings.document_prefix}"
        parts.append(hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()[:8])
    return "/".join(parts)


def _batches(inputs: Sequence[Input], most: int) -> Iterator[Sequence[Input]]:
    """The inputs in order, in as few requests as a server is sure to take."""
    begin = n_tokens = 0
    for place, one in enumerate(inputs):
        more = _about_tokens(one)
        if place > begin and (place - begin >= most or n_tokens + more > _BATCH_TOKENS):
            yield inputs[begin:place]
            begin, n_tokens = place, 0
        n_tokens += more
    if begin < len(inputs):
        yield inputs[begin:]


def _about_tokens(one: Input) -> int:
    return int(size_bytes(one) / BYTES_PER_TOKEN) + 1 if isinstance(one, str) else len(one)
