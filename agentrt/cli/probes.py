"""A short look at the model servers: is somebody there, does it know the key. Asks no model and costs no tokens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentrt.config.schema import Config, ModelSpec
from agentrt.http import network_errors, open_client
from agentrt.models.dialects import Endpoint, endpoint

if TYPE_CHECKING:
    import httpx

_LIMIT_S: Final = 3.0
_VARIABLE: Final = re.compile(r"(\w+) is not set")
_HINTS: Final[Mapping[str, str]] = {
    "ollama": "start it: ollama serve   (or install it from ollama.com)",
    "openai": "look at the network and the proxy, or at base_url in agents.toml",
}
_ELSEWHERE: Final = "start that server, or correct base_url in agents.toml"


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out about a model. fix: how to get it to work."""

    name: str
    is_ok: bool
    text: str
    fix: str = ""


async def probe_models(config: Config) -> list[Probe]:
    """Every model of agents.toml, in its order; the servers are asked at the same time."""
    async with open_client(connect_timeout_s=_LIMIT_S, read_timeout_s=_LIMIT_S) as client:
        return list(await asyncio.gather(*(_probe(client, spec) for spec in config.models.values())))


async def _probe(client: httpx.AsyncClient, spec: ModelSpec) -> Probe:
    if spec.unavailable is not None:
        variable = _VARIABLE.match(spec.unavailable)
        return Probe(spec.name, False, spec.unavailable, f"export {variable[1]}=…" if variable else "")
    if spec.provider == "demo":
        return Probe(spec.name, True, "a scripted stand-in, not a language model")
    if spec.provider == "minilm":
        return Probe(spec.name, True, f"embeddings, on this machine: {spec.model_dir}")
    place = endpoint(
        spec.provider,
        model=spec.model,
        base_url=spec.base_url,
        api_key=spec.api_key.reveal() if spec.api_key is not None else None,
        api_version=spec.api_version,
        headers={name: value.reveal() for name, value in spec.headers.items()},
    )
    shown = place.shown_url.removesuffix("/chat/completions")
    try:
        async with asyncio.timeout(_LIMIT_S):
            answer = await client.get(_list_url(place), headers=place.headers)
    except network_errors():  # a timeout is one of them
        return Probe(spec.name, False, f"nobody answers at {shown}", _HINTS.get(spec.provider, _ELSEWHERE))
    if answer.status_code in (401, 403):
        why = f"{shown} refuses the key ({answer.status_code})"
        return Probe(spec.name, False, why, f"correct api_key of [models.{spec.name}]")
    return _known_there(spec, shown, answer)


def _list_url(place: Endpoint) -> str:
    return place.url.replace("/chat/completions", "/models")


def _known_there(spec: ModelSpec, shown: str, answer: httpx.Response) -> Probe:
    """A server that lists its models must list this one; many list none."""
    purpose = "" if spec.answers else ", for embeddings" if spec.rerank is None else ", for reranking"
    reachable = f"{spec.model} at {shown}{purpose}"
    try:
        names = [str(item["id"]) for item in answer.json()["data"]]
    except (ValueError, KeyError, TypeError):
        return Probe(spec.name, True, reachable)
    wanted = {spec.model, f"{spec.model}:latest"}
    if spec.provider == "azure" or not names or wanted & set(names):
        return Probe(spec.name, True, reachable)
    fix = f"ollama pull {spec.model}" if spec.provider == "ollama" else f"it has {', '.join(sorted(names)[:5])}, …"
    return Probe(spec.name, False, f"{shown} has no model {spec.model}", fix)
