"""What a runtime needs to search by vectors, made of its embedding models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import ModelError
from agentrt.models.embeddings import EmbeddingModel
from agentrt.runtime.models import Models
from agentrt.runtime.sweeper import Sweep
from agentrt.runtime.vector_stores.vectors.driver import VectorDriver
from agentrt.runtime.vector_stores.vectors.graphs import GROW_EVERY_S, Graphs
from agentrt.runtime.vector_stores.vectors.inline import FileEmbedding
from agentrt.runtime.vector_stores.vectors.questions import QuestionVectors
from agentrt.runtime.vector_stores.vectors.queue import LOOK_EVERY_S, PURGE_EVERY_S, purge_cache, queue_missing
from agentrt.runtime.vector_stores.vectors.texts import TextVectors
from agentrt.store.database import Store


class VectorParts(msgspec.Struct, frozen=True, kw_only=True):
    """model: whose vectors files get; None: files get none, and `files` is None. questions may know others, too."""

    model: str | None
    files: FileEmbedding | None
    driver: VectorDriver
    questions: QuestionVectors
    sweeps: Sequence[Sweep]


def vector_parts(models: Models, *, store: Store, dispatcher: Dispatcher, clock: Clock, lease_s: float) -> VectorParts:
    """The parts for the models of a project. lease_s: how long a silent process counts as alive."""
    embedder = _usable(models.search_embedding())
    texts = None if embedder is None else TextVectors(embedder, store=store, clock=clock)
    sweeps = [Sweep("embeddings", partial(purge_cache, store, clock=clock), PURGE_EVERY_S)]
    if store.is_shared:
        sweeps.append(Sweep("graphs", Graphs(store).grow, GROW_EVERY_S))
    if texts is not None:
        look = partial(queue_missing, store, dispatcher, clock=clock, model=texts.model, lease_s=lease_s)
        sweeps.append(Sweep("vectors", look, LOOK_EVERY_S))
    return VectorParts(
        model=None if texts is None else texts.model,
        files=None if texts is None else FileEmbedding(texts, clock=clock),
        driver=VectorDriver(store=store, dispatcher=dispatcher, clock=clock, vectors=texts, lease_s=lease_s),
        questions=QuestionVectors(models.embedding_named, clock=clock),
        sweeps=sweeps,
    )


def _usable(embedder: EmbeddingModel | None) -> EmbeddingModel | None:
    """A model of this machine whose files cannot be read makes no vectors; `agentrt models test` says why."""
    try:
        return embedder if embedder is not None and embedder.model else None
    except ModelError:
        return None
