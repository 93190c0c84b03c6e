"""The models for search that bare names mean to a program: the project's; of those that embed, also `minilm` and those
of the environment's server."""

from __future__ import annotations

from pathlib import Path

from agentrt.clock import SystemClock
from agentrt.config.environment import openai_server
from agentrt.config.model_folder import INSTALL, MINILM, installed_minilm
from agentrt.errors import ModelNotFoundError
from agentrt.http import shared_client
from agentrt.models.embeddings import Embedder
from agentrt.models.reranking import Reranker
from agentrt.runtime.default_model import project_config
from agentrt.runtime.models import Models


async def default_embedder(name: str, *, config: Path | None = None) -> Embedder:
    """The model for a name, for use in the running loop. config: the agents.toml, None = found as by the command line.

    Raises ModelNotFoundError when nothing says where the model is, ConfigError when agents.toml is wrong, ModelError
    when its files cannot be read.
    """
    found = project_config(config)
    if found is not None:
        embedder: Embedder = Models(found, clock=SystemClock(), http=await shared_client()).find_embedding(name)
    elif name == MINILM:
        embedder = _minilm()
    else:
        embedder = await _of_environment(name)
    assert embedder.model  # raises here when its files cannot be read
    return embedder


async def default_reranker(name: str, *, config: Path | None = None) -> Reranker:
    """The reranker of that table in agents.toml. Raises ModelNotFoundError, ConfigError."""
    found = project_config(config)
    if found is None:
        raise ModelNotFoundError(name, why="There is no agents.toml here; rerankers have a table there.")
    return Models(found, clock=SystemClock(), http=await shared_client()).find_reranker(name)


def _minilm() -> Embedder:
    from agentrt.models.minilm import MiniLM

    folder = installed_minilm()
    if folder is None:
        raise ModelNotFoundError(MINILM, why=f"Its files are not on this machine: {INSTALL}")
    return MiniLM(folder)


async def _of_environment(name: str) -> Embedder:
    base_url, key = openai_server()
    if base_url is None and key is None:
        raise ModelNotFoundError(
            name,
            why="There is no agents.toml here, and neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. "
            'Set one of them, give FileSearch an Embedder, or use embedding="minilm".',
        )
    from agentrt.models.embedding_server import EmbeddingServer
    from agentrt.models.upstream import Upstream

    upstream = Upstream(
        await shared_client(),
        "/embeddings",
        model=name,
        dialect="openai" if base_url is None else "compatible",
        base_url=base_url,
        api_key=key,
        given="A text",
    )
    return EmbeddingServer(upstream, name=name)
