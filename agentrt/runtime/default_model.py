"""The model that a bare name means to an Agent in code: the project's, else the environment's OpenAI-style server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from weakref import WeakKeyDictionary

from agentrt.clock import Clock
from agentrt.config.environment import openai_server
from agentrt.config.project import find_project
from agentrt.config.schema import Config
from agentrt.errors import ModelNotFoundError
from agentrt.http import shared_client
from agentrt.models.client import ModelClient
from agentrt.runtime.models import Models

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, ModelClient]] = WeakKeyDictionary()


async def default_model(name: str, *, clock: Clock) -> ModelClient:
    """The client for a name, kept for the life of the running loop.

    Raises ModelNotFoundError when nothing says where the model is, ConfigError when agents.toml is wrong.
    """
    known = _clients.setdefault(asyncio.get_running_loop(), {})
    if name not in known:
        known[name] = await _make(name, clock)
    return known[name]


async def _make(name: str, clock: Clock) -> ModelClient:
    if name == "demo":
        from agentrt.models.demo import Demo

        return Demo(clock=clock)
    config = project_config()
    if config is not None:
        return await Models(config, clock=clock, http=await shared_client()).find(name)
    base_url, key = openai_server()
    if base_url is None and key is None:
        raise ModelNotFoundError(
            name,
            why="There is no agents.toml here, and neither OPENAI_API_KEY nor OPENAI_BASE_URL is set. "
            'Set one of them, give the Agent a client (model=ChatCompletions(…)), or try model="demo".',
        )
    from agentrt.models.chat_completions import ChatCompletions
    from agentrt.models.retry import Retrying

    client = ChatCompletions(
        await shared_client(),
        model=name,
        dialect="openai" if base_url is None else "compatible",
        base_url=base_url,
        api_key=key,
        clock=clock,
    )
    return Retrying(client, clock=clock)


def project_config(path: Path | None = None) -> Config | None:
    """What agents.toml says; None when there is none here, and none is named. Raises ConfigError."""
    project = find_project(path)
    if project.found_by == "bundled":
        return None
    from agentrt.config.load import load_config

    return load_config(project.path, state_folder=project.state_folder)
