"""An embedding model of any server with `/embeddings`: in batches, several at once, with limits and retries.

What a server sends is not trusted: an answer with too few vectors, vectors of other lengths or numbers that are none
is an error, and never ends up in an index.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import sys
from array import array
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.errors import ModelError
from agentrt.models.batches import AT_ONCE, OptionalField, about_tokens, at_once, batches
from agentrt.models.embeddings import Embedded, Input, Purpose, Vector
from agentrt.models.failures import unreadable_failure
from agentrt.models.limits import Allowance, ModelLimits
from agentrt.models.retry import Attempts, RetryPolicy
from agentrt.models.upstream import Upstream

# Files are patient: a call may wait so long until the limits let it through.
_MAX_WAIT_S: Final = 300.0
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
        self._base64 = OptionalField(upstream, "encoding_format")
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
        asked = list(batches(inputs, self._settings.batch))
        found = await at_once(lambda batch: self._batch(batch, dimensions, is_patient), asked)
        return Embedded([vector for one in found for vector in one.vectors], sum(one.n_tokens for one in found))

    async def _batch(self, inputs: Sequence[Input], dimensions: int | None, is_patient: bool) -> Embedded:
        attempts = Attempts(self._retry, model=self._name, clock=self._clock, jitter=self._jitter)
        estimate = sum(map(about_tokens, inputs))
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
        """Vectors come as base64, a quarter of the bytes, unless the server knows nothing of it."""

        def body(says_base64: bool) -> bytes:
            fields: dict[str, object] = {"model": self._name, "input": inputs}
            if dimensions is not None:
                fields["dimensions"] = dimensions
            if says_base64:
                fields["encoding_format"] = "base64"
            return msgspec.json.encode(fields)

        try:
            return await self._base64.post(body)
        except ModelError as error:
            raise self._with_advice(error)  # noqa: B904 - it is the error, in more words

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
