"""Which models this machine has, and their tables for a new agents.toml. Looks at the environment and at loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from agentrt.http import network_errors, open_client
from agentrt.models.dialects import OLLAMA_URL

_LIMIT_S: Final = 1.0
_OPENAI_HOST: Final = "api.openai.com"
# Families that call functions well come first; any other model is better than none.
_PREFERRED: Final = ("qwen3", "gpt-oss", "llama3.3", "llama3.1", "qwen2.5", "mistral", "llama3.2")

_FAST: Final = """\
[models.fast]
provider   = "openai"
model      = "gpt-4o-mini"
api_key    = "${OPENAI_API_KEY}"      # not set? then this model is unavailable, and the others work
answers_to = ["gpt-*"]              # names that old apps have hard-coded
"""
_LOCAL: Final = """\
[models.local]
provider   = "ollama"
base_url   = "${OLLAMA_HOST:-http://127.0.0.1:11434}"
model      = "%s"
"""
_DEMO: Final = """\
[models.demo]                       # a scripted stand-in, not a language model: no key, no network
provider   = "demo"
"""
_ANSWERS: Final = 'answers_to = ["gpt-*"]              # names that old apps have hard-coded\n'
_HINT: Final = """\
# [models.fast]                     # a real one: export OPENAI_API_KEY=…, and model = "fast" in the agent
# provider = "openai"
# model    = "gpt-4o-mini"
# api_key  = "${OPENAI_API_KEY}"
"""


@dataclass(frozen=True, slots=True)
class FoundModels:
    """name: the model to use. toml: the tables, that one first. why: what was found, for people."""

    name: str
    toml: str
    why: str


def find_models(environ: Mapping[str, str]) -> FoundModels:
    """What is there: a key for OpenAI, then Ollama, else the demo model."""
    has_key = bool(environ.get("OPENAI_API_KEY")) and _is_openai(environ.get("OPENAI_BASE_URL"))
    local = _best(asyncio.run(_ollama_models(environ.get("OLLAMA_HOST") or OLLAMA_URL)))
    if has_key:
        tables = [_FAST, *([_LOCAL % local] if local else []), _DEMO]
        return FoundModels("fast", "\n".join(tables).rstrip(), "OpenAI's gpt-4o-mini; OPENAI_API_KEY is set")
    if local:
        return FoundModels("local", "\n".join([_LOCAL % local + _ANSWERS, _DEMO]).rstrip(), f"{local} on Ollama")
    why = "no OPENAI_API_KEY, no Ollama on 127.0.0.1:11434; demo is a scripted stand-in, not a language model"
    return FoundModels("demo", "\n".join([_DEMO + _ANSWERS, _HINT]).rstrip(), why)


def _is_openai(base_url: str | None) -> bool:
    """Whether the key is for OpenAI. It may be for an agentrt that somebody pointed the SDKs to."""
    return not base_url or urlsplit(base_url).hostname == _OPENAI_HOST


async def _ollama_models(url: str) -> list[str]:
    """The models that Ollama has; none when it is not there."""
    base = url if "://" in url else f"http://{url}"
    async with open_client(connect_timeout_s=_LIMIT_S, read_timeout_s=_LIMIT_S, trust_env=False) as client:
        try:
            answer = await client.get(f"{base.rstrip('/')}/api/tags")
        except network_errors():
            return []
    try:
        return [str(model["name"]) for model in answer.json()["models"]]
    except (ValueError, KeyError, TypeError):  # somebody else listens there
        return []


def _best(names: Sequence[str]) -> str | None:
    for family in _PREFERRED:
        for name in names:
            if name.startswith(family):
                return name
    return next((name for name in names if "embed" not in name), None)
