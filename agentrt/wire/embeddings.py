"""Embeddings on the wire. Source: API reference, embeddings."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, cast

from pydantic import Field, PlainValidator, WithJsonSchema
from typing_extensions import TypedDict

from agentrt.engine.message import JsonObject
from agentrt.wire.base import Body, Integer, Omittable, refusal

MAX_INPUTS: Final = 2048

EmbeddingInput: TypeAlias = str | tuple[int, ...]
"""A text, or the tokens of one."""

_INPUTS: Final[JsonObject] = {"type": "array", "minItems": 1, "maxItems": MAX_INPUTS}
_SCHEMA: Final[JsonObject] = {
    "oneOf": [
        {"type": "string", "minLength": 1},
        {**_INPUTS, "items": {"type": "string", "minLength": 1}},
        {**_INPUTS, "items": {"type": "integer", "minimum": 0}},
        {**_INPUTS, "items": {**_INPUTS, "items": {"type": "integer", "minimum": 0}}},
    ]
}
_EXPECTED: Final = (
    f"expected a text, an array of 1 to {MAX_INPUTS} texts, or an array of tokens or of up to {MAX_INPUTS} such "
    "arrays; none of them empty."
)


def _inputs(value: object) -> tuple[EmbeddingInput, ...]:
    many = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not 1 <= len(many) <= MAX_INPUTS:
        raise refusal(_EXPECTED)
    if all(isinstance(one, str) and one for one in many):
        return tuple(cast("list[str]", many))
    if all(_is_tokens(one) for one in many):
        return tuple(map(tuple, cast("list[list[int]]", many)))
    raise refusal(_EXPECTED)


def _is_tokens(value: object) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= MAX_INPUTS
        and all(isinstance(token, int) and not isinstance(token, bool) and token >= 0 for token in value)
    )


class CreateEmbeddingRequest(Body):
    """POST /embeddings. input is read into a tuple, also when it is one text."""

    input: Annotated[tuple[EmbeddingInput, ...], PlainValidator(_inputs), WithJsonSchema(_SCHEMA)]
    model: Annotated[str, Field(min_length=1, max_length=256)]
    encoding_format: Omittable[Literal["float", "base64"]] = None
    dimensions: Omittable[Annotated[Integer, Field(ge=1, le=65_536)]] = None
    user: Omittable[str] = None


class EmbeddingObject(TypedDict):
    """embedding: numbers, or with `base64` little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(TypedDict):
    """The vectors in the order of the inputs. model: as it was asked for."""

    object: Literal["list"]
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage
