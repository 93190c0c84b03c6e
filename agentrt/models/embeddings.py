"""The port behind which embedding models stand: texts go in, vectors come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

Vector: TypeAlias = Sequence[float]
"""Of any length: whoever compares vectors makes them unit vectors first."""

Purpose: TypeAlias = Literal["document", "query"]
"""What a text is. Some models want to be told, by a prefix."""

Input: TypeAlias = str | tuple[int, ...]
"""A text, or one that the caller has cut into the model's own tokens already."""


class Embedded(msgspec.Struct, frozen=True):
    """Vectors in the order of the inputs. n_tokens: what they cost, as the server says, else an estimate."""

    vectors: Sequence[Vector]
    n_tokens: int


class Embedder(Protocol):
    """An embedding model, as search uses it.

    model: the name that is stored beside each vector; vectors with another name are of no use to this one.
    window_tokens: longer texts are embedded in windows of about so many tokens; None: a text is embedded whole.
    """

    @property
    def model(self) -> str: ...

    @property
    def window_tokens(self) -> int | None: ...

    async def embed(self, texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        """The vectors of the texts, in their order, all of one dimension. Raises ModelError."""
        ...


class EmbeddingModel(Embedder, Protocol):
    """An embedding model, as its own endpoint serves it: without prefixes."""

    async def create(self, inputs: Sequence[Input], *, dimensions: int | None = None) -> Embedded:
        """The vectors of the inputs as they are. dimensions: None = the model's own, or as its table says.

        Raises ModelError, and InvalidRequestError for what the model cannot do.
        """
        ...
