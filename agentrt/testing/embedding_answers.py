"""What a scripted model server answers at `/embeddings`: vectors made from the words of the texts.

Texts with words in common have similar vectors, so that search by them can be tried; it is no language model.
"""

from __future__ import annotations

import math
import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal

import msgspec

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.testing.model_answers import ReceivedRequest, Reply, Script, body_reply

WIDTH = 64


def word_vector(text: str, *, width: int = WIDTH) -> list[float]:
    """A unit vector: each word, in small letters, counts in one of its places."""
    vector = [0.0] * width
    for word in text.lower().split():
        vector[zlib.crc32(word.strip(".,;:!?\"'()").encode()) % width] += 1.0
    length = math.hypot(*vector) or 1.0
    return [number / length for number in vector]


def embedding_script(*, width: int = WIDTH, form: Literal["as_asked", "floats"] = "as_asked") -> Script:
    """Answers every request with the vectors of its texts, as base64 if it asks for it (or never, with `floats`)."""

    def answer(request: ReceivedRequest) -> Reply:
        body = request.body
        size = body.get("dimensions")
        vectors = [word_vector(text, width=size if isinstance(size, int) else width) for text in input_texts(body)]
        is_packed = form == "as_asked" and body.get("encoding_format") == "base64"
        return embeddings([_packed(vector) for vector in vectors] if is_packed else vectors)

    return answer


def embeddings(vectors: Sequence[object], *, usage: tuple[int, int] | None = (8, 8)) -> Reply:
    """The answer with these vectors, numbered from 0."""
    numbered = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    body: dict[str, object] = {"object": "list", "model": "puppet", "data": numbered}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "total_tokens": usage[1]}
    return body_reply(msgspec.json.encode(body))


def input_texts(body: JsonObject) -> list[str]:
    """The texts of a request."""
    given: JsonValue = body.get("input")
    return [str(one) for one in given] if isinstance(given, list) else [str(given)]


def _packed(vector: Sequence[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
