"""/embeddings"""

from __future__ import annotations

import sys
from array import array
from base64 import b64encode

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.models.embeddings import Vector
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.wire.embeddings import CreateEmbeddingRequest, EmbeddingList

router = APIRouter(prefix="/v1/embeddings", tags=["Embeddings"], route_class=ApiRoute)


@router.post("")
@speaks(Speech(body=CreateEmbeddingRequest, answer=EmbeddingList))
async def create_embedding(call: Call) -> Response:
    """Make vectors of texts with a model for embeddings."""
    body = await call.read(CreateEmbeddingRequest)
    model = call.runtime.models.find_embedding(body.model)
    found = await model.create(body.input, dimensions=body.dimensions)
    shown = _packed if body.encoding_format == "base64" else list
    vectors: EmbeddingList = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": shown(vector)}
            for index, vector in enumerate(found.vectors)
        ],
        "model": body.model,
        "usage": {"prompt_tokens": found.n_tokens, "total_tokens": found.n_tokens},
    }
    return answer(vectors)


def _packed(vector: Vector) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()
